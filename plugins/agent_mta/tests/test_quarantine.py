# SPDX-License-Identifier: GPL-3.0-or-later
"""Quarantine through real ports: kept by filters of the server and of mailboxes, seen, released once, deleted, gone with time, there after a kill."""
import os, socket, subprocess, sys, threading, time

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus
from postbus import wait

MAIL = "From: someone@remote.example\r\nTo: many\r\nSubject: {subject}\r\n\r\nhello\r\n"


def user(name):
    return f"{name}@demo.example"


def fresh(server, name):
    server.ctl("mailbox", "create", user(name))
    server.ctl("mailbox", "password", user(name), stdin=postbus.PASSWORD + "\n")


def script(server, text, *owner):
    path = os.path.join(server.home, "q.sieve")
    with open(path, "w") as f:
        f.write('require ["vnd.postbus.do"];\n' + text)
    server.ctl("script", "put", "q", path, "--activate", *owner)


def send(server, subject, *names, **more):
    return server.send(MAIL.format(subject=subject), to=tuple(user(n) for n in names), **more)


def kept(server, subject):
    return [m for m in server.call("quarantine.list")["messages"] if m["subject"] == subject]


def wait_kept(server, subject, n=1):
    return wait(lambda: (lambda m: m if len(m) >= n else None)(kept(server, subject)), f"{n} of {subject} in quarantine")


def traced(server, id, words):
    """The row in quarantine is there before the message is settled, and what happened to it is written down."""
    wait(lambda: words in server.ctl("trace", id, json_out=False), f"{words} about {id}")


def quiet(server):
    wait(lambda: all(l[state] == 0 for state in ("ready", "leased", "deferred") for l in server.call("queue.counts")["lanes"]), "a quiet queue")


def test_a_filter_of_the_server_holds_a_message_back(server):
    for name in ("q1", "q2"):
        fresh(server, name)
    script(server, 'if header :contains "subject" "bad" { vnd_postbus_do "quarantine" "looks bad"; }')
    queued = send(server, "bad one", "q1", "q2")
    one = wait_kept(server, "bad one")[0]
    assert one["reason"] == "looks bad" and one["by"] == "filter" and one["message"] == queued and one["sender"] == "someone@remote.example", one
    assert sorted(one["recipients"]) == [user("q1"), user("q2")] and one["from"] == "someone@remote.example", one
    shown = server.ctl("quarantine", "show", one["id"])
    assert "Subject: bad one\r\n" in shown["header"] and shown["client"] == "127.0.0.1", shown
    traced(server, queued, "in quarantine")
    assert server.messages(user("q1")) == []
    assert time.strftime("%Y-") in server.ctl("quarantine", "list", json_out=False) and abs(one["time"] / 1e6 - time.time()) < 86400
    released = server.ctl("quarantine", "release", one["id"])
    for name in ("q1", "q2"):
        assert len(server.wait_messages(1, user(name))) == 1
    traced(server, released["message"], one["id"])
    traced(server, one["message"], f"as {released['message']}")
    assert kept(server, "bad one") == []
    assert server.ctl("quarantine", "release", one["id"], check=False)[0] != 0


def test_a_post_office_holds_back_what_is_for_its_mailboxes(server):
    for name in ("q3", "q4"):
        fresh(server, name)
    script(server, 'if header "subject" "worse" { vnd_postbus_do "quarantine"; }', "--postoffice", "demo")
    try:
        send(server, "worse", "q3", "q4")
        found = wait_kept(server, "worse", 2)
        assert sorted(m["recipients"] for m in found) == [[user("q3")], [user("q4")]] and found[0]["by"] == "filter of the postoffice", found
        mine = next(m for m in found if m["recipients"] == [user("q3")])
        server.ctl("quarantine", "release", mine["id"])
        assert len(server.wait_messages(1, user("q3"))) == 1
        assert [m["recipients"] for m in kept(server, "worse")] == [[user("q4")]] and server.messages(user("q4")) == []
    finally:
        server.ctl("script", "activate", "--postoffice", "demo")


def test_delete_removes_it(server):
    fresh(server, "q5")
    send(server, "bad for good", "q5")
    one = wait_kept(server, "bad for good")[0]
    server.ctl("quarantine", "delete", one["id"])
    assert kept(server, "bad for good") == []
    assert server.ctl("quarantine", "show", one["id"], check=False)[0] != 0


def test_it_is_there_after_a_kill_and_released_once(server):
    fresh(server, "q6")
    send(server, "bad and killed", "q6")
    one = wait_kept(server, "bad and killed")[0]
    server.kill()
    server.start()
    assert wait_kept(server, "bad and killed")[0]["id"] == one["id"]
    server.ctl("quarantine", "release", one["id"])
    server.kill()
    server.start()
    assert len(server.wait_messages(1, user("q6"))) == 1
    quiet(server)       # a kill before the message was settled lets it come again: it has been in quarantine
    assert kept(server, "bad and killed") == []
    assert len(server.messages(user("q6"))) == 1


def test_a_release_that_a_kill_cuts_off_delivers_once(server):
    """Releases one after the other, and the daemon is killed while they are made; whatever is still kept is released again."""
    fresh(server, "q8")
    wanted = [f"bad round {r}.{k}" for r in range(4) for k in range(5)]
    for subject in wanted:
        send(server, subject, "q8")
    for r in range(4):
        mine = [wait_kept(server, f"bad round {r}.{k}")[0]["id"] for k in range(5)]
        first = threading.Event()

        def release():
            for one in mine:
                subprocess.run([postbus.program("postbusctl"), "-c", server.file, "quarantine", "release", one], env=server.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                first.set()
        worker = threading.Thread(target=release)
        worker.start()
        first.wait(120)
        server.kill()
        worker.join()
        server.start()
        left = {m["id"] for m in server.ctl("quarantine", "list")["messages"]}
        for one in mine:
            if one in left:
                server.ctl("quarantine", "release", one, check=False)
    found = server.wait_messages(len(wanted), user("q8"))
    quiet(server)
    assert sorted(m.split(b"Subject: ")[1].split(b"\r\n")[0].decode() for m in server.messages(user("q8"))) == sorted(wanted), len(found)


def finds_a_virus(listener):
    while True:
        try:
            peer = listener.accept()[0]
        except OSError:
            return
        data = b""
        while not data.endswith(b"\0\0\0\0"):
            data += peer.recv(65536) or b"\0\0\0\0"
        peer.sendall(b"stream: Some.Virus FOUND\0")
        peer.close()


def test_a_scanner_s_verdict_by_setting():
    with postbus.Server(start=False) as server:
        path = os.path.join(server.home, "scan.ctl")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(8)
        threading.Thread(target=finds_a_virus, args=(listener,), daemon=True).start()
        postbus.merge_file(server.file, {"plugins": {"agent_antivirus": {"enabled": True, "config": {"socket": path, "action": "junk"}}, "conn_smtp": postbus.NOWHERE["plugins"]["conn_smtp"]}})
        server.start()
        send(server, "junk it", "alice")
        assert len(server.wait_messages(1, folder="Junk")) == 1 and server.ctl("quarantine", "list")["messages"] == []
        server.ctl("config", "set", "agent_mta", "quarantine_verdict", "quarantine")
        send(server, "hold it", "alice")
        one = wait_kept(server, "hold it")[0]
        assert one["by"] == "agent_antivirus" and "Some.Virus" in one["reason"], one
        server.ctl("quarantine", "release", one["id"])
        assert b"hold it" in server.wait_messages(1)[0]
        # A virus is no matter of taste: held with either setting, also on its way out.
        server.ctl("config", "set", "agent_mta", "quarantine_verdict", "junk")
        server.ctl("config", "set", "agent_antivirus", "action", "quarantine")
        send(server, "held anyway", "alice")
        wait_kept(server, "held anyway")
        queued = server.submit(f"From: {user('alice')}\r\nTo: x@remote.example\r\nSubject: going out\r\n\r\nhello\r\n", to=("x@remote.example",))
        wait_kept(server, "going out")
        traced(server, queued, "in quarantine")
        assert len(server.messages(folder="Junk")) == 1 and len(server.messages()) == 1
        listener.close()


def test_it_goes_with_a_domain_and_a_post_office(server):
    """Others who have the same message keep it."""
    def recipients():
        return sorted(a for m in kept(server, "bad for three") for a in m["recipients"])

    fresh(server, "q9")
    server.ctl("postoffice", "create", "leaving")
    for domain in ("leaving.example", "xn--bcher-kva.example"):
        server.ctl("domain", "create", domain, "--postoffice", "leaving")
    server.ctl("mailbox", "create", "box@leaving.example")
    server.ctl("mailbox", "create", "box@bücher.example")
    server.ctl("address-map", "create", user("q9map"), "--to", "box@leaving.example")
    to = ["box@leaving.example", "box@xn--bcher-kva.example", user("q9"), user("q9map")]
    server.send(MAIL.format(subject="bad for three"), to=tuple(to))
    wait_kept(server, "bad for three")
    assert recipients() == to
    server.ctl("address-map", "delete", user("q9map"))
    for domain in ("leaving.example", "bücher.example"):
        server.ctl("mailbox", "delete", "box@" + domain)
        server.ctl("domain", "delete", domain)
    assert recipients() == [user("q9"), user("q9map")], recipients()
    server.ctl("postoffice", "delete", "leaving")
    assert recipients() == [user("q9")], recipients()
    server.ctl("quarantine", "release", kept(server, "bad for three")[0]["id"])
    assert len(server.wait_messages(1, user("q9"))) == 1


def test_it_goes_with_time(server):
    fresh(server, "q7")
    send(server, "bad and old", "q7")
    wait_kept(server, "bad and old")
    server.ctl("config", "set", "agent_mta", "quarantine_expire", "1s")
    server.ctl("config", "set", "agent_mta", "quarantine_sweep", "1s")
    wait(lambda: not kept(server, "bad and old"), "its removal")
    assert "event=quarantine.expired" in server.log()


postbus.run(sys.modules[__name__])
