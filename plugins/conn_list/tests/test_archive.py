# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive of a list: posts as members get them in a public folder, once; read by who belongs to the list and nobody else, whatever IMAP command he tries; written by administrators."""
import email, imaplib, os, sys, time

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus

ALICE, BOB, DEV = "alice@demo.example", "bob@demo.example", "dev@demo.example"
DEMO = ("--postoffice", "demo")


def post(server, subject, to=DEV, extra=""):
    server.send(f"From: a@remote.example\r\nTo: {to}\r\nSubject: {subject}\r\n{extra}\r\nHello.\r\n", to=(to,))


def archived(server, folder="Lists/dev"):
    return next((f["messages"] for f in server.ctl("public", "list", *DEMO)["folders"] if f["folder"] == folder), None)


def names(box):
    return [row.split(b' "/" ')[1].strip(b'"').decode() for row in box.list('""', '"Public*"')[1] if row]


def test_posts_go_there_as_members_get_them(server):
    server.ctl("mailbox", "set", ALICE, "--role", "user")
    server.ctl("list", "create", DEV, "--posting", "anyone")
    server.ctl("list", "member", "add", DEV, ALICE, "--delivery", "none")
    server.ctl("list", "member", "add", DEV, BOB)
    server.ctl("list", "set", DEV, "prefix", "[dev]")
    server.ctl("list", "set", DEV, "archive", "yes")
    assert archived(server) == 0
    post(server, "first")
    post(server, "not for keeping", extra="X-No-Archive: Yes\r\n")
    post(server, "second")
    server.wait_messages(3, BOB)
    assert archived(server) == 2
    with_fields = server.imap(ALICE)
    assert with_fields.select("Public/Lists/dev", readonly=True) == ("OK", [b"2"])
    first = with_fields.fetch("1", "(BODY.PEEK[])")[1][0][1]
    assert b"Subject: [dev] first" in first and b"List-Id:" in first and b"Hello." in first
    with_fields.logout()


def test_members_read_it_and_do_not_write(server):
    box = server.imap(ALICE)
    assert "Public/Lists/dev" in names(box)
    try:
        box.select("Public/Lists/dev")
        raise AssertionError("it can be written")
    except box.readonly:
        box.select("Public/Lists/dev", readonly=True)
    assert box.copy("1", "INBOX")[0] == "OK"
    assert b"NOPERM" in box.append("Public/Lists/dev", None, None, b"Subject: mine\r\n\r\n")[1][0]
    box.select("INBOX")
    assert box.copy("1", "Public/Lists/dev")[0] == "NO" and archived(server) == 2
    box.logout()


def test_get_sends_posts_to_readers(server):
    def digest(letters):
        found = [m for m in letters if m.get_content_type() == "multipart/digest"]
        return [part.get_payload(0)["Subject"] for part in found[0].get_payload()] if found else None

    before = len(server.messages(ALICE))
    box = server.imap(ALICE)
    box.select("Public/Lists/dev", readonly=True)
    months = [time.strftime("%Y-%m", time.gmtime(time.mktime(imaplib.Internaldate2tuple(got)))) for got in box.fetch("1:2", "(INTERNALDATE)")[1]]
    box.logout()
    of_the_second = ["[dev] first", "[dev] second"][months.index(months[1]):]
    for n, (what, subjects) in enumerate((("get 1", ["[dev] second"]), ("get " + months[1], of_the_second))):
        server.send(f"From: {ALICE}\r\nTo: dev-request@demo.example\r\nSubject: {what}\r\n\r\n", sender=ALICE, to=("dev-request@demo.example",))
        letters = [email.message_from_bytes(raw) for raw in server.wait_messages(before + 2 * n + 2, ALICE)[before + 2 * n:]]
        assert digest(letters) == subjects, what
    for n, (what, said) in enumerate((("get 1999-01", "no such posts"), ("get some", "or a month"), ("get", "Lists/dev"))):
        server.send(f"From: {ALICE}\r\nTo: dev-request@demo.example\r\nSubject: {what}\r\n\r\n", sender=ALICE, to=("dev-request@demo.example",))
        letter = email.message_from_bytes(server.wait_messages(before + 5 + n, ALICE)[before + 4 + n])
        assert digest([letter]) is None and said in letter.get_payload(), what


def test_for_others_it_is_not_there(server):
    server.ctl("list", "member", "remove", DEV, BOB)
    before = len(server.messages(BOB))
    server.send(f"From: {BOB}\r\nTo: dev-request@demo.example\r\nSubject: get 2\r\n\r\n", sender=BOB, to=("dev-request@demo.example",))
    assert b"read by members" in server.wait_messages(before + 1, BOB)[-1]
    box = server.imap(BOB)
    assert names(box) == ["Public", "Public/Lists"]
    assert b"HasNoChildren" in [row for row in box.list('""', '"Public/Lists"')[1]][0]
    missing = box.select("Public/None")[1]
    for name in "Public/Lists/dev", '"Public/Lists/dev/"', "PUBLIC/Lists/dev", "Public/lists/dev":
        assert box.select(name)[0] == "NO" and box.select(name, readonly=True)[0] == "NO", name
    assert box.select("Public/Lists/dev")[1] == missing
    assert box.status("Public/Lists/dev", "(MESSAGES)")[0] == "NO"
    box.append("INBOX", None, None, b"Subject: mine\r\n\r\n")
    box.select("INBOX")
    for answer in (box.append("Public/Lists/dev", None, None, b"Subject: mine\r\n\r\n"), box.copy("1", "Public/Lists/dev")):
        assert answer[0] == "NO" and b"NOPERM" not in answer[1][0]
    assert b"Lists/dev" not in b"".join(row for row in box.xatom("LIST", '"" "*" RETURN (STATUS (MESSAGES))') and box.response("LIST")[1] or [] if row)
    box.logout()
    server.ctl("list", "set", DEV, "archive_read", "postoffice")
    box = server.imap(BOB)
    assert "Public/Lists/dev" in names(box) and box.select("Public/Lists/dev", readonly=True)[0] == "OK"
    server.ctl("list", "unset", DEV, "archive_read")
    assert "Public/Lists/dev" not in names(box) and box.select("Public/Lists/dev", readonly=True)[0] == "NO"
    box.logout()


def test_owners_moderators_groups_and_administrators_read_it(server):
    box = server.imap(BOB)
    for setting in "owners", "moderators":
        server.ctl("list", "set", DEV, setting, BOB)
        assert box.select("Public/Lists/dev", readonly=True)[0] == "OK", setting
        server.ctl("list", "unset", DEV, setting)
    assert box.select("Public/Lists/dev", readonly=True)[0] == "NO"
    server.ctl("group", "create", "staff@demo.example", "--members", BOB)
    server.ctl("list", "set", DEV, "groups", "staff@demo.example")
    assert box.select("Public/Lists/dev", readonly=True)[0] == "OK"
    server.ctl("list", "unset", DEV, "groups")
    box.logout()
    server.ctl("mailbox", "set", BOB, "--role", "admin")
    box = server.imap(BOB)
    assert "Public/Lists/dev" in names(box) and box.select("Public/Lists/dev") == ("OK", [b"2"])
    box.logout()
    server.ctl("mailbox", "set", BOB, "--role", "user")


def test_the_right_goes_along_with_a_new_name(server):
    server.ctl("public", "rename", "Lists", "Old", *DEMO)
    box = server.imap(BOB)
    assert "Public/Old/dev" not in names(box) and box.select("Public/Old/dev", readonly=True)[0] == "NO"
    box.logout()
    server.ctl("public", "rename", "Old", "Lists", *DEMO)
    box = server.imap(BOB)
    assert box.select("Public/Lists/dev", readonly=True)[0] == "NO"
    box.logout()
    assert archived(server) == 2


def test_another_list_of_that_name_has_a_folder_of_its_own(server):
    server.ctl("list", "delete", DEV)
    server.ctl("list", "create", DEV, "--posting", "anyone")
    server.ctl("list", "member", "add", DEV, BOB)
    box = server.imap(BOB)
    assert box.select("Public/Lists/dev", readonly=True)[0] == "NO"
    server.ctl("list", "set", DEV, "archive", "yes")
    assert box.select("Public/Lists/dev", readonly=True)[0] == "NO" and box.select("Public/Lists/dev@demo.example", readonly=True) == ("OK", [b"0"])
    box.logout()
    assert server.ctl("list", "set", DEV, "archive_folder", "Lists/dev", check=False)[0] != 0
    assert server.ctl("list", "show", DEV)["settings"]["archive_folder"] == "Lists/dev@demo.example"


def test_a_folder_for_the_members_of_a_list(server):
    server.ctl("public", "create", "Plans", *DEMO, "--readers", "list:" + DEV)
    assert server.ctl("public", "create", "More", *DEMO, "--readers", "anybody", check=False)[0] != 0
    bob, alice = server.imap(BOB), server.imap(ALICE)
    assert "Public/Plans" in names(bob) and "Public/Plans" not in names(alice) and alice.select("Public/Plans", readonly=True)[0] == "NO"
    server.ctl("plugin", "disable", "conn_list")
    assert "Public/Plans" not in names(bob) and bob.select("Public/Plans", readonly=True)[0] == "NO"
    bob.logout()
    alice.logout()


def make():
    return postbus.Server(config={"plugins": {"agent_auth": {"enabled": False}}})  # it would ask for policies of domains that no resolver here knows


postbus.run(sys.modules[__name__], make)
