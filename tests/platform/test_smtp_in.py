# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiving side of conn_smtp: what real clients send, what hostile ones try, and that the others are unharmed meanwhile."""
import os, re, shutil, socket, subprocess, sys, tempfile
import postbus
from postbus import PASSWORD, Server, Skip, message, no_check, wait

ME, BOB = "alice@demo.example", "bob@demo.example"


def make():
    config = {"recipients_max": 100, "header_max": "8K", "size_max": "1M", "postmaster": BOB}
    return Server(config={"plugins": {"conn_smtp": {"config": config}}})


class Raw:
    """A connection that sends what it is told."""

    def __init__(self, s, listener="smtp", hello=True):
        self.socket = socket.create_connection(("127.0.0.1", s.ports[listener]), 120)
        self.file = self.socket.makefile("rb")
        self.reply()
        if hello:
            self.command("EHLO client.example")

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def reply(self):
        """The last line of a reply, or "" when the connection is closed."""
        while True:
            try:
                line = self.file.readline().decode()
            except ConnectionResetError:
                return ""
            if not line or line[3:4] != "-":
                return line.strip()

    def command(self, line):
        self.send(line + "\r\n")
        return self.reply()

    def begin(self, to=ME, sender="someone@remote.example"):
        assert self.command(f"MAIL FROM:<{sender}>").startswith("250")
        assert self.command(f"RCPT TO:<{to}>").startswith("250")
        assert self.command("DATA").startswith("354")

    def data(self, data, **envelope):
        self.begin(**envelope)
        self.send(data + b".\r\n")
        return self.reply()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()


def found(s, what, user=ME):
    """The message of a user that has these bytes."""
    return wait(lambda: next((m for m in s.messages(user) if what in m), None), f"a message with {what!r} of {user}")


def submit(s):
    c = s.smtp("submission")
    c.starttls(context=no_check())
    c.login(ME, PASSWORD)
    return c


# ---- what is put on top ----

def test_received_names_the_only_recipient(s):
    id = s.send(message("one recipient"))
    m = found(s, b"one recipient")
    top = re.search(rb"Received: from client.example \(\[127.0.0.1\]\)\r\n\tby mail.demo.example with ESMTP id (\w+)\r\n\tfor <alice@demo.example>; ", m)
    assert top and top.group(1).decode() == id, m
    s.send(message("two recipients"), to=(ME, BOB))
    assert b"\tfor <" not in found(s, b"two recipients").split(b"Subject:")[0]
    assert b"two recipients" in found(s, b"two recipients", BOB)


def test_received_tells_the_protocol(s):
    with s.smtp() as c:
        c.helo("client.example")
        c.sendmail("someone@remote.example", [ME], message("by helo"))
    assert b" with SMTP id " in found(s, b"by helo")
    with s.smtp() as c:
        c.starttls(context=no_check())
        c.sendmail("someone@remote.example", [ME], message("under tls"))
    m = found(s, b"under tls")
    assert b" with ESMTPS" in m and b"TLS1.3" in m, m


def test_a_name_that_is_none_does_not_stand_in_received(s):
    with Raw(s, hello=False) as r:
        assert r.command("EHLO (by)evil;").startswith("250")
        assert r.data(message("odd name")).startswith("250")
    assert b"Received: from unknown ([127.0.0.1])" in found(s, b"odd name")


def test_a_submission_gets_what_it_lacks(s):
    with submit(s) as c:
        c.sendmail(ME, [BOB], b"Subject: bare submission\r\n\r\ntext\r\n")
    m = found(s, b"bare submission", BOB)
    head = m.split(b"\r\n\r\n")[0]
    assert re.search(rb"\r\nDate: \w\w\w, ", head) and re.search(rb"\r\nMessage-ID: <\w+@mail.demo.example>", head) and b"\r\nFrom: <alice@demo.example>" in head, head
    assert head.startswith(b"Return-Path") and m.endswith(b"Subject: bare submission\r\n\r\ntext\r\n"), m


def test_mail_from_outside_is_not_mended(s):
    s.send(b"Subject: bare from outside\r\n\r\ntext\r\n")
    head = found(s, b"bare from outside").split(b"\r\n\r\n")[0]
    assert b"\r\nDate:" not in head and b"\r\nMessage-ID:" not in head and b"\r\nFrom:" not in head, head


def test_what_is_complete_is_left_alone(s):
    text = b"From: =?utf-8?q?Al?= <alice@demo.example>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <complete@x.example>\r\n\r\n\xfc8bit\r\n"
    with submit(s) as c:
        c.sendmail(ME, [BOB], text, ["BODY=8BITMIME"])
    assert found(s, b"complete@x.example", BOB).endswith(text)


# ---- who may ----

def test_a_sender_belongs_to_his_login(s):
    with submit(s) as c:
        assert c.mail(BOB)[0] == 553
        assert c.mail("alice@elsewhere.example")[0] == 553
        assert c.mail(ME)[0] == 250
        c.rcpt(BOB)
        assert c.data(b"From: <bob@demo.example>\r\n\r\nx\r\n")[0] == 550
        assert c.mail("")[0] == 250


def test_all_authors_belong_to_the_login(s):
    mine = b"From: <alice@demo.example>\r\n"
    wrong = {b"From: <alice@demo.example> <bob@demo.example>": b"5.6.0", b"From: (unterminated <bob@demo.example>": b"5.6.0", b"From: <>": b"5.6.0", b"From:": b"5.6.0",
             b"From: alice@demo.example, <bob@demo.example": b"5.6.0", b"From: alice@demo.example, bob@demo.example": b"5.7.1", mine + b"From: x@x": b"5.6.0",
             mine + b"Sender: bob@demo.example": b"5.7.1", mine + b"Resent-From: bob@demo.example": b"5.7.1", mine + b"resent-sender : <bob@demo.example>": b"5.7.1",
             mine + b"Sender: alice@demo.example\r\nSender: alice@demo.example": b"5.6.0", b"From: friends: bob@demo.example;": b"5.7.1"}
    for fields, want in wrong.items():
        with submit(s) as c:
            assert c.mail(ME)[0] == 250 and c.rcpt(BOB)[0] == 250
            code, said = c.data(fields + b"\r\n\r\nx\r\n")
            assert code == 550 and said.startswith(want), (fields, code, said)
    with submit(s) as c:
        assert c.mail(ME)[0] == 250 and c.rcpt(BOB)[0] == 250
        assert c.data(b"From: Al (me) <alice@demo.example>\r\nSender: alice@demo.example\r\nResent-From: a team: \"alice\"@demo.example;\r\n\r\nx\r\n")[0] == 250


def test_relay_networks(s):
    config = {"relay_networks": ["127.0.0.0/8"], "routes": {"elsewhere.example": "127.0.0.1:1"}}
    with Server(config={"plugins": {"conn_smtp": {"config": config}}}) as other, Raw(other) as r:
        assert r.command("MAIL FROM:<someone@remote.example>").startswith("250")
        assert r.command("RCPT TO:<x@elsewhere.example>").startswith("250")
    with Raw(s) as r:
        assert r.command("MAIL FROM:<someone@remote.example>").startswith("250")
        assert r.command("RCPT TO:<x@elsewhere.example>").startswith("554 5.7.1")


def test_a_wrong_network_is_named(s):
    with Server(config={"plugins": {"conn_smtp": {"config": {"relay_networks": ["10.0.0.0/99"]}}}}, start=False) as other:
        other.start(wait=False)
        assert other.process.wait(120) == 1
        assert re.search(r"postbus\.json: plugins\.conn_smtp\.config: relay_networks: '10.0.0.0/99' is no network", other.log()), other.log()


def test_postmaster_is_always_somebody(s):
    with Raw(s) as r:
        assert r.data(message("for the postmaster"), to="postmaster").startswith("250")
    found(s, b"for the postmaster", BOB)


def test_a_recipient_twice_gets_one(s):
    with Raw(s) as r:
        r.command("MAIL FROM:<someone@remote.example>")
        for _ in range(2):
            assert r.command(f"RCPT TO:<{ME}>").startswith("250")
        r.command("DATA")
        r.send(message("named twice") + b".\r\n")
        id = r.reply().split()[-1]
    found(s, b"named twice")
    wait(lambda: "delivered" in s.ctl("trace", id, json_out=False), "the delivery")
    assert sum(b"named twice" in m for m in s.messages(ME)) == 1


# ---- limits ----

def test_recipients_are_limited(s):
    with Raw(s) as r:
        r.command("MAIL FROM:<someone@remote.example>")
        for i in range(100):
            assert r.command(f"RCPT TO:<alice+tag{i}@demo.example>").startswith("250")
        assert r.command("RCPT TO:<alice+more@demo.example>").startswith("452 4.5.3")
        assert r.command("DATA").startswith("354")
        r.send(message("a hundred") + b".\r\n")
        assert r.reply().startswith("250")


def test_a_hundred_thousand_recipients_come_to_an_end(s):
    with Raw(s) as r:
        r.command("MAIL FROM:<someone@remote.example>")
        r.socket.settimeout(120)
        sent = replies = 0
        last = ""
        while sent < 100000:
            try:
                r.send("".join(f"RCPT TO:<alice+n{sent + i}@demo.example>\r\n" for i in range(100)))
            except (BrokenPipeError, ConnectionResetError):
                break
            sent += 100
            for _ in range(100):
                last = r.reply()
                replies += 1
                if not last or last.startswith("421"):
                    break
            if not last or last.startswith("421"):
                break
        assert last.startswith("421"), last
        assert replies < 1000, replies
    s.send(message("still here"))


def test_guessing_addresses_comes_to_an_end(s):
    with Raw(s) as r:
        r.command("MAIL FROM:<someone@remote.example>")
        codes = []
        while len(codes) < 1000:
            codes.append(r.command(f"RCPT TO:<guess{len(codes)}@demo.example>")[:3])
            if codes[-1] != "550":
                break
        assert codes[-1] == "421" and 50 < len(codes) < 200, len(codes)


def test_a_message_over_the_size(s):
    with Raw(s) as r:
        assert r.command("MAIL FROM:<someone@remote.example> SIZE=2000000").startswith("552 5.3.4")
        assert r.data(b"Subject: big\r\n\r\n" + b"x" * 70 + b"\r\n" * 600000).startswith("552 5.3.4")
        assert r.data(message("after the big one")).startswith("250")
    found(s, b"after the big one")


def test_an_endless_header(s):
    with Raw(s) as r:
        assert r.data(b"".join(b"X-%d: %s\r\n" % (i, b"y" * 60) for i in range(1000)) + b"\r\ntext\r\n").startswith("552 5.3.4")
        assert r.data(b"X: " + b"y" * 20000 + b"\r\n").startswith("552 5.3.4")
        assert r.data(message("after the header")).startswith("250")


def test_a_loop_is_cut(s):
    hop = b"Received: from a.example by b.example; Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    with Raw(s) as r:
        assert r.data(hop * 101 + b"Subject: x\r\n\r\n").startswith("554 5.4.6")
        assert r.data(hop * 30 + b"Subject: thirty hops\r\n\r\n").startswith("250")


def test_long_lines(s):
    with Raw(s) as r:
        assert r.command("NOOP " + "x" * 100000).startswith("500")
        assert r.command("NOOP").startswith("250")
        assert r.data(b"Subject: long line\r\n\r\n" + b"x" * 50000 + b"\r\n").startswith("250")
    assert b"x" * 50000 in found(s, b"long line")


def test_a_huge_chunk_is_not_waited_for(s):
    with Raw(s) as r:
        r.command("MAIL FROM:<someone@remote.example>")
        r.command(f"RCPT TO:<{ME}>")
        assert r.command("BDAT 900000000000 LAST").startswith("552 5.3.4")
        assert r.reply() == ""
    with Raw(s) as r:
        r.command("MAIL FROM:<someone@remote.example>")
        r.command(f"RCPT TO:<{ME}>")
        r.send(b"BDAT 1500000 LAST\r\n" + b"NOOP\r\n" * 250000)
        assert r.reply().startswith("552 5.3.4")
        assert r.command("NOOP").startswith("250")


def test_binary_chunks_arrive_as_they_are(s):
    body = b"From: a@b.example\r\nSubject: chunked\r\n\r\n" + b".\r\n..\r\n" + b"z" * 70000 + b"\r\nlast"
    with Raw(s) as r:
        r.command("MAIL FROM:<someone@remote.example>")
        r.command(f"RCPT TO:<{ME}>")
        for i in range(0, len(body), 10000):
            piece = body[i:i + 10000]
            r.send(b"BDAT %d%s\r\n" % (len(piece), b" LAST" if i + 10000 >= len(body) else b"") + piece)
        replies = [r.reply() for _ in range(0, len(body), 10000)]
        assert all(x.startswith("250") for x in replies) and "queued as" in replies[-1], replies
    assert found(s, b"Subject: chunked").endswith(body + b"\r\n")


def test_half_a_message_is_no_message(s):
    with Raw(s) as r:
        r.begin()
        r.send(b"Subject: half a message\r\n\r\ntext\r\n.\r")
    s.send(message("after half a message"))
    found(s, b"after half a message")
    assert not any(b"half a message" in m and b"after" not in m for m in s.messages(ME))


# ---- clients ----

def test_curl(s):
    if not shutil.which("curl"):
        raise Skip("curl is not installed")
    with tempfile.NamedTemporaryFile() as f:
        f.write(message("from curl", sender=ME, to=BOB))
        f.flush()
        subprocess.run(["curl", "-sS", "--ssl-reqd", "-k", f"smtp://127.0.0.1:{s.ports['submission']}/client.example", "-u", f"{ME}:{PASSWORD}", "--mail-from", ME,
                        "--mail-rcpt", BOB, "-T", f.name], check=True, timeout=120)
        subprocess.run(["curl", "-sS", "-k", f"smtps://127.0.0.1:{s.ports['submissions']}/client.example", "-u", f"{ME}:{PASSWORD}", "--login-options", "AUTH=LOGIN",
                        "--mail-from", ME, "--mail-rcpt", BOB, "-T", f.name], check=True, timeout=120)
    wait(lambda: sum(b"from curl" in m for m in s.messages(BOB)) == 2, "two messages from curl")


def test_swaks(s):
    if not shutil.which("swaks"):
        raise Skip("swaks is not installed")
    common = ["swaks", "--server", "127.0.0.1", "--ehlo", "client.example", "--silent", "2"]
    subprocess.run(common + ["--port", str(s.ports["smtp"]), "--from", "someone@remote.example", "--to", ME, "--header", "Subject: from swaks", "--pipeline"], check=True,
                   timeout=120, stdin=subprocess.DEVNULL)
    found(s, b"from swaks")
    refused = subprocess.run(common + ["--port", str(s.ports["smtp"]), "--from", ME, "--to", "x@elsewhere.example"], timeout=120, stdin=subprocess.DEVNULL)
    assert refused.returncode == 24, refused.returncode      # no recipient was accepted
    if subprocess.run(["swaks", "--support"], capture_output=True, text=True).stdout.find("TLS supported") >= 0:
        for mechanism in ("PLAIN", "LOGIN"):
            subprocess.run(common + ["--port", str(s.ports["submission"]), "--tls", "--auth", mechanism, "--auth-user", ME, "--auth-password", PASSWORD, "--from", ME, "--to", BOB,
                                     "--header", f"Subject: swaks {mechanism}"], check=True, timeout=120, stdin=subprocess.DEVNULL)
            found(s, f"swaks {mechanism}".encode(), BOB)


def test_python_smtplib(s):
    import smtplib
    with smtplib.SMTP_SSL("127.0.0.1", s.ports["submissions"], context=no_check(), timeout=120) as c:
        assert c.has_extn("auth") or c.ehlo()
        try:
            c.login(ME, "wrong")
            raise AssertionError("a wrong password was taken")
        except smtplib.SMTPAuthenticationError as e:
            assert e.smtp_code == 535
        c.login(ME, PASSWORD)
        refused = c.sendmail(ME, [BOB, "nobody@demo.example"], message("from smtplib", sender=ME))
        assert list(refused) == ["nobody@demo.example"] and refused["nobody@demo.example"][0] == 550
    found(s, b"from smtplib", BOB)


def test_changed_settings_count_for_new_sessions(s):
    with Raw(s) as old:
        assert old.command("MAIL FROM:<a@remote.example> SIZE=900000").startswith("250")
        s.ctl("config", "set", "conn_smtp", "size_max", "512K")
        with Raw(s) as new:
            assert new.command("MAIL FROM:<a@remote.example> SIZE=900000").startswith("552")
        assert old.command("RSET").startswith("250")
        assert old.command("MAIL FROM:<a@remote.example> SIZE=900000").startswith("250")


postbus.run(sys.modules[__name__], make)
