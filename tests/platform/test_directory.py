# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory through postbusctl and real logins: every method, what is refused, what a change means for the next login."""
import imaplib, os, poplib, sys
import postbus
from postbus import PASSWORD


def refused(s, *words, stdin=None):
    """The command fails; gives what it said."""
    code, said = s.ctl(*words, stdin=stdin, check=False)
    assert code != 0, f"{words} should have been refused"
    return str(said)


def can_login(s, user, password):
    try:
        s.imap(user, password).logout()
        return True
    except imaplib.IMAP4.error:
        return False


def test_post_offices(s):
    s.ctl("postoffice", "create", "acme", "--description", "Acme & Söhne")
    assert s.ctl("postoffice", "show", "ACME")["description"] == "Acme & Söhne"
    assert "acme" in [p["name"] for p in s.ctl("postoffice", "list")["postoffices"]]
    s.ctl("postoffice", "set", "acme", "--description", "Acme")
    assert s.ctl("postoffice", "show", "acme")["description"] == "Acme"
    assert "already" in refused(s, "postoffice", "create", "Acme")
    assert "cannot name" in refused(s, "postoffice", "create", "a/b")
    s.ctl("domain", "create", "acme.example", "--postoffice", "acme")
    assert "acme.example" in refused(s, "postoffice", "delete", "acme")
    s.ctl("domain", "delete", "acme.example")
    s.ctl("postoffice", "delete", "acme")
    assert "no post office" in refused(s, "postoffice", "show", "acme")


def test_domains(s):
    s.ctl("domain", "create", "Bücher.example", "--postoffice", "demo")
    shown = s.ctl("domain", "show", "xn--bcher-kva.example")
    assert shown["unicode"] == "bücher.example" and shown["postoffice"] == "demo"
    s.ctl("domain", "set", "bücher.example", "--description", "Books")
    assert s.ctl("domain", "show", "BÜCHER.example")["description"] == "Books"
    assert "xn--bcher-kva.example" in [d["domain"] for d in s.ctl("domain", "list", "--postoffice", "demo")["domains"]]
    for bad in "nodots", "-x.example", "a_b.example", "1.2.3.4", "a..example", "x" * 64 + ".example":
        assert "domain" in refused(s, "domain", "create", bad, "--postoffice", "demo")
    assert "already" in refused(s, "domain", "create", "DEMO.example", "--postoffice", "demo")
    s.ctl("mailbox", "create", "leser@bücher.example")
    assert "leser@" in refused(s, "domain", "delete", "bücher.example")
    s.ctl("mailbox", "delete", "leser@xn--bcher-kva.example")
    s.ctl("domain", "delete", "bücher.example")
    assert "no domain" in refused(s, "domain", "show", "bücher.example")


def test_mailboxes(s):
    made = s.ctl("mailbox", "create", "carol@demo.example", "--name", "Carol", "--quota-bytes", "1M", "--quota-messages", "5")
    assert (made["name"], made["quota_bytes"], made["role"], made["enabled"]) == ("Carol", 1048576, "user", True)
    shown = s.ctl("mailbox", "show", "CAROL@demo.example")
    assert shown["mailbox"] == made["mailbox"] and shown["used_messages"] == 0 and shown["has_password"] is False
    assert s.ctl("mailbox", "show", made["mailbox"])["address"] == "carol@demo.example"
    s.ctl("mailbox", "set", "carol@demo.example", "--role", "admin", "--aliases", "c@demo.example")
    assert s.ctl("mailbox", "show", "c@demo.example")["role"] == "admin"
    assert "already" in refused(s, "mailbox", "create", "C@demo.example")
    assert "no domain" in refused(s, "mailbox", "create", "x@elsewhere.example")
    refused(s, "mailbox", "create", "a b@demo.example")
    refused(s, "mailbox", "set", "carol@demo.example", "--role", "king")
    s.ctl("mailbox", "set", "carol@demo.example", "--new-address", "karla@demo.example")
    assert "karla@demo.example" in [m["address"] for m in s.ctl("mailbox", "list", "--domain", "demo.example")["mailboxes"]]
    s.ctl("mailbox", "delete", "karla@demo.example")
    assert "no mailbox" in refused(s, "mailbox", "show", made["mailbox"])
    page = s.ctl("mailbox", "list", "--limit", "1")
    assert len(page["mailboxes"]) == 1
    rest = s.ctl("mailbox", "list", "--after", page["next"])["mailboxes"]
    assert page["mailboxes"][0]["address"] not in [m["address"] for m in rest] and rest


def test_a_deleted_mailbox_leaves_nothing_to_the_next_of_its_name(s):
    s.ctl("mailbox", "create", "dora@demo.example")
    s.send(postbus.message("first", to="dora@demo.example"), to=["dora@demo.example"])
    postbus.wait(lambda: s.ctl("mailbox", "show", "dora@demo.example")["used_messages"] == 1, "the message")
    s.ctl("mailbox", "delete", "dora@demo.example")
    s.ctl("mailbox", "create", "dora@demo.example")
    assert s.ctl("mailbox", "show", "dora@demo.example")["used_messages"] == 0
    s.send(postbus.message("second", to="dora@demo.example"), to=["dora@demo.example"])
    postbus.wait(lambda: s.ctl("mailbox", "show", "dora@demo.example")["used_messages"] == 1, "the second message")
    s.ctl("mailbox", "delete", "dora@demo.example")


def test_groups(s):
    s.ctl("group", "create", "team@demo.example", "--name", "Team", "--members", "alice@demo.example")
    s.ctl("group", "add", "team@demo.example", "bob@demo.example", "x@elsewhere.example")
    assert s.ctl("group", "show", "TEAM@demo.example")["members"] == ["alice@demo.example", "bob@demo.example", "x@elsewhere.example"]
    s.ctl("group", "remove", "team@demo.example", "bob@demo.example")
    assert [g["members"] for g in s.ctl("group", "list")["groups"] if g["address"] == "team@demo.example"] == [2]
    s.ctl("group", "set", "team@demo.example", "--name", "The team")
    assert s.ctl("group", "show", "team@demo.example")["name"] == "The team"
    assert "no member" in refused(s, "group", "remove", "team@demo.example", "bob@demo.example")
    assert "no group" in refused(s, "group", "show", "alice@demo.example")
    s.ctl("group", "delete", "team@demo.example")
    assert "no group" in refused(s, "group", "show", "team@demo.example")


def test_address_map(s):
    s.ctl("address-map", "create", "info@demo.example", "--to", "alice@demo.example")
    assert s.ctl("address-map", "show", "INFO@demo.example")["to"] == "alice@demo.example"
    s.ctl("address-map", "set", "info@demo.example", "--to", "bob@demo.example")
    assert {"address": "info@demo.example", "to": "bob@demo.example", "postoffice": "demo", "extensions": False} in s.ctl("address-map", "list")["address_maps"]
    route = s.ctl("directory", "resolve", "info+x@demo.example")
    assert route["kind"] == "mailbox" and route["address"] == "bob@demo.example"
    assert "already" in refused(s, "address-map", "create", "alice@demo.example", "--to", "bob@demo.example")
    s.ctl("address-map", "delete", "info@demo.example")
    assert "no address map" in refused(s, "address-map", "show", "info@demo.example")


def test_passwords(s):
    s.ctl("mailbox", "create", "erin@demo.example")
    assert not can_login(s, "erin@demo.example", "first password")
    s.ctl("mailbox", "password", "erin@demo.example", stdin="first password\n")
    for _ in range(3):
        assert can_login(s, "Erin@demo.example", "first password")
    assert not can_login(s, "erin@demo.example", "second password")
    assert "shorter" in refused(s, "mailbox", "password", "erin@demo.example", stdin="short\n")
    s.ctl("mailbox", "password", "erin@demo.example", stdin="second password\n")
    assert not can_login(s, "erin@demo.example", "first password")
    assert can_login(s, "erin@demo.example", "second password")
    s.ctl("mailbox", "set", "erin@demo.example", "--no-enabled")
    assert not can_login(s, "erin@demo.example", "second password")
    s.ctl("mailbox", "set", "erin@demo.example", "--enabled")
    assert can_login(s, "erin@demo.example", "second password")
    s.ctl("mailbox", "delete", "erin@demo.example")
    assert not can_login(s, "erin@demo.example", "second password")
    assert "first password" not in s.log() and "second password" not in s.log()


def test_sessions_end_with_the_login(s):
    def login(user):
        c = s.smtp("submission")
        c.starttls(context=postbus.no_check())
        c.login(user, PASSWORD)
        return c, s.imap(user), s.pop3(user)

    def ended(smtp, imap, pop3):
        assert smtp.docmd("MAIL FROM:<>")[0] == 421
        try:
            imap.noop()
            raise AssertionError("IMAP goes on")
        except imaplib.IMAP4.abort as e:
            assert "login does not hold" in str(e), e
        try:
            pop3.noop()
            raise AssertionError("POP3 goes on")
        except poplib.error_proto as e:
            assert "login does not hold" in str(e), e
    for n, act in enumerate((["mailbox", "set", "{}", "--enabled=no"], ["mailbox", "password", "{}", "--password-stdin"], ["mailbox", "delete", "{}"])):
        user = f"ends{n}@demo.example"
        s.ctl("mailbox", "create", user)
        s.ctl("mailbox", "password", user, "--password-stdin", stdin=PASSWORD + "\n")
        sessions = login(user)
        data = s.smtp("submission")
        data.starttls(context=postbus.no_check())
        data.login(user, PASSWORD)
        assert data.docmd(f"MAIL FROM:<{user}>")[0] == 250 and data.docmd("RCPT TO:<bob@demo.example>")[0] == 250 and data.docmd("DATA")[0] == 354
        s.ctl(*[w.format(user) for w in act], stdin="another horse\n")
        ended(*sessions)
        data.send(f"From: {user}\r\nSubject: too late\r\n\r\nx\r\n.\r\n")
        assert data.getreply()[0] == 421
    s.send(postbus.message("after all"), to=["bob@demo.example"])
    s.wait_messages(1, "bob@demo.example")
    assert not any(b"too late" in m for m in s.messages("bob@demo.example"))


def test_yes_and_no_are_words(s):
    s.ctl("mailbox", "create", "words@demo.example")
    for words, want in ((["--redirect-keep", "no"], False), (["--redirect-keep=yes"], True), (["--no-redirect-keep"], False), (["--redirect-keep"], True)):
        s.ctl("mailbox", "set", *words, "words@demo.example")
        assert s.ctl("mailbox", "show", "words@demo.example")["redirect_keep"] is want, words
    assert "--redirect-keep=yes|no" in s.ctl("help", "mailbox", "set", json_out=False)


def test_all_of_it_survives_a_kill(s):
    s.ctl("mailbox", "create", "frank@demo.example", "--quota-bytes", "2M")
    s.ctl("mailbox", "password", "frank@demo.example", stdin="long enough\n")
    s.ctl("group", "create", "few@demo.example", "--members", "frank@demo.example")
    s.kill()
    s.start()
    assert s.ctl("mailbox", "show", "frank@demo.example")["quota_bytes"] == 2097152
    assert s.ctl("group", "show", "few@demo.example")["members"] == ["frank@demo.example"]
    assert can_login(s, "frank@demo.example", "long enough")
    s.ctl("group", "delete", "few@demo.example")
    s.ctl("mailbox", "delete", "frank@demo.example")


def test_the_next_post_office_of_a_name_finds_nothing_of_the_one_before(server):
    script = os.path.join(server.home, "away.sieve")
    with open(script, "w") as f:
        f.write("discard;")
    server.ctl("postoffice", "create", "Gone")
    server.ctl("domain", "create", "gone.example", "--postoffice", "gone")
    server.ctl("script", "put", "main", script, "--activate", "--postoffice", "gone")
    server.ctl("filter", "add", "rule", "--postoffice", "gone", "--when", "subject contains x", "--do", "delete")
    server.ctl("public", "create", "News/Old", "--postoffice", "gone", "--write", "members")
    code, answer = server.ctl("postoffice", "delete", "gone", check=False)
    assert code and "gone.example" in str(answer), answer
    assert len(server.ctl("public", "list", "--postoffice", "gone")["folders"]) == 2, "it is not deleted, and lost nothing"
    assert server.ctl("script", "list", "--postoffice", "gone")["scripts"]
    server.ctl("domain", "delete", "gone.example")
    server.ctl("postoffice", "delete", "gone")
    server.ctl("postoffice", "create", "gone")
    server.ctl("domain", "create", "gone.example", "--postoffice", "gone")
    server.ctl("mailbox", "create", "new@gone.example")
    server.ctl("mailbox", "password", "new@gone.example", stdin=postbus.PASSWORD + "\n")
    assert server.ctl("script", "list", "--postoffice", "gone")["scripts"] == []
    assert server.ctl("filter", "list", "--postoffice", "gone")["rules"] == []
    assert server.ctl("public", "list", "--postoffice", "gone")["folders"] == []
    server.send(postbus.message("x", to="new@gone.example"), to=("new@gone.example",))
    server.wait_messages(1, "new@gone.example")


postbus.run(sys.modules[__name__])
