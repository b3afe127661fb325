#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""svc_pop3 through the running daemon: RFC 1939 command by command, the lock, what QUIT does and what a lost connection does not."""
import base64, os, poplib, re, socket, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import postbus
from postbus import PASSWORD

ALICE = "alice@demo.example"
DOTS = b"From: a@x.example\r\nSubject: dots\r\n\r\n.\r\n..two\r\nline\r\n.end"


class Raw:
    def __init__(self, server, user=ALICE, clear=False):
        self.s = socket.create_connection(("127.0.0.1", server.ports["pop3" if clear else "pop3s"]), 120)
        if not clear:
            self.s = postbus.no_check().wrap_socket(self.s)
        self.f = self.s.makefile("rb")
        self.greeting = self.line()
        if user and not clear:
            self.login(user)

    def login(self, user=ALICE):
        assert self.run(f"USER {user}").startswith(b"+OK")
        said = self.run(f"PASS {PASSWORD}")
        assert said.startswith(b"+OK"), said

    def line(self):
        line = self.f.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError
        return line[:-2]

    def send(self, data):
        self.s.sendall(data if isinstance(data, bytes) else data.encode())

    def run(self, command):
        self.send(command + "\r\n")
        return self.line()

    def lines(self):
        out = []
        while True:
            one = self.line()
            if one == b".":
                return out
            out.append(one)

    def many(self, command):
        said = self.run(command)
        assert said.startswith(b"+OK"), said
        return self.lines()

    def close(self):
        self.f.close()
        self.s.close()


def fill(server, bodies):
    """INBOX holds exactly these, appended by IMAP."""
    i = server.imap()
    i.select("INBOX")
    i.store("1:*", "+FLAGS.SILENT", "(\\Deleted)") if i.search(None, "ALL")[1][0] else None
    i.expunge()
    for body in bodies:
        kind, data = i.append("INBOX", None, None, body)
        assert kind == "OK", data
    i.logout()


def whole(c, n):
    said = c.run(f"RETR {n}")
    assert said.startswith(b"+OK"), said
    return b"".join((l[1:] if l.startswith(b".") else l) + b"\r\n" for l in c.lines())


def test_capabilities_and_tls(server):
    c = Raw(server, user=None, clear=True)
    assert c.greeting.startswith(b"+OK ")
    capa = c.many("CAPA")
    assert b"STLS" in capa and b"USER" not in capa and not any(l.startswith(b"SASL") for l in capa)
    for word in (b"TOP", b"UIDL", b"RESP-CODES", b"AUTH-RESP-CODE", b"PIPELINING"):
        assert word in capa
    assert c.run(f"USER {ALICE}").startswith(b"-ERR")
    assert c.run("AUTH PLAIN").startswith(b"-ERR")
    assert c.run("STLS").startswith(b"+OK")
    c.s = postbus.no_check().wrap_socket(c.s)
    c.f = c.s.makefile("rb")
    capa = c.many("CAPA")
    assert b"STLS" not in capa and b"USER" in capa and b"SASL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN" in capa
    c.login()


def test_authentication(server):
    plain = base64.b64encode(f"\0{ALICE}\0{PASSWORD}".encode()).decode()
    c = Raw(server, user=None)
    assert c.run(f"AUTH PLAIN {plain}").startswith(b"+OK")
    assert c.run("QUIT").startswith(b"+OK")
    c = Raw(server, user=None)
    assert c.run("AUTH PLAIN") == b"+ "
    assert c.run(plain).startswith(b"+OK")
    c.run("QUIT")
    c = Raw(server, user=None)
    assert c.run("AUTH LOGIN") == b"+ VXNlcm5hbWU6"
    assert c.run(base64.b64encode(ALICE.encode()).decode()) == b"+ UGFzc3dvcmQ6"
    assert c.run(base64.b64encode(PASSWORD.encode()).decode()).startswith(b"+OK")
    c.run("QUIT")
    c = Raw(server, user=None)
    assert c.run("AUTH PLAIN") == b"+ "
    assert c.run("*").startswith(b"-ERR")
    assert c.run("PASS x").startswith(b"-ERR")
    assert c.run(f"USER {ALICE}").startswith(b"+OK")
    assert c.run("PASS wrong") == b"-ERR [AUTH] Authentication failed"
    assert c.run("USER nobody@demo.example").startswith(b"+OK")
    assert c.run("PASS wrong") == b"-ERR [AUTH] Authentication failed"
    assert c.run("STAT").startswith(b"-ERR")


def test_the_maildrop_is_listed_and_read(server):
    bodies = [DOTS, b"Subject: two\r\n\r\nl1\r\nl2\r\nl3\r\n", b"Subject: three\r\n\r\n"]
    fill(server, bodies)
    c = Raw(server)
    assert c.run("STAT") == b"+OK 3 %d" % sum(map(len, bodies))
    assert c.many("LIST") == [b"%d %d" % (i + 1, len(b)) for i, b in enumerate(bodies)]
    assert c.run("LIST 2") == b"+OK 2 %d" % len(bodies[1])
    ids = c.many("UIDL")
    assert [i.split()[0] for i in ids] == [b"1", b"2", b"3"] and len({i.split()[1] for i in ids}) == 3
    assert c.run("UIDL 3") == b"+OK " + ids[2]
    assert whole(c, 1) == DOTS + b"\r\n"
    assert whole(c, 2) == bodies[1]
    assert c.many("TOP 2 1") == [b"Subject: two", b"", b"l1"]
    assert c.many("TOP 2 0") == [b"Subject: two", b""]
    assert c.many("TOP 1 2") == [b"From: a@x.example", b"Subject: dots", b"", b"..", b"...two"]
    for bad in ("RETR 4", "RETR 0", "LIST 9", "UIDL 4", "DELE 4", "TOP 9 1"):
        assert c.run(bad).startswith(b"-ERR"), bad
    c.run("QUIT")
    c = Raw(server)
    assert c.many("UIDL") == ids, "the same ids in the next session"
    for bad in ("RETR", "RETR x", "TOP 1", "TOP 1 x", "STAT 1", "NOOP 1"):
        assert c.run(bad).startswith(b"-ERR"), bad
    c.run("QUIT")


def test_deletion_waits_for_quit(server):
    fill(server, [b"Subject: %d\r\n\r\nx\r\n" % i for i in range(4)])
    c = Raw(server)
    assert c.run("DELE 2").startswith(b"+OK")
    assert c.run("DELE 2").startswith(b"-ERR")
    assert c.run("RETR 2").startswith(b"-ERR")
    assert [l.split()[0] for l in c.many("LIST")] == [b"1", b"3", b"4"]
    assert c.run("STAT").startswith(b"+OK 3 ")
    assert c.run("RSET").startswith(b"+OK")
    assert c.run("STAT").startswith(b"+OK 4 ")
    c.run("DELE 1")
    c.close()       # a lost connection removes nothing
    c = again(server)
    assert c.run("STAT").startswith(b"+OK 4 ")
    c.run("DELE 1")
    c.run("DELE 3")
    assert c.run("QUIT").startswith(b"+OK")
    c = Raw(server)
    assert c.run("STAT").startswith(b"+OK 2 ")
    assert whole(c, 1).startswith(b"Subject: 1") and whole(c, 2).startswith(b"Subject: 3")
    c.run("QUIT")


def again(server):
    """Logs in once the lost session before is gone."""
    def attempt():
        c = Raw(server, user=None)
        c.run(f"USER {ALICE}")
        if c.run(f"PASS {PASSWORD}").startswith(b"+OK"):
            return c
        c.close()
    return postbus.wait(attempt, "the lock of a lost session")


def test_one_session_holds_the_mailbox(server):
    fill(server, [b"Subject: 1\r\n\r\nx\r\n"])
    c, d = Raw(server), Raw(server, user=None)
    d.run(f"USER {ALICE}")
    assert d.run(f"PASS {PASSWORD}").startswith(b"-ERR [IN-USE]")
    assert Raw(server, user="bob@demo.example").run("STAT").startswith(b"+OK")
    server.send(postbus.message("late"))
    server.wait_messages(2)
    assert c.run("STAT").startswith(b"+OK 1 "), "what comes later belongs to the next session"
    assert c.run("QUIT").startswith(b"+OK")
    d.login()
    assert d.run("STAT").startswith(b"+OK 2 ")
    assert whole(d, 2).startswith(b"Return-Path: <someone@remote.example>\r\nDelivered-To: alice@demo.example\r\n")
    d.run("QUIT")


def test_a_changed_setting_holds_for_a_session_at_work(server):
    c = Raw(server, user=None, clear=True)
    assert c.run(f"USER {ALICE}").startswith(b"-ERR [SYS/PERM]")
    server.ctl("config", "set", "svc_pop3", "cleartext_login", "true")
    try:
        assert c.run(f"USER {ALICE}").startswith(b"+OK")
    finally:
        server.ctl("config", "set", "svc_pop3", "cleartext_login", "false")
    assert c.run(f"USER {ALICE}").startswith(b"-ERR [SYS/PERM]")


def test_pipelining(server):
    fill(server, [b"Subject: 1\r\n\r\nx\r\n", b"Subject: 2\r\n\r\ny\r\n"])
    c = Raw(server, user=None)
    c.send(f"USER {ALICE}\r\nPASS {PASSWORD}\r\nSTAT\r\nRETR 2\r\nDELE 2\r\nNOOP\r\nQUIT\r\n")
    assert [c.line()[:3] for i in range(4)] == [b"+OK"] * 4
    assert c.lines() == [b"Subject: 2", b"", b"y"]
    assert [c.line()[:3] for i in range(3)] == [b"+OK"] * 3
    assert c.f.read() == b""
    assert len(server.messages()) == 1


def test_a_session_of_errors_is_closed(server):
    c = Raw(server, user=None)
    c.send("FOO\r\n" * 20)
    assert len(c.f.read().splitlines()) == 11
    c = Raw(server, user=None)
    assert c.run("USER " + "x" * 5000).startswith(b"-ERR")
    assert c.run("QUIT").startswith(b"+OK")


def test_poplib(server):
    fill(server, [DOTS, b"Subject: 2\r\n\r\ny\r\n"])
    p = server.pop3()
    assert p.stat()[0] == 2
    assert p.capa()["UIDL"] == []
    assert b"\r\n".join(p.retr(1)[1]) == DOTS
    p.dele(1)
    p.quit()
    p = server.pop3()
    assert len(p.uidl()[1]) == 1
    p.quit()


if __name__ == "__main__":
    postbus.run(sys.modules["__main__"])
