# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of tracked posts: delivered, relayed, failed and delayed recipients are told apart, nobody else is bothered with reports, and what is past is removed."""
import os, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus, smtp_peer

ALICE, NEWS = "alice@demo.example", "news@demo.example"
GOOD, GONE, LATE = "good@there.example", "gone@there.example", "late@there.example"
answers = {GONE: "550 5.1.1 no such user", LATE: "450 4.2.1 come back later"}


def judge(session, line):
    return next((reply for address, reply in answers.items() if f"<{address}>" in line), "250 2.1.5 fine")


peer = smtp_peer.Peer({"EHLO": "250-peer\r\n250-DSN\r\n250 8BITMIME", "RCPT": judge})


def make():
    return postbus.Server(config={"plugins": {
        "agent_auth": {"enabled": False},  # it would ask for policies of domains that no resolver here knows
        "conn_smtp": {"config": {"smart_host": f"127.0.0.1:{peer.port}", "smart_host_tls": "none", "retry_ladder": [1], "retry_notice": 1}},
        "conn_list": {"config": {"interval": 1}}}})


def post(server, subject):
    server.send(f"From: a@remote.example\r\nTo: {NEWS}\r\nSubject: {subject}\r\n\r\nHello.\r\n", to=(NEWS,))


def results(server, subject):
    return next((p for p in server.ctl("list", "results", NEWS)["posts"] if p["subject"] == subject), None)


def counts(server, subject):
    p = results(server, subject) or {}
    return tuple(p.get(key) for key in ("recipients", "delivered", "relayed", "failed", "delayed", "waiting"))


def test_each_recipient_has_a_result(server):
    server.ctl("list", "create", NEWS, "--posting", "anyone")
    server.ctl("list", "set", NEWS, "track", "yes")
    server.ctl("list", "member", "add", NEWS, ALICE, GOOD, GONE, LATE)
    post(server, "launch")
    postbus.wait(lambda: counts(server, "launch") == (4, 1, 1, 1, 1, 0), "all four")
    shown = server.ctl("list", "results", NEWS, results(server, "launch")["post"], "--recipients")
    rows = {r["address"]: r for r in shown["recipients"]}
    assert {a: r["state"] for a, r in rows.items()} == {ALICE: "delivered", GOOD: "relayed", GONE: "failed", LATE: "delayed"}
    assert "no such user" in rows[GONE]["reason"] and "come back later" in rows[LATE]["reason"] and "127.0.0.1" in rows[GOOD]["remote"] and rows[ALICE]["at"] > 1e9
    assert len(shown["posts"]) == 1 and "next" not in shown


def test_a_delay_ends(server):
    del answers[LATE]
    postbus.wait(lambda: counts(server, "launch") == (4, 1, 2, 1, 0, 0), "the late one too")


def path_of(who):
    """Where bounces of the last post to him come back to."""
    lines = peer.lines("")
    at = max(i for i, line in enumerate(lines) if line.startswith("RCPT") and f"<{who}>" in line)
    return next(line for line in reversed(lines[:at]) if line.startswith("MAIL")).split("<")[1].split(">")[0]


def bounce(server, path, about, reason):
    server.send(f"""From: MAILER-DAEMON@there.example
To: {path}
Subject: Undelivered
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b

It did not work.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; there.example

Final-Recipient: rfc822; {about}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; {reason}

--b--
""".replace("\n", "\r\n"), sender="", to=(path,))


def state(server, who):
    shown = server.ctl("list", "results", NEWS, results(server, "launch")["post"], "--recipients")
    return next(((r["state"], r["reason"]) for r in shown["recipients"] if r["address"] == who), None)


def test_a_bounce_by_mail_changes_the_result(server):
    path = path_of(GOOD)
    assert path.startswith("news-bounces+") and path.endswith("+good=there.example@demo.example"), path
    bounce(server, path, "forwarded@elsewhere.example", "550 5.1.1 gone since yesterday")
    postbus.wait(lambda: state(server, GOOD)[0] == "failed", "the bounce is known")
    assert "gone since yesterday" in state(server, GOOD)[1] and counts(server, "launch") == (4, 1, 1, 2, 0, 0)
    assert GOOD in [m["address"] for m in server.ctl("list", "bounces", NEWS)["members"]]


def test_a_path_without_recipient_takes_him_from_the_text_and_others_change_nothing(server):
    token = path_of(LATE).split("+")[1]
    bounce(server, f"news-bounces+{token}@demo.example", "stranger@there.example", "550 5.1.1 no")         # was sent nothing
    bounce(server, "news-bounces+late=there.example@demo.example", LATE, "550 5.1.1 the older form")       # no post is named
    bounce(server, f"news-bounces+{token[::-1]}+late=there.example@demo.example", LATE, "550 5.1.1 no")    # nor here
    postbus.wait(lambda: server.ctl("queue", "list")["items"] == [], "all are read")
    assert counts(server, "launch") == (4, 1, 1, 2, 0, 0) and state(server, LATE)[0] == "relayed" and state(server, "stranger@there.example") is None
    bounce(server, f"news-bounces+{token.upper()}@demo.example", LATE, "550 5.1.1 too late")
    postbus.wait(lambda: state(server, LATE)[0] == "failed", "the bounce is known")
    assert counts(server, "launch") == (4, 1, 0, 3, 0, 0)


def test_pages_and_states(server):
    post_id = results(server, "launch")["post"]
    page = server.ctl("list", "results", NEWS, post_id, "--recipients", "--limit", "3")
    rest = server.ctl("list", "results", NEWS, post_id, "--recipients", "--after", page["next"])
    assert len(page["recipients"]) == 3 and len(rest["recipients"]) == 1 and "next" not in rest
    assert len({r["address"] for r in page["recipients"] + rest["recipients"]}) == 4
    failed = server.ctl("list", "results", NEWS, post_id, "--recipients", "--state", "failed")
    assert {r["address"] for r in failed["recipients"]} == {GONE, GOOD, LATE}
    assert server.ctl("list", "results", NEWS, "none", check=False)[0] != 0


def test_failures_count_as_bounces_and_nobody_gets_reports(server):
    assert {m["address"] for m in server.ctl("list", "bounces", NEWS)["members"]} == {GONE, GOOD, LATE}
    postbus.wait(lambda: server.ctl("queue", "list")["items"] == [], "an empty queue")
    assert not [l for l in peer.lines("MAIL") if "<>" in l] and len(server.messages(ALICE)) == 1
    assert peer.lines("RCPT") and not [l for l in peer.lines("RCPT") if "SUCCESS" in l]


def test_personal_posts_are_one_campaign(server):
    server.ctl("list", "set", NEWS, "personal", "yes")
    post(server, "dear member")
    postbus.wait(lambda: counts(server, "dear member") == (4, 1, 2, 1, 0, 0), "all four")


def test_without_track_nothing_is_kept_and_what_is_past_is_removed(server):
    server.ctl("list", "set", NEWS, "track_keep", "1")
    post(server, "short-lived")
    server.wait_messages(3, ALICE)
    server.ctl("list", "set", NEWS, "track", "no")
    post(server, "untracked")
    server.wait_messages(4, ALICE)
    postbus.wait(lambda: server.ctl("queue", "list")["items"] == [] and results(server, "short-lived") is None, "removed")
    assert [p["subject"] for p in server.ctl("list", "results", NEWS)["posts"]] == ["launch", "dear member"]


postbus.run(sys.modules[__name__], make)
