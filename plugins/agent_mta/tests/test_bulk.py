# SPDX-License-Identifier: GPL-3.0-or-later
"""The bulk lane: what may wait does not hold up what is personal; and messages that waited too long to be passed on."""
import os, re, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus
from postbus import wait

MAIL = "From: {sender}\r\nTo: x\r\n{more}Subject: {subject}\r\n\r\nhello\r\n"


def make():
    return postbus.Server(config={"plugins": {"agent_mta": {"config": {"event_program": "event", "event_timeout": "600s", "event_pool": 8, "workers": 2, "bulk_workers": 2,
                                                                         "retry": ["1s"]}}}}, start=False)


def user(name):
    return f"{name}@demo.example"


def fresh(server, name):
    if not server.process:
        path = os.path.join(server.home, "event")
        with open(path, "w") as f:
            f.write('#!/bin/sh\ncase $(sed "/^.$/q") in *"Subject: slow"*) while [ ! -e "$HOME/go" ]; do sleep 0.1; done;; *"Subject: stuck"*) exit 111;; esac\n')
        os.chmod(path, 0o700)
        server.start()
    server.ctl("mailbox", "create", user(name))
    server.ctl("mailbox", "password", user(name), stdin=postbus.PASSWORD + "\n")


def send(server, subject, name, more="", sender="someone@remote.example"):
    return server.send(MAIL.format(subject=subject, more=more, sender=sender), to=(user(name),), sender=sender)


def trace(server, queued, *patterns):
    return wait(lambda: (lambda t: t if all(re.search(p, t) for p in patterns) else None)(server.ctl("trace", queued, json_out=False)), f"{patterns} in the timeline of {queued}")


def test_bulk_mail_that_is_slow_holds_up_no_personal_mail(server):
    fresh(server, "b1")
    slow = [send(server, "slow", "b1", mark) for mark in ("Precedence: bulk\r\n", "List-Id: <l.example>\r\n", "Precedence: list\r\n", "Precedence: junk\r\n")]
    for queued in slow:
        trace(server, queued, "lane=agent_mta.outgoing")
    send(server, "personal", "b1")
    assert [b"Subject: personal" in m for m in server.wait_messages(1, user("b1"))] == [True]
    open(os.path.join(server.home, "go"), "w").close()
    assert len(server.wait_messages(5, user("b1"))) == 5


def test_low_priority_is_bulk_and_marks_may_not_count(server):
    fresh(server, "b2")
    path = os.path.join(server.home, "g.sieve")
    with open(path, "w") as f:
        f.write('require ["vnd.postbus.do"]; if header "subject" "low" { vnd_postbus_do "priority" "low"; keep; }')
    server.ctl("script", "put", "g", path, "--activate")
    assert trace(server, send(server, "low", "b2"), "lane=agent_mta.outgoing", "delivered").count("global priority low") == 1
    server.ctl("config", "set", "agent_mta", "bulk_marked", "false")
    assert "agent_mta.outgoing" not in trace(server, send(server, "list", "b2", "List-Id: <l.example>\r\n"), "delivered")
    server.ctl("config", "set", "agent_mta", "bulk_marked", "true")


def test_what_waits_too_long_goes_back(server):
    for name in ("b3", "author"):
        fresh(server, name)
    queued = send(server, "stuck", "b3", sender=user("author"))
    trace(server, queued, "retry")
    server.ctl("config", "set", "agent_mta", "inbound_max", "2s")
    text = trace(server, queued, "failed .*550 5.4.7 The message has waited")
    report = server.wait_messages(1, user("author"))[0]
    assert b"Status: 5.4.7" in report and b"Action: failed" in report, report
    assert "event=message.late" in server.log() and server.messages(user("b3")) == [], text


postbus.run(sys.modules[__name__], make)
