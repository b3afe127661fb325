# SPDX-License-Identifier: GPL-3.0-or-later
"""Members that mail does not reach: counted from this server's own queue and from bounces of others, probed, stopped, warned, removed; and what does not count."""
import email, email.policy, os, sys, time

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus, smtp_peer

ALICE, DEV = "alice@demo.example", "dev@demo.example"
refused = {}


def judge(session, line):
    return next((reply for address, reply in refused.items() if f"<{address}>" in line), "250 2.1.5 fine")


peer = smtp_peer.Peer({"RCPT": judge})


def make():
    return postbus.Server(config={"plugins": {"conn_smtp": {"config": {"smart_host": f"127.0.0.1:{peer.port}", "smart_host_tls": "none"}}, "conn_list": {"config": {"interval": 1}}}})


def known(server, address):
    return next((m for m in server.ctl("list", "bounces", DEV)["members"] if m["address"] == address), None)


def post(server, subject):
    server.send(f"From: a@remote.example\r\nTo: {DEV}\r\nSubject: {subject}\r\n\r\nHello.\r\n", to=(DEV,))


def bounce(server, to, address, status="5.1.1", action="failed", sender=""):
    server.send(f"From: MAILER-DAEMON@there.example\r\nTo: {to}\r\nSubject: failure\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
                f"--b\r\n\r\nIt could not be delivered.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.there.example\r\n\r\n"
                f"Final-Recipient: rfc822; {address}\r\nAction: {action}\r\nStatus: {status}\r\nDiagnostic-Code: smtp; 550 {status} no such user\r\n\r\n--b--\r\n", sender=sender, to=(to,))


def settled(server):
    postbus.wait(lambda: server.ctl("queue", "list")["items"] == [], "an empty queue")


def test_what_the_queue_gives_up_counts_and_is_reported_to_nobody(server):
    server.ctl("list", "create", DEV, "--posting", "anyone", "--owners", ALICE)
    server.ctl("list", "member", "add", DEV, "good@there.example", "gone@there.example", "full@there.example")
    refused.update({"gone@there.example": "550 5.1.1 no such user", "full@there.example": "554 5.7.1 this looks like spam"})
    day = time.time() // 86400
    post(server, "first")
    gone = postbus.wait(lambda: known(server, "gone@there.example"), "it is counted")
    assert gone["score"] == 10 and "no such user" in gone["reason"] and gone["stopped"] == ""
    assert postbus.wait(lambda: known(server, "full@there.example"), "it is counted")["score"] == 5
    assert known(server, "good@there.example") is None
    post(server, "once a day only")
    postbus.wait(lambda: len([m for m in peer.messages if b"once a day" in m[2]]) == 1, "the second post")
    settled(server)
    score = known(server, "gone@there.example")["score"]
    if time.time() // 86400 == day:
        assert score == 10
    else:
        postbus.leave_out("midnight came between two posts of one day")
    assert not [l for l in peer.lines("MAIL") if "<>" in l] and server.messages(ALICE) == []


def test_a_bounce_counts_for_the_member_it_names(server):
    server.ctl("list", "member", "add", DEV, "by.path@there.example", "by.text@there.example", "late@there.example")
    bounce(server, "dev-bounces+by.path=there.example@demo.example", "other.name@inner.example")
    bounce(server, "dev-bounces@demo.example", "by.text@there.example")
    bounce(server, "dev-bounces@demo.example", "late@there.example", "4.4.1", "delayed")
    bounce(server, "dev-bounces@demo.example", "stranger@there.example")
    assert postbus.wait(lambda: known(server, "by.path@there.example"), "by the return path")["score"] == 10
    assert postbus.wait(lambda: known(server, "by.text@there.example"), "by the text")["score"] == 10
    settled(server)
    assert known(server, "late@there.example") is None and len(server.ctl("list", "bounces", DEV)["members"]) == 4


def test_what_nobody_understands_goes_to_the_owners_and_mail_of_people_nowhere(server):
    server.send("From: x@there.example\r\nSubject: weird\r\n\r\nSomething went wrong.\r\n", sender="", to=("dev-bounces@demo.example",))
    server.send("From: x@there.example\r\nSubject: hello bounces\r\n\r\nHi.\r\n", to=("dev-bounces@demo.example",))
    server.wait_messages(1, ALICE)
    settled(server)
    assert [b"weird" in m for m in server.messages(ALICE)] == [True]


def test_with_enough_points_a_probe_decides(server):
    server.ctl("list", "set", DEV, "bounce_stop", "10")
    server.ctl("list", "set", DEV, "bounce_warn_every", "1")
    server.ctl("list", "set", DEV, "bounce_warnings", "2")
    server.ctl("list", "member", "add", DEV, "dead@there.example", "alive@there.example")
    for who in "dead", "alive":
        bounce(server, f"dev-bounces+{who}=there.example@demo.example", f"{who}@there.example")
    probes = postbus.wait(lambda: (lambda p: p if len(p) == 2 else None)([m for m in peer.messages if b"Does your address work" in m[2]]), "two probes")
    path = next(m[0] for m in probes if "dead@" in m[1][0]).split("<")[1].split(">")[0]
    assert path.startswith("dev-probe+") and known(server, "dead@there.example")["probed"] is True
    bounce(server, "dev-probe+00000000000000000000@demo.example", "alive@there.example")
    bounce(server, path, "dead@there.example")
    postbus.wait(lambda: "event=list.stopped" in server.log(), "stopped")
    settled(server)
    assert known(server, "alive@there.example")["stopped"] == ""
    post(server, "to those left")
    postbus.wait(lambda: [m for m in peer.messages if b"to those left" in m[2] and "alive@" in m[1][0]], "the post")
    settled(server)
    assert not [m for m in peer.messages if b"to those left" in m[2] and "dead@" in m[1][0]]
    postbus.wait(lambda: any(b"dead@there.example gets no more posts" in m for m in server.messages(ALICE)), "a letter to the owner")


def test_a_probe_that_the_queue_gives_up_stops_at_once(server):
    refused["nobody@there.example"] = "550 5.1.1 no such user"
    server.ctl("list", "member", "add", DEV, "nobody@there.example")
    bounce(server, "dev-bounces+nobody=there.example@demo.example", "nobody@there.example")
    postbus.wait(lambda: (known(server, "nobody@there.example") or {}).get("stopped") == "bounces", "stopped")


def test_who_was_stopped_is_warned_and_then_removed(server):
    postbus.wait(lambda: known(server, "dead@there.example") is None, "removed", 120)
    warnings = [m for m in peer.messages if "dead@" in m[1][0] and b"You get no more posts" in m[2]]
    assert len(warnings) == 2, len(warnings)
    assert server.ctl("list", "member", "show", DEV, "dead@there.example", check=False)[0] != 0


def test_a_member_can_be_set_right_again(server):
    server.ctl("list", "set", DEV, "bounce_probe", "no")
    server.ctl("list", "set", DEV, "bounce_warn_every", "7d")
    server.ctl("list", "member", "add", DEV, "back@there.example")
    bounce(server, "dev-bounces+back=there.example@demo.example", "back@there.example")
    postbus.wait(lambda: (known(server, "back@there.example") or {}).get("stopped") == "bounces", "stopped without a probe")
    server.ctl("list", "member", "set", DEV, "back@there.example", "--stopped", "no")
    assert known(server, "back@there.example") is None


postbus.run(sys.modules[__name__], make)
