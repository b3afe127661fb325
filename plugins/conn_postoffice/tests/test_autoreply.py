# SPDX-License-Identifier: GPL-3.0-or-later
"""Automatic answers and notifications: who gets one, that nobody gets two, what they look like."""
import datetime, email, email.policy, os, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus
from postbus import wait

BOB = "bob@demo.example"


def user(name):
    return f"{name}@demo.example"


def fresh(server, name):
    server.ctl("mailbox", "create", user(name))
    server.ctl("mailbox", "password", user(name), stdin=postbus.PASSWORD + "\n")


def script(server, name, text):
    path = os.path.join(server.home, "test.sieve")
    with open(path, "w") as f:
        f.write(text)
    server.ctl("script", "put", "test", path, "--activate", "--mailbox", user(name))


def mail(to, sender=BOB, subject="Lunch?", extra=""):
    return f"From: Bob <{sender}>\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <lunch@x>\r\n{extra}\r\nhello\r\n"


def answers(server, sender=BOB):
    return [email.message_from_bytes(m, policy=email.policy.default) for m in server.messages(sender) if b"Auto-Submitted: auto-" in m]


def settled(server, queued, word):
    return wait(lambda: (lambda t: t if word in t else None)(str(server.ctl("trace", queued))), f"{word} in the trace")


def test_vacation_answers_once_for_each_sender(server):
    fresh(server, "away")
    script(server, "away", 'require ["vacation"];\nvacation :subject "Gone f\u00fcr a while" :addresses ["elsewhere@other.example"] "Back on M\u00e4rz 1st";\n')
    for k in range(2):
        server.send(mail(user("away"), subject=f"Lunch {k}"), sender=BOB, to=(user("away"),))
    assert len(server.wait_messages(2, user("away"))) == 2
    wait(lambda: answers(server), "an answer")
    found = answers(server)
    assert len(found) == 1, found
    a = found[0]
    assert a["subject"] == "Gone f\u00fcr a while" and a["auto-submitted"] == "auto-replied" and a["in-reply-to"] == "<lunch@x>" and "<lunch@x>" in a["references"]
    assert a["to"] == BOB and a["from"].addresses[0].addr_spec == user("away") and "Back on M\u00e4rz 1st" in a.get_content()
    assert a["return-path"] == "<>", a["return-path"]


def test_no_answer_to_lists_programs_bounces_and_blind_copies(server):
    fresh(server, "quiet")
    script(server, "quiet", 'require ["vacation"];\nvacation "away";\n')
    to = user("quiet")
    cases = [("", {"extra": "Precedence: bulk\r\n"}, BOB), ("", {"extra": "List-Id: <l.example>\r\n"}, BOB), ("", {"extra": "Auto-Submitted: auto-generated\r\n"}, BOB), ("", {}, ""),
             ("", {}, "owner-list@demo.example"), ("", {}, "x-request@demo.example"), ("", {}, "MAILER-DAEMON@demo.example"), ("undisclosed:;", {}, BOB), ("", {}, to)]
    for shown, more, sender in cases:
        queued = server.send(mail(shown or to, **more), sender=sender, to=(to,))
        assert "autoreply.none" in settled(server, queued, "delivered"), (shown, more, sender)
    assert not [a for a in answers(server) if a["from"].addresses[0].addr_spec == to]


def test_a_mailbox_has_an_autoreply_of_its_own(server):
    fresh(server, "own")
    fresh(server, "asker")
    ask = user("asker")
    past, future = ((datetime.datetime.utcnow() + datetime.timedelta(days=d)).strftime("%Y-%m-%dT%H:%M:%SZ") for d in (-1, 1))
    setting = '{"enabled": true, "subject": "On leave", "text": "plain words", "html": "<p>rich words</p>", "from": "%s", "until": "%s", "period_seconds": 3600}'
    server.ctl("policy", "set", "autoreply", setting % (future, future), "--mailbox", user("own"))
    settled(server, server.send(mail(user("own"), sender=ask), sender=ask, to=(user("own"),)), "delivered")
    assert not answers(server, ask)
    server.ctl("policy", "set", "autoreply", setting % (past, future), "--mailbox", user("own"))
    server.send(mail(user("own"), sender=ask), sender=ask, to=(user("own"),))
    a = wait(lambda: answers(server, ask), "an answer")[0]
    assert a["subject"] == "On leave" and a.get_content_type() == "multipart/alternative", a
    assert "plain words" in a.get_body(("plain",)).get_content() and "rich words" in a.get_body(("html",)).get_content()


def test_notify_by_mail(server):
    fresh(server, "watch")
    fresh(server, "pager")
    script(server, "watch", 'require ["enotify", "fileinto"];\nnotify :importance "1" :message "Mail!" "mailto:pager@demo.example";\nfileinto "Archive";\n')
    server.send(mail(user("watch")), sender=BOB, to=(user("watch"),))
    assert len(server.wait_messages(1, user("watch"), "Archive")) == 1
    n = wait(lambda: answers(server, user("pager")), "a notification")[0]
    assert n["subject"] == "Mail!" and n["auto-submitted"] == "auto-notified" and n["x-priority"] == "1" and "Lunch?" in n.get_content(), n
    queued = server.send(mail(user("watch"), extra="Auto-Submitted: auto-notified\r\n"), sender=BOB, to=(user("watch"),))
    assert "notify.none" in settled(server, queued, "delivered")


def test_copies_of_what_is_sent_are_filed_beside_the_message(server):
    fresh(server, "files")
    script(server, "files", 'require ["vacation", "vacation-seconds", "enotify", "fcc", "mailbox", "imap4flags"];\nvacation :seconds 0 :fcc "INBOX" "away";\n'
           'notify :fcc "Told" :create :flags ["\\\\Seen", "told"] :message "Mail!" "mailto:bob@demo.example";\n')
    for n in (1, 2):
        server.send(mail(user("files")), sender=BOB, to=(user("files"),))
        said = [email.message_from_bytes(m, policy=email.policy.default)["subject"] for m in server.wait_messages(2 * n, user("files"))]
        assert sorted(said) == ["Auto: Lunch?"] * n + ["Lunch?"] * n, said
        assert [b"Subject: Mail!" in m for m in server.wait_messages(n, user("files"), "Told")] == [True] * n
    i = server.imap(user("files"))
    i.select("Told", readonly=True)
    flags = i.fetch("1", "(FLAGS)")[1][0]
    assert b"\\Seen" in flags and b"told" in flags, flags
    i.logout()


postbus.run(sys.modules[__name__], lambda: postbus.Server(postbus.NOWHERE))
