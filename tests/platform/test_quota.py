# SPDX-License-Identifier: GPL-3.0-or-later
"""Quotas: notices at their levels, limits of folders, and what becomes of mail that does not fit: back, held, or to the postmaster."""
import email, email.policy, itertools, os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import postbus

counter = itertools.count(1)


def make():
    s = postbus.Server(config={"plugins": {"conn_postoffice": {"config": {"retry": ["1s"]}}}})
    s.ctl("mailbox", "create", "chief@demo.example", "--role", "admin")
    s.ctl("mailbox", "password", "chief@demo.example", stdin=postbus.PASSWORD + "\n")
    s.ctl("postoffice", "set", "demo", "--postmaster", "chief@demo.example")
    return s


def person(s, **settings):
    address = f"q{next(counter)}@demo.example"
    s.ctl("mailbox", "create", address, *itertools.chain(*((f"--{k.replace('_', '-')}", v) for k, v in settings.items())))
    s.ctl("mailbox", "password", address, stdin=postbus.PASSWORD + "\n")
    return address


def letter(subject="hello", size=1000, sender="someone@remote.example"):
    """A message of this size as it is sent; about 500 bytes come on top in a mailbox."""
    head = postbus.message(subject=subject, text="", sender=sender)
    return head + (b"x" * 68 + b"\r\n") * ((size - len(head)) // 70)


def parsed(s, address, folder="INBOX"):
    return [email.message_from_bytes(m, policy=email.policy.default) for m in s.messages(address, folder)]


def notices(s, address):
    return [m for m in parsed(s, address) if m["From"] and "Mail server" in m["From"] and "percent full" in m["Subject"]]


def deliver(s, address, subject, size=1000):
    """Send and see it settled, and on the disk: before that no session is shown it."""
    id = s.send(letter(subject, size), to=(address,))
    postbus.wait(lambda: not s.ctl("queue", "list")["items"], "an empty queue")
    if "delivered" in [event["what"] for event in s.ctl("trace", id)["messages"][0]["events"]]:
        postbus.wait(lambda: any(m["Subject"] == subject for m in parsed(s, address)), f"{subject} at {address}")


def empty(s, address):
    with s.imap(address) as i:
        assert int(i.select("INBOX")[1][0]) > 0, "nothing to remove"
        assert i.store("1:*", "+FLAGS", r"\Deleted")[0] == "OK" and i.expunge()[0] == "OK"


def test_the_owner_is_warned_at_each_level_and_again_once_it_fell_below(s):
    a = person(s, name="Ann Other", quota_messages="10")
    for n in range(7):
        deliver(s, a, f"m{n}")
    assert notices(s, a) == []
    deliver(s, a, "the eighth")
    one, = notices(s, a)
    assert one["Subject"] == f"Your mailbox {a} is 80 percent full" and one["Auto-Submitted"] == "auto-generated" and a in one["To"]
    assert one["From"] == "Mail server <postmaster@demo.example>" and one["Date"] and one["Message-ID"]
    assert "8 messages of 10 messages, which is 80 percent" in one.get_content()
    deliver(s, a, "the tenth with the notice")
    assert [m["Subject"].split(" is ")[1] for m in notices(s, a)] == ["80 percent full", "100 percent full"]
    empty(s, a)
    for n in range(8):
        deliver(s, a, f"n{n}")
    assert len(notices(s, a)) == 1


def test_bytes_count_too_and_the_words_are_those_of_the_post_office(s):
    a = person(s, quota_bytes="100K")
    s.ctl("policy", "set", "quota_notice_subject", "{name}: {percent} percent full in {postoffice}", "--postoffice", "demo")
    s.ctl("policy", "set", "quota_notice_text", "{used} of {limit} {other}", "--postoffice", "demo")
    s.ctl("policy", "set", "quota_warn", "30", "--mailbox", a)
    s.ctl("mailbox", "set", a, "--name", "Änne")
    try:
        deliver(s, a, "small", 20000)
        assert notices(s, a) == []
        deliver(s, a, "large", 20000)
        one, = notices(s, a)
        assert one["Subject"].startswith("Änne: 39 percent full in demo") or one["Subject"].startswith("Änne: 38 percent"), one["Subject"]
        assert " KiB of 100.0 KiB {other}" in one.get_content(), one.get_content()
    finally:
        s.ctl("policy", "unset", "quota_notice_subject", "--postoffice", "demo")
        s.ctl("policy", "unset", "quota_notice_text", "--postoffice", "demo")


def test_what_a_client_appends_or_copies_warns_as_well(s):
    a = person(s, quota_bytes="10K")
    with s.imap(a) as i:
        assert i.append("Drafts", None, None, letter("draft", 7000))[0] == "OK"
        assert notices(s, a) == []
        assert i.append("Drafts", None, None, letter("draft", 1800))[0] == "OK"
        assert len(notices(s, a)) == 1
    b = person(s, quota_messages="20")
    s.ctl("policy", "set", "quota_warn", "20", "--mailbox", b)
    for n in range(3):
        deliver(s, b, f"m{n}")
    with s.imap(b) as i:
        i.select("INBOX")
        assert i.copy("1", "Archive")[0] == "OK"
        assert len(notices(s, b)) == 1
    s.ctl("policy", "set", "quota_warn", "none", "--mailbox", b)
    empty(s, b)
    for n in range(4):
        deliver(s, b, f"m{n}")
    assert notices(s, b) == []


def test_mail_is_held_until_there_is_room(s):
    a = person(s, quota_messages="1")
    s.ctl("policy", "set", "quota_full", "hold", "--mailbox", a)
    s.ctl("policy", "set", "quota_warn", "none", "--mailbox", a)
    deliver(s, a, "first")
    id = s.send(letter("second"), to=(a,))
    postbus.wait(lambda: "452 4.2.2" in s.ctl("trace", id, json_out=False), "the second message is held")
    empty(s, a)
    subject = postbus.wait(lambda: [m["Subject"] for m in parsed(s, a)], "the held message")
    assert subject == ["second"]


def test_the_postmaster_gets_what_does_not_fit_with_a_note(s):
    a = person(s, quota_messages="1")
    s.ctl("policy", "set", "quota_full", "postmaster", "--postoffice", "demo")
    s.ctl("policy", "set", "quota_warn", "none", "--postoffice", "demo")
    try:
        deliver(s, a, "first")
        deliver(s, a, "does not fit")
        s.wait_messages(1, "chief@demo.example")
        one, = parsed(s, "chief@demo.example")
        assert one["Subject"] == f"The mailbox {a} is full: a message for it" and one["Return-Path"] == "<someone@remote.example>"
        words, original = one.iter_parts()
        assert f"does not fit into the mailbox {a}" in words.get_content() and original.get_content_type() == "message/rfc822"
        assert original.get_content()["Subject"] == "does not fit"
        assert [m["Subject"] for m in parsed(s, a)] == ["first"]
        # The postmaster has no room himself: the sender hears of it.
        s.ctl("mailbox", "set", "chief@demo.example", "--quota-messages", "1")
        b = person(s)
        s.submit(letter("does not fit either", sender=b), user=b, to=(a,))
        report = email.message_from_bytes(s.wait_messages(1, b)[0], policy=email.policy.default)
        assert report.get_content_type() == "multipart/report" and "full" in str(report)
    finally:
        s.ctl("mailbox", "set", "chief@demo.example", "--quota-messages", "0")
        s.ctl("policy", "unset", "quota_full", "--postoffice", "demo")
        s.ctl("policy", "unset", "quota_warn", "--postoffice", "demo")


def test_single_folders_have_limits(s):
    a, b = person(s), person(s)
    s.ctl("policy", "set", "quota_folders", "Trash=5K,INBOX=4K", "--mailbox", a)
    deliver(s, a, "fits", 2500)
    with s.imap(a) as i:
        assert i.append("Trash", None, None, letter("fits", 3000))[0] == "OK"
        kind, said = i.append("Trash", None, None, letter("too much", 3000))
        assert kind == "NO" and b"OVERQUOTA" in said[0], said
        i.select("INBOX")
        for command in ("COPY", "MOVE"):
            kind, said = i.uid(command, "1", "Trash")
            assert kind == "NO" and b"OVERQUOTA" in said[0], said
        assert i.append("inbox", None, None, letter("too much", 3000))[0] == "NO"
        assert i.append("Drafts", None, None, letter("no limit there", 9000))[0] == "OK"
    s.submit(letter("too much", 3000, b), user=b, to=(a,))
    report = email.message_from_bytes(s.wait_messages(1, b)[0], policy=email.policy.default)
    assert "5.2.2" in str(report)
    s.ctl("policy", "unset", "quota_folders", "--mailbox", a)
    deliver(s, a, "fits now", 3000)
    s.wait_messages(2, a)
    subjects = [m["Subject"] for m in parsed(s, a)]
    assert subjects == ["fits", "fits now"], subjects


postbus.run(sys.modules[__name__], make)
