# SPDX-License-Identifier: GPL-3.0-or-later
"""What post offices want of messages that pass: footers below what their logins send, and copies for their archive."""
import email, email.policy, os, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus
from postbus import wait

ALICE, BOB = "alice@demo.example", "bob@demo.example"


def mail(subject, body="hello", sender=ALICE, to=BOB):
    return f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\n{body}\r\n"


def found(server, user, subject, folder="INBOX"):
    for m in server.messages(user, folder):
        m = email.message_from_bytes(m, policy=email.policy.default)
        if m["subject"] == subject:
            return m
    return None


def text(message):
    return message.get_content().replace("\r\n", "\n")


def test_footers_of_server_post_office_and_domain(server):
    server.ctl("policy", "set", "footer_text", "of the server")
    server.submit(mail("one"))
    assert text(wait(lambda: found(server, BOB, "one"), "it")) == "hello\n\nof the server\n"
    server.ctl("policy", "set", "footer_text", "of the office \u20ac", "--postoffice", "demo")
    server.submit(mail("two"))
    assert text(wait(lambda: found(server, BOB, "two"), "it")) == "hello\n\nof the office \u20ac\n"
    server.ctl("policy", "set", "footer_text", "of the domain", "--domain", "demo.example")
    server.submit(mail("three"))
    assert "of the domain" in text(wait(lambda: found(server, BOB, "three"), "it"))


def test_no_footer_from_outside_nor_in_what_is_signed_nor_twice(server):
    server.send(mail("four", sender="x@remote.example"))
    assert text(wait(lambda: found(server, ALICE, "four"), "it")) == "hello\n"
    signed = ('Content-Type: multipart/signed; boundary=s; micalg=pgp-sha256; protocol="application/pgp-signature"\r\n\r\n--s\r\nContent-Type: text/plain\r\n\r\nsigned\r\n--s\r\n'
              'Content-Type: application/pgp-signature\r\n\r\nsig\r\n--s--')
    server.submit(mail("five", "x").replace("\r\n\r\nx", "\r\n" + signed))
    assert "of the domain" not in wait(lambda: found(server, BOB, "five"), "it").as_string()
    server.ctl("mailbox", "set", BOB, "--redirect", "alice@demo.example")
    try:
        server.submit(mail("six"))
        assert text(wait(lambda: found(server, ALICE, "six"), "it")).count("of the domain") == 1
    finally:
        server.ctl("mailbox", "set", BOB, "--redirect", "[]")


def test_an_archive_gets_one_copy_of_each_message(server):
    server.ctl("mailbox", "create", "archive@demo.example")
    server.ctl("mailbox", "password", "archive@demo.example", stdin=postbus.PASSWORD + "\n")
    server.ctl("policy", "set", "archive_to", "archive@demo.example", "--postoffice", "demo")
    server.send(mail("seven", sender="x@remote.example"), to=(ALICE, BOB))
    server.submit(mail("eight"))
    server.submit(mail("nine", to="far@nowhere.example"), to=("far@nowhere.example",))
    copies = server.wait_messages(3, "archive@demo.example")
    assert len(copies) == 3, copies
    subjects = sorted(email.message_from_bytes(m)["subject"] for m in copies)
    assert subjects == ["eight", "nine", "seven"], subjects
    wait(lambda: found(server, ALICE, "seven") and found(server, BOB, "seven") and found(server, BOB, "eight"), "the others")
    server.ctl("policy", "unset", "archive_to", "--postoffice", "demo")
    server.submit(mail("ten"))
    wait(lambda: found(server, BOB, "ten"), "it")
    assert len(server.messages("archive@demo.example")) == 3


def test_an_archive_gets_what_the_map_leads_away_and_filters_throw_away_and_takes_it_from_anybody(server):
    server.ctl("policy", "set", "archive_to", "archive@demo.example", "--postoffice", "demo")
    server.ctl("policy", "set", "receive_from", "nobody", "--mailbox", "archive@demo.example")
    server.ctl("address-map", "create", "away@demo.example", "--to", "far@nowhere.example")
    server.ctl("filter", "add", "odd", "--when", "subject contains odd", "--do", "delete", "--postoffice", "demo")
    server.send(mail("away", sender="x@remote.example"), to=("away@demo.example",))
    server.send(mail("odd", sender="x@remote.example"), to=(ALICE,))
    for subject in ("away", "odd"):
        wait(lambda: found(server, "archive@demo.example", subject), f"{subject} in the archive")
    assert not found(server, ALICE, "odd")
    server.ctl("filter", "delete", "odd", "--postoffice", "demo")
    server.ctl("policy", "unset", "receive_from", "--mailbox", "archive@demo.example")
    server.ctl("policy", "unset", "archive_to", "--postoffice", "demo")


def test_each_post_office_archives_what_passes_from_one_to_the_other_and_answers_too(server):
    server.ctl("postoffice", "create", "other")
    server.ctl("domain", "create", "other.example", "--postoffice", "other")
    for name in ("second@demo.example", "carl@other.example"):
        server.ctl("mailbox", "create", name)
        server.ctl("mailbox", "password", name, stdin=postbus.PASSWORD + "\n")
    server.ctl("policy", "set", "archive_to", "archive@demo.example", "--postoffice", "demo")
    server.ctl("policy", "set", "archive_to", "second@demo.example", "--postoffice", "other")
    server.ctl("policy", "set", "autoreply.text", "away", "--mailbox", "carl@other.example")
    server.ctl("policy", "set", "autoreply.enabled", "yes", "--mailbox", "carl@other.example")
    server.ctl("mailbox", "set", BOB, "--redirect", "carl@other.example")
    try:
        server.send(mail("eleven", sender="x@remote.example"), sender="x@remote.example", to=(BOB,))
        for archive in ("archive@demo.example", "second@demo.example"):
            wait(lambda: found(server, archive, "eleven"), f"it in {archive}")
        server.send(mail("twelve", sender="y@remote.example", to="carl@other.example"), sender="y@remote.example", to=("carl@other.example",))
        answer = wait(lambda: found(server, "second@demo.example", "Auto: twelve"), "the answer in the archive")
        assert answer["to"] == "y@remote.example"
    finally:
        server.ctl("mailbox", "set", BOB, "--redirect", "[]")
    for archive in ("archive@demo.example", "second@demo.example"):
        assert sum(b"Subject: eleven" in m for m in server.messages(archive)) == 1


def test_an_address_that_the_map_leads_to_another_post_office_is_mail_of_both(server):
    for office, archive in (("demo", "archive@demo.example"), ("other", "second@demo.example"), ("third", "third@demo.example")):
        if office == "third":
            server.ctl("postoffice", "create", office)
            server.ctl("domain", "create", "third.example", "--postoffice", office)
            server.ctl("mailbox", "create", archive)
            server.ctl("mailbox", "password", archive, stdin=postbus.PASSWORD + "\n")
        server.ctl("policy", "set", "archive_to", archive, "--postoffice", office)
    server.ctl("address-map", "create", "way@third.example", "--to", "way@other.example")
    server.ctl("address-map", "create", "way@other.example", "--to", BOB)
    route = server.ctl("directory", "resolve", "way@third.example")
    assert {route["archive_to"], *route["archive_also"]} == {"archive@demo.example", "second@demo.example", "third@demo.example"}, route
    assert "archive_also" not in server.ctl("directory", "resolve", BOB)
    server.send(mail("thirteen", sender="x@remote.example"), to=("way@third.example",))
    server.send(mail("fourteen", sender="x@remote.example"), to=("way@other.example",))
    for archive, subjects in (("archive@demo.example", ("thirteen", "fourteen")), ("second@demo.example", ("thirteen", "fourteen")), ("third@demo.example", ("thirteen",))):
        for subject in subjects:
            wait(lambda: found(server, archive, subject), f"{subject} in {archive}")
    wait(lambda: found(server, BOB, "thirteen") and found(server, BOB, "fourteen"), "both")
    for archive, n in (("archive@demo.example", 2), ("second@demo.example", 2), ("third@demo.example", 1)):
        assert sum(b"Subject: thirteen" in m or b"Subject: fourteen" in m for m in server.messages(archive)) == n, archive


postbus.run(sys.modules[__name__], lambda: postbus.Server(postbus.NOWHERE))
