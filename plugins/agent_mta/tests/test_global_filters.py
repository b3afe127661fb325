# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's own filters, on everything that passes, in and out, through real ports."""
import os, re, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus
from postbus import wait
from smtp_peer import Peer

REQUIRE = ('require ["fileinto", "mailbox", "imap4flags", "copy", "reject", "editheader", "variables", "enotify", "envelope", "special-use", "vnd.postbus.do", "vnd.postbus.item"];\n')
MAIL = "From: someone@remote.example\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <{subject}@remote.example>\r\n\r\nhello\r\n"
state = {}


def make():
    state["peer"] = Peer()
    return postbus.Server(config={"plugins": {"conn_smtp": {"config": {"routes": {"far.example": f"127.0.0.1:{state['peer'].port}"}, "idle_seconds": 0}}}})


def script(server, text):
    path = os.path.join(server.home, "global.sieve")
    with open(path, "w") as f:
        f.write(REQUIRE + text)
    server.ctl("script", "put", "global", path, "--activate")


def fresh(server, name):
    server.ctl("mailbox", "create", user(name))
    server.ctl("mailbox", "password", user(name), stdin=postbus.PASSWORD + "\n")


def user(name):
    return f"{name}@demo.example"


def send(server, to, subject, **more):
    return server.send(MAIL.format(to=user(to), subject=subject), to=(user(to),), **more)


def submit(server, sender, to, subject):
    return server.submit(MAIL.replace("someone@remote.example", sender).format(to=to, subject=subject), sender, (to,))


def trace(server, queued, *patterns):
    return wait(lambda: (lambda t: t if all(re.search(p, t) for p in patterns) else None)(server.ctl("trace", queued, json_out=False)), f"{patterns} in the timeline of {queued}")


def arrived(subject, n=1):
    """What the peer got under a subject."""
    return wait(lambda: (lambda m: m if len(m) >= n else None)([m for m in state["peer"].messages if f"Subject: {subject}".encode() in m[2]]), f"{subject} at the peer")


def test_without_a_filter_mail_passes(server):
    fresh(server, "plain")
    queued = send(server, "plain", "zero")
    assert len(server.wait_messages(1, user("plain"))) == 1
    assert "filter" not in trace(server, queued, "delivered")


def test_discard_by_direction_and_connector(server):
    fresh(server, "ways")
    script(server, 'if allof(vnd_postbus_item "direction" "out", header "subject" "out") { discard; }\n'
           'if allof(vnd_postbus_item "direction" "in", vnd_postbus_item "connector" "conn_smtp", header "subject" "in") { discard; }\n'
           'if allof(vnd_postbus_item "direction" "local", header "subject" "local") { discard; }\n')
    gone = [submit(server, user("ways"), "x@far.example", "out"), send(server, "ways", "in"),
            submit(server, user("ways"), user("ways"), "local")]
    for queued in gone:
        trace(server, queued, "dropped .*discarded by a filter")
    submit(server, user("ways"), "x@far.example", "local")
    send(server, "ways", "out")
    assert len(arrived("local")) == 1
    assert b"Subject: out" in server.wait_messages(1, user("ways"))[0]
    assert len(server.messages(user("ways"))) == 1


def test_reject_is_reported_to_the_sender(server):
    fresh(server, "refused")
    fresh(server, "author")
    script(server, 'if header "subject" "no" { reject "we do not\ntake this"; }')
    queued = submit(server, user("author"), user("refused"), "no")
    report = server.wait_messages(1, user("author"))[0]
    assert b"550 5.7.1 we do not take this" in report and b"Action: failed" in report, report
    trace(server, queued, "filter +global reject", "failed")
    assert server.messages(user("refused")) == []


def test_redirect_with_and_without_a_copy_runs_no_filter_again(server):
    for name in ("first", "second", "third"):
        fresh(server, name)
    script(server, 'addheader "X-Filtered" "once"; if header "subject" "copy" { redirect :copy "third@demo.example"; } if header "subject" "away" { redirect "third@demo.example"; }')
    copied, away = send(server, "first", "copy"), send(server, "second", "away")
    found = server.wait_messages(2, user("third"))
    assert len(found) == 2 and all(m.count(b"X-Filtered: once") == 1 for m in found), found
    assert len(server.wait_messages(1, user("first"))) == 1
    assert server.messages(user("second")) == []
    trace(server, away, "redirected +to=<third@demo.example>", "dropped .*sent on by a filter")
    assert trace(server, copied, "delivered .*first@", "delivered .*third@").count("global redirect") == 1


def test_a_redirect_that_leaves_and_comes_back_ends(server):
    fresh(server, "round")
    script(server, 'if envelope "to" "round@demo.example" { redirect :copy "round@far.example"; }')
    send(server, "round", "circle")
    for lap in range(1, 4):      # the peer sends it back, as a server would that redirects it here
        if lap > 1:
            server.send(arrived("circle", lap - 1)[-1][2], to=(user("round"),))
        server.wait_messages(lap, user("round"))
    queued = server.send(arrived("circle", 3)[-1][2], to=(user("round"),))
    server.wait_messages(4, user("round"))
    trace(server, queued, "redirect.loop", "delivered")
    assert len(arrived("circle", 3)) == 3


def test_fileinto_and_flags_hold_where_the_mailbox_keeps_it(server):
    fresh(server, "filed")
    fresh(server, "sorted")
    path = os.path.join(server.home, "own.sieve")
    with open(path, "w") as f:
        f.write('require ["fileinto"]; fileinto "Archive";')
    server.ctl("script", "put", "own", path, "--activate", "--mailbox", user("sorted"))
    script(server, 'fileinto :create :flags ["\\\\Flagged", "seen-by-us"] "Lists/All";')
    queued = server.send(MAIL.format(to="many", subject="filed"), to=(user("filed"), user("sorted")))
    assert len(server.wait_messages(1, user("filed"), "Lists/All")) == 1 and server.messages(user("filed")) == []
    assert len(server.wait_messages(1, user("sorted"), "Archive")) == 1
    i = server.imap(user("filed"))
    i.select('"Lists/All"')
    assert b"\\Flagged" in i.fetch("1", "(FLAGS)")[1][0] and b"seen-by-us" in i.fetch("1", "(FLAGS)")[1][0]
    i.logout()
    trace(server, queued, "filter +global fileinto Lists/All")
    script(server, 'fileinto :copy "Archive"; setflag "\\\\Seen"; keep;')
    send(server, "filed", "both")
    assert len(server.wait_messages(1, user("filed"), "Archive")) == 1 and len(server.wait_messages(1, user("filed"))) == 1


def test_a_changed_message_is_what_everybody_gets(server):
    fresh(server, "changed")
    script(server, 'deleteheader "subject"; addheader "Subject" "made anew"; addheader :last "X-Rule" "yes";')
    send(server, "changed", "before")
    submit(server, user("changed"), "x@far.example", "before")
    inside = server.wait_messages(1, user("changed"))[0]
    outside = arrived("made anew")[0][2]
    for one in (inside, outside):
        assert b"Subject: made anew\r\n" in one and b"X-Rule: yes\r\n" in one and b"Subject: before" not in one, one
    assert inside.startswith(b"Return-Path:")


def test_each_action_gets_the_message_as_it_was_when_it_was_its_turn(server):
    for name in ("sees", "early", "late"):
        fresh(server, name)
    script(server, 'redirect :copy "early@demo.example"; fileinto :copy :create "Before"; fileinto :copy :create "Too"; addheader "X-One" "1"; redirect :copy "late@demo.example"; keep; '
           'addheader "X-Two" "2"; fileinto :create "After";')
    send(server, "sees", "moments")
    for who, folder, there, away in (("sees", "Before", [], b"X-"), ("sees", "Too", [], b"X-"), ("sees", "INBOX", [b"X-One: 1"], b"X-Two"), ("sees", "After", [b"X-One: 1", b"X-Two: 2"], b"none"),
                                     ("early", "INBOX", [], b"X-"), ("late", "INBOX", [b"X-One: 1"], b"X-Two")):
        found = server.wait_messages(1, user(who), folder)
        assert len(found) == 1 and all(b + b"\r\n" in found[0] for b in there) and away not in found[0], (who, folder, found)
    submit(server, user("sees"), "x@far.example", "moments")
    outside = arrived("moments")
    assert len(outside) == 1 and b"X-One: 1" in outside[0][2] and b"X-Two" not in outside[0][2], outside


def test_spam_goes_to_junk_and_says_so(server):
    fresh(server, "spammed")
    script(server, 'if header "subject" "pills" { vnd_postbus_do "spam"; }')
    send(server, "spammed", "pills")
    assert b"X-Spam-Flag: YES\r\n" in server.wait_messages(1, user("spammed"), "Junk")[0]
    submit(server, user("spammed"), "x@far.example", "pills")
    assert arrived("pills")[0][2].count(b"X-Spam-Flag: YES\r\n") == 1


def test_notify_by_mailto(server):
    fresh(server, "watched")
    fresh(server, "watcher")
    script(server, 'if header :contains "subject" "fire" { notify :importance "1" :message "There is a fire" "mailto:watcher@demo.example?subject=Look%20at%20this"; }')
    send(server, "watched", "fire")
    notice = server.wait_messages(1, user("watcher"))[0]
    assert b"Subject: Look at this\r\n" in notice and b"There is a fire" in notice and b"Importance: high" in notice, notice
    assert b"Auto-Submitted: auto-notified; owner-email=" in notice and b"In-Reply-To: <fire@remote.example>" in notice and b"Return-Path: <>" in notice, notice
    assert b"Received: from client.example" in notice and len(server.wait_messages(1, user("watched"))) == 1
    queued = server.send(notice, to=(user("watched"),))     # a notification that somebody sends here is none to be notified of
    trace(server, queued, "delivered")
    server.wait_messages(2, user("watched"))
    assert len(server.messages(user("watcher"))) == 1


def test_notify_from_a_template(server):
    for name in ("boss", "writer", "office"):
        fresh(server, name)
    os.makedirs(os.path.join(server.home, "templates"))
    with open(os.path.join(server.home, "templates", "taken.txt"), "w") as f:
        f.write("Subject: We have {subject}\n\nDear {from}, your message of {date} to {to} was read by {filter}. {unknown} {\n")
    script(server, 'vnd_postbus_do "notify" "sender taken.txt"; vnd_postbus_do "notify" "office@demo.example taken.txt"; vnd_postbus_do "notify" "sender ../postbus.json"; keep;')
    text = MAIL.replace("someone@remote.example", user("writer")).replace("Subject: ", "Subject: =?utf-8?q?=C3=A4?= ")
    queued = server.submit(text.format(to=user("boss"), subject="offer"), user("writer"), (user("boss"),))
    for name in ("writer", "office"):
        notice = server.wait_messages(1, user(name))[0]
        assert b"Subject: We have =?utf-8?Q?=C3=A4?= offer" in notice and b"Dear writer@demo.example" in notice and b"o boss@demo.example was read" in notice and b"{unknown} {" in notice, notice
        assert b"Auto-Submitted: auto-replied" in notice, notice
    assert len(server.wait_messages(1, user("boss"))) == 1
    trace(server, queued, "notify.failed .*a template's name")
    listed = server.send("List-Id: <l.example>\r\n" + MAIL.format(to=user("boss"), subject="list"), sender=user("writer"), to=(user("boss"),))
    trace(server, listed, "notify.skipped", "delivered")


def test_what_nobody_can_do_keeps_the_message(server):
    fresh(server, "odd")
    script(server, 'vnd_postbus_do "dance" "tango"; keep;')
    trace(server, send(server, "odd", "odd"), "filter.unknown", "delivered")
    assert len(server.wait_messages(1, user("odd"))) == 1


def test_a_script_that_fails_keeps_the_message(server):
    fresh(server, "faulty")
    script(server, 'set "n" "x";' + 'set "n" "${n}${n}${n}${n}${n}${n}${n}${n}";' * 8 + "redirect \"${n}\"; discard;")
    queued = send(server, "faulty", "fault")
    trace(server, queued, "filter.fault", "delivered")
    assert len(server.wait_messages(1, user("faulty"))) == 1
    send(server, "faulty", "fault")
    assert len(server.wait_messages(2, user("faulty"))) == 2
    told = server.ctl("directory", "resolve", "postmaster@mail.demo.example")["address"]
    faults = lambda: sum(b"Your mail filter has a fault" in m for m in server.messages(told))
    wait(faults, "a letter about it")
    assert faults() == 1


postbus.run(sys.modules[__name__], make)
