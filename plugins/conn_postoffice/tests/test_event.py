# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs at deliveries: what they are told, and that those which hang, crash, print garbage, fork or are not there hold nothing up."""
import os, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus
from postbus import wait

ALICE, BOB = "alice@demo.example", "bob@demo.example"


def program(server, name, text):
    path = os.path.join(server.home, name)
    with open(path, "w") as f:
        f.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


def mail(subject):
    return f"From: x@remote.example\r\nTo: {ALICE}\r\nSubject: {subject}\r\n\r\nhello\r\n"


def test_a_program_hears_of_each_delivery(server):
    seen = os.path.join(server.home, "seen")
    tell = program(server, "tell", f'echo "$2 $POSTBUS_SENDER $POSTBUS_ADDRESS $POSTBUS_UID $(grep -c Subject "$1") $(grep -c hello)" >> {seen}\n')
    server.ctl("policy", "set", "event_program", tell, "--postoffice", "demo")
    queued = server.send(mail("one"), to=(ALICE, BOB))
    lines = wait(lambda: (lambda l: l if len(l) == 2 else None)(open(seen).read().splitlines() if os.path.exists(seen) else []), "both deliveries")
    assert sorted(lines) == sorted(f"{queued} someone@remote.example {a} 1 1 1" for a in (ALICE, BOB)), lines
    server.ctl("policy", "set", "event_program", "", "--mailbox", BOB)
    server.send(mail("two"), to=(BOB,))
    server.send(mail("three"), to=(ALICE,))
    wait(lambda: len(open(seen).read().splitlines()) == 3, "one more")
    assert ALICE in open(seen).read().splitlines()[2]


NAP = 100000 + os.getpid()


def test_bad_programs_hold_nothing_up(server):
    bad = {"hangs": f"sleep {NAP}\n", "crashes": "kill -SEGV $$\n", "garbage": "head -c 1000000 /dev/urandom; exit 3\n", "forks": f"(sleep {NAP} &) ; (setsid sleep {NAP} &) ; exit 0\n"}
    programs = [program(server, name, text) for name, text in bad.items()] + [os.path.join(server.home, "absent")]
    for k, path in enumerate(programs):
        server.ctl("config", "set", "conn_postoffice", "event_timeout", "1s" if k == 0 else "600s")      # the others end by themselves, when they get on
        server.ctl("policy", "set", "event_program", path, "--mailbox", ALICE)
        before = len(server.messages())
        server.send(mail(f"bad {k}"), to=(ALICE,))
        server.wait_messages(before + 1)
        server.wait_log("event=event\\.failed .*time was over") if k == 0 else None
    for word in ("time was over", "ended with 139", "ended with 3", "absent"):
        server.wait_log(rf"event=event\.failed .*{word}", 30)
    wait(lambda: not os.popen(f"pgrep -f '[s]leep {NAP}'").read(), "what they left behind is gone", 120)


postbus.run(sys.modules[__name__], lambda: postbus.Server(postbus.NOWHERE))
