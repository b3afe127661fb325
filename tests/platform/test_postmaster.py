# SPDX-License-Identifier: GPL-3.0-or-later
"""The postmaster of a fresh home (RFC 5321 4.5.1), whom nobody has configured: mail for him is taken in every spelling, and somebody reads it."""
import sys
import postbus


def codes(server, *recipients):
    with server.smtp() as s:
        s.ehlo()
        assert s.mail("someone@remote.example")[0] == 250
        return [s.docmd(f"RCPT TO:<{to}>")[0] for to in recipients]


def test_a_fresh_demo_has_a_postmaster(server):
    to = ("postmaster", "PostMaster", "postmaster@demo.example", "POSTMASTER@Mail.Demo.Example", "postmaster@mail.demo.example", "abuse@demo.example")
    assert server.ctl("mailbox", "show", "alice@demo.example")["role"] == "admin"
    for one in to:
        with server.smtp() as s:
            s.ehlo()
            assert s.mail("someone@remote.example")[0] == 250
            code, text = s.docmd(f"RCPT TO:<{one}>")
            assert code == 250, (one, code, text)
            assert s.data(postbus.message(subject="for " + one))[0] == 250
    subjects = b"".join(server.wait_messages(len(to)))
    for one in to:
        assert f"Subject: for {one}\r\n".encode() in subjects, one
    assert codes(server, "somebody@mail.demo.example", "hostmaster@demo.example") == [554, 550], "nobody else is made up"


def test_what_cannot_be_reported_goes_to_the_postmaster(server):
    server.ctl("config", "set", "agent_mta", "double_bounce", "postmaster@mail.demo.example")
    server.ctl("mailbox", "create", "full@demo.example", "--quota-bytes", "1")
    server.send(postbus.message("nobody hears of it"), sender="", to=["full@demo.example"])
    postbus.wait(lambda: [m for m in server.messages() if b"multipart/report" in m and b"full@demo.example" in m], "the report to alice")


def test_the_first_mailbox_of_a_home_is_its_postmaster():
    with postbus.Server(demo=False) as server:
        assert codes(server, "postmaster", "postmaster@mail.demo.example") == [550, 550], "there is no mailbox yet"
        server.ctl("postoffice", "create", "first")
        server.ctl("domain", "create", "first.example", "--postoffice", "first")
        server.ctl("mailbox", "create", "one@first.example")
        server.ctl("mailbox", "create", "two@first.example")
        for to in ("postmaster", "postmaster@mail.demo.example", "postmaster@first.example"):
            assert codes(server, to) == [250]
            assert server.ctl("directory", "resolve", to)["address"] == "one@first.example"
        server.ctl("mailbox", "set", "two@first.example", "--role", "admin")
        assert server.ctl("directory", "resolve", "postmaster")["address"] == "two@first.example"
        server.stop()
        server.start()
        assert server.ctl("directory", "resolve", "postmaster")["address"] == "two@first.example"


postbus.run(sys.modules[__name__])
