# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that hold for logins, senders and recipients: services, who may send to whom and how much, senders of groups, the welcome message."""
import email, email.policy, imaplib, itertools, os, poplib, smtplib, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import postbus
from postbus import message

counter = itertools.count(1)


def make():
    s = postbus.Server(postbus.NOWHERE)
    s.ctl("postoffice", "create", "other")
    s.ctl("domain", "create", "other.example", "--postoffice", "other")
    return s


def person(s, domain="demo.example", **settings):
    address = f"r{next(counter)}@{domain}"
    s.ctl("mailbox", "create", address, *itertools.chain(*((f"--{k.replace('_', '-')}", v) for k, v in settings.items())))
    s.ctl("mailbox", "password", address, stdin=postbus.PASSWORD + "\n")
    return address


def restrict(s, address, **settings):
    for key, value in settings.items():
        s.ctl("policy", "set", key, value, "--mailbox", address)


class Submission:
    """A session that is logged in."""

    def __init__(self, s, user):
        self.user, self.c = user, s.smtp("submission")
        self.c.starttls(context=postbus.no_check())
        self.c.login(user, postbus.PASSWORD)
        self.c.ehlo_or_helo_if_needed()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.c.close()

    def mail(self, *options):
        self.c.rset()
        return said(self.c.mail(self.user, options))

    def rcpt(self, address):
        return said(self.c.rcpt(address))

    def send(self, *to, text="Hello.\r\n"):
        assert self.mail().startswith("250")
        answers = [self.rcpt(one) for one in to]
        return said(self.c.data(message(sender=self.user, text=text))) if all(a.startswith("250") for a in answers) else answers


def said(answer):
    return f"{answer[0]} {answer[1].decode()}"


def opens(login):
    try:
        login()
        return True
    except (imaplib.IMAP4.error, poplib.error_proto, smtplib.SMTPAuthenticationError):
        return False


def test_a_login_opens_the_services_that_are_on(s):
    a = person(s)
    doors = {"imap": lambda: s.imap(a), "pop3": lambda: s.pop3(a), "smtp": lambda: Submission(s, a)}
    assert all(opens(door) for door in doors.values())
    for name in doors:
        restrict(s, a, services=name)
        assert {n: opens(door) for n, door in doors.items()} == {n: n == name for n in doors}
    restrict(s, a, services="none")
    assert not any(opens(door) for door in doors.values())
    s.ctl("policy", "unset", "services", "--mailbox", a)
    assert all(opens(door) for door in doors.values())
    assert s.ctl("policy", "set", "services", "http", "--mailbox", a, check=False)[0] == 6


def test_a_login_sends_to_whom_it_may(s):
    a, b, c = person(s), person(s), person(s, "other.example")
    with Submission(s, a) as m:
        for scope, mine, theirs, outside in (("anyone", "250", "250", "250"), ("server", "250", "250", "550"), ("postoffice", "250", "550", "550")):
            restrict(s, a, send_to=scope)
            assert m.mail().startswith("250")
            assert (m.rcpt(b)[:3], m.rcpt(c)[:3], m.rcpt("x@elsewhere.example")[:3]) == (mine, theirs, outside), scope
        assert "5.7.1" in m.rcpt(c) and "own post office" in m.rcpt(c)
        restrict(s, a, send_to="nobody")
        assert m.mail().startswith("550 5.7.1")
        s.ctl("policy", "unset", "send_to", "--mailbox", a)
        assert m.send(b).startswith("250")
    assert len(s.wait_messages(1, b)) == 1


def test_size_and_recipients_of_a_message_are_limited(s):
    a, b = person(s), [person(s) for _ in range(3)]
    restrict(s, a, send_max_size="5000", send_max_recipients="2")
    with Submission(s, a) as m:
        assert m.mail("SIZE=5001").startswith("552 5.3.4")
        assert m.mail("SIZE=5000").startswith("250")
        whole = message(sender=a, text="")
        pad = (4990 - len(whole)) // 70
        assert m.send(b[0], text=("x" * 68 + "\r\n") * pad).startswith("250")
        assert m.send(b[0], text=("x" * 68 + "\r\n") * (pad + 1)).startswith("552 5.3.4")
        assert m.mail().startswith("250")
        assert [m.rcpt(one)[:9] for one in b] == ["250 2.1.5", "250 2.1.5", "452 4.5.3"]
        assert m.c.data(message(sender=a))[0] == 250
    assert len(s.wait_messages(2, b[0])) == 2 and len(s.wait_messages(1, b[1])) == 1 and s.messages(b[2]) == []


def test_an_hour_has_so_many_recipients_across_sessions_and_restarts(s):
    a, b, c = person(s), person(s), person(s)
    restrict(s, a, send_per_hour="4")
    with Submission(s, a) as m:
        assert m.send(b, c).startswith("250")
        assert m.send(b).startswith("250")
        answers = m.send(b, c)
        assert answers[0].startswith("250") and answers[1].startswith("452 4.7.1") and "within an hour" in answers[1], answers
    s.stop()
    s.start()
    with Submission(s, a) as m:
        # Two sessions see the same room; the second one to end its message does not get it.
        with Submission(s, a) as n:
            assert m.mail().startswith("250") and m.rcpt(b).startswith("250") and n.mail().startswith("250") and n.rcpt(c).startswith("250")
            assert said(m.c.data(message(sender=a))).startswith("250")
            assert said(n.c.data(message(sender=a))).startswith("452 4.7.1")
        restrict(s, a, send_per_hour="0")
        assert m.send(b, c).startswith("250")


def outsider(s, sender, *to):
    with s.smtp() as c:
        c.ehlo()
        assert c.mail(sender)[0] == 250
        return [said(c.rcpt(one)) for one in to]


def test_a_mailbox_takes_mail_from_whom_it_wants(s):
    a, b, c = person(s), person(s), person(s, "other.example")
    for scope, mine, theirs, strangers in (("server", "250", "250", "550"), ("postoffice", "250", "550", "550"), ("nobody", "550", "550", "550"), ("anyone", "250", "250", "250")):
        restrict(s, a, receive_from=scope)
        for user, want in ((b, mine), (c, theirs)):
            with Submission(s, user) as m:
                assert m.mail().startswith("250")
                assert m.rcpt(a)[:3] == want, (scope, user)
        assert outsider(s, "someone@remote.example", a)[0][:3] == strangers
        assert outsider(s, b, a)[0][:3] == strangers        # a forged address opens nothing
    restrict(s, a, receive_from="postoffice")
    assert "550 5.7.1 this recipient does not take mail from you" in outsider(s, "someone@remote.example", a)[0]
    # By way of a group nobody asked at RCPT: the sender hears of it in a report.
    s.ctl("group", "create", "way@demo.example", "--members", a)
    with Submission(s, c) as m:
        assert m.send("way@demo.example").startswith("250")
    assert "5.7.1 This mailbox does not take mail from you" in s.wait_messages(1, c)[0].decode().replace("\r\n    ", " ").replace("\r\n ", " ")
    assert s.messages(a) == []


def test_groups_know_who_may_send_to_them(s):
    a, b, c = person(s), person(s), person(s, "other.example")
    s.ctl("group", "create", "inner@demo.example", "--members", f"{a},friend@remote.example")
    s.ctl("group", "create", "club@demo.example", "--members", f"inner@demo.example,{person(s)}")

    def answers(*senders):
        s.ctl("group", "set", "club@demo.example", "--senders", ",".join(senders))
        assert s.ctl("group", "show", "club@demo.example")["senders"] == list(senders)
        got = []
        for user in (a, b, c):
            with Submission(s, user) as m:
                assert m.mail().startswith("250")
                got.append(m.rcpt("club@demo.example")[:3])
        return got + [outsider(s, one, "club@demo.example")[0][:3] for one in ("friend@remote.example", "x@remote.example", a, "")]

    #                                          a      b      c      friend stranger forged null
    assert answers("anyone") ==               ["250", "250", "250", "250", "250", "250", "250"]
    assert answers("server") ==               ["250", "250", "250", "550", "550", "550", "550"]
    assert answers("postoffice") ==           ["250", "250", "550", "550", "550", "550", "550"]
    assert answers("members") ==              ["250", "550", "550", "250", "550", "550", "550"]
    assert answers(b, "x@remote.example") ==  ["550", "250", "550", "550", "250", "550", "550"]
    assert answers("*@remote.example") ==     ["550", "550", "550", "250", "250", "550", "550"]
    assert s.ctl("group", "set", "club@demo.example", "--senders", "everybody", check=False)[0] == 6
    # Where the envelope was accepted before anybody could be asked, a report comes back.
    s.ctl("group", "set", "club@demo.example", "--senders", "members")
    s.ctl("mailbox", "create", "way2@demo.example", "--redirect", "club@demo.example", "--no-redirect-keep")
    with Submission(s, b) as m:
        assert m.send("way2@demo.example").startswith("250")
    assert b"5.7.1" in s.wait_messages(1, b)[0]
    with Submission(s, a) as m:
        assert m.send("club@demo.example").startswith("250")
    assert len(s.wait_messages(1, a)) == 1


def test_a_value_may_begin_as_a_signature_does(s):
    for words in (("footer_text", "-- \nThe team"), ("--domain", "other.example", "footer_text", "--\nThe team")):
        assert s.ctl("policy", "set", *words)["value"] == words[-1]
        s.ctl("policy", "unset", *words[:-1])
    code, said = s.ctl("policy", "set", "footer_text", "--nosuch", check=False)
    assert code and "unknown option --nosuch" in str(said), said


def test_a_new_mailbox_begins_with_the_welcome_message(s):
    s.ctl("policy", "set", "welcome_subject", "Welcome, {name}", "--postoffice", "demo")
    s.ctl("policy", "set", "welcome_text", "Your address is {address} at {postoffice}.\nWrite to {nobody}.", "--postoffice", "demo")
    try:
        a = person(s, name="Zoë", quota_messages="1")
        s.stop()
        b = person(s, name="Made while nobody served")
        s.start()
        for address, name in ((a, "Zoë"), (b, "Made while nobody served")):
            one, = [email.message_from_bytes(m, policy=email.policy.default) for m in s.messages(address)]
            assert one["Subject"] == f"Welcome, {name}" and one["From"] == "postmaster@demo.example" and one["To"].addresses[0].addr_spec == address
            assert one.get_content().splitlines() == [f"Your address is {address} at demo.", "Write to {nobody}."]
        assert s.messages(person(s, "other.example")) == []
    finally:
        s.ctl("policy", "unset", "welcome_text", "--postoffice", "demo")
    assert s.messages(person(s)) == []


postbus.run(sys.modules[__name__], make)
