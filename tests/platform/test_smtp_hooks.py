# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision points of conn_smtp: a plugin that hooks all of them (hook_probe) decides, and the conversation shows it."""
import sys
import postbus
from postbus import Server, message, wait

ME = "alice@demo.example"


def make():
    return Server(config={"plugin_path": postbus.path_with("conn_smtp", "hook_probe")})


def ends(code, text, want):
    assert f"{code} {text.decode()}".startswith(want), (code, text)
    assert b"\n" not in text, text


def test_connect(s):
    import socket
    import ssl
    with socket.create_connection(("127.0.0.1", s.ports["submissions"]), 120) as raw, postbus.no_check().wrap_socket(raw) as c:
        got = b""
        while True:
            more = c.recv(1000)
            if not more:
                break
            got += more
    assert got == b"550 5.7.1 not on smtp.connect\r\n", got


def test_the_kernel_asks_before_any_protocol(s):
    import socket
    with socket.create_connection(("127.0.0.1", s.ports["pop3"]), 120) as c, c.makefile("rb") as f:
        assert f.readline().startswith(b"-ERR"), "a guest who is refused"
        assert f.readline() == b""
    s.wait_log(r'event=session.refused client=127.0.0.1 listener=pop3 by=hook_probe text="no guests"')
    s.imap().logout()


def test_helo(s):
    with s.smtp() as c:
        ends(*c.docmd("EHLO reject.example"), "554 5.7.9 rejected")
        ends(*c.docmd("MAIL FROM:<a@remote.example>"), "503")
        ends(*c.docmd("EHLO defer.example"), "451 4.7.1 deferred at smtp.helo")
        assert c.docmd("EHLO fine.example")[0] == 250


def test_mail(s):
    with s.smtp() as c:
        c.ehlo()
        ends(*c.docmd("MAIL FROM:<reject@remote.example>"), "554 5.7.9 rejected")
        ends(*c.docmd("MAIL FROM:<defer@remote.example>"), "451 4.7.1 deferred at smtp.mail")
        ends(*c.docmd("MAIL FROM:<fine@remote.example>"), "250")


def test_rcpt(s):
    with s.smtp() as c:
        c.ehlo()
        c.mail("fine@remote.example")
        ends(*c.rcpt("alice+reject@demo.example"), "554 5.7.9 rejected")
        ends(*c.rcpt("alice+defer@demo.example"), "451 4.7.1 deferred at smtp.rcpt")
        ends(*c.docmd("DATA"), "554 5.5.1")
        ends(*c.rcpt(ME), "250")


def test_data(s):
    with s.smtp() as c:
        c.ehlo()
        for sender, want in (("late-no@remote.example", "550 5.7.1 no at smtp.data"), ("late-wait@remote.example", "451 4.7.1 wait at smtp.data")):
            c.mail(sender)
            c.rcpt(ME)
            ends(*c.data(message("refused by a hook")), want)
        c.mail("fine@remote.example")
        c.rcpt(ME)
        assert c.data(message("let pass by a hook"))[0] == 250
    wait(lambda: any(b"let pass by a hook" in m for m in s.messages(ME)), "the message")
    assert not any(b"refused by a hook" in m for m in s.messages(ME))


def test_headers_gather_on_top(s):
    with s.smtp() as c:
        c.ehlo("header.example")
        c.mail("header@remote.example")
        c.rcpt("alice+header@demo.example")
        assert c.data(message("with headers"))[0] == 250
        c.mail("fine@remote.example")
        c.rcpt(ME)
        assert c.data(message("the second one"))[0] == 250
        c.ehlo("fine.example")
        c.mail("fine@remote.example")
        c.rcpt(ME)
        assert c.data(message("the third one"))[0] == 250
    m = wait(lambda: next((m for m in s.messages(ME) if b"with headers" in m), None), "the message")
    head, fields = m.split(b"Received: ")[0], b"X-Probe: smtp.helo\r\nX-Probe: smtp.mail\r\nX-Probe: smtp.rcpt\r\nX-Probe: smtp.data\r\n"
    assert head.endswith(fields), m
    assert m.count(b"\r\nReceived: ") == 1, m
    m = wait(lambda: next((m for m in s.messages(ME) if b"the second one" in m), None), "the second message")
    assert b"\r\nX-Probe: smtp.helo\r\nX-Probe: smtp.data\r\nReceived: " in m, m
    m = wait(lambda: next((m for m in s.messages(ME) if b"the third one" in m), None), "the third message")
    assert b"X-Probe" not in m, m


def test_discarded_mail_is_taken_and_dropped(s):
    with s.smtp() as c:
        c.ehlo()
        c.mail("discard@remote.example")
        c.rcpt(ME)
        code, text = c.data(message("dropped by a hook"))
        assert code == 250 and b"queued" not in text, text
        c.mail("fine@remote.example")
        c.rcpt(ME)
        assert c.data(message("after the dropped one"))[0] == 250
    wait(lambda: any(b"after the dropped one" in m for m in s.messages(ME)), "the message")
    assert not any(b"dropped by a hook" in m for m in s.messages(ME))


postbus.run(sys.modules[__name__], make)
