# SPDX-License-Identifier: GPL-3.0-or-later
"""Public folders: made, listed, renamed and deleted by administrators, filled by filters, seen by everybody of the post office through IMAP."""
import os, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus

ALICE, BOB = "alice@demo.example", "bob@demo.example"
DEMO = ("--postoffice", "demo")


def mail(subject):
    return f"From: x@remote.example\r\nTo: {ALICE}\r\nSubject: {subject}\r\n\r\nhello\r\n"


def listed(server):
    return {f["folder"]: (f["messages"], f["write"]) for f in server.ctl("public", "list", *DEMO)["folders"]}


def test_administrators_make_rename_and_delete_them(server):
    assert listed(server) == {}
    server.ctl("public", "create", "News", *DEMO)
    server.ctl("public", "create", "Ideas/New", *DEMO, "--write", "members")
    assert server.ctl("public", "create", "News", *DEMO, check=False)[0] != 0
    assert listed(server) == {"News": (0, "admins"), "Ideas": (0, "admins"), "Ideas/New": (0, "members")}
    server.ctl("public", "rename", "Ideas/New", "Ideas/Fresh", *DEMO)
    assert listed(server)["Ideas/Fresh"] == (0, "members")
    server.ctl("public", "delete", "Ideas/Fresh", *DEMO)
    server.ctl("public", "delete", "Ideas", *DEMO)
    assert listed(server) == {"News": (0, "admins")}


def test_filters_file_into_them(server):
    server.ctl("filter", "add", "news", *DEMO, "--when", "subject contains gazette", "--do", "move to public folder News")
    server.ctl("filter", "add", "copies", *DEMO, "--when", "subject contains bulletin", "--do", "copy to public folder Board/2026")
    server.send(mail("the gazette"))
    server.send(mail("a bulletin"))
    assert len(server.wait_messages(1)) == 1
    postbus.wait(lambda: listed(server).get("News") == (1, "admins") and listed(server).get("Board/2026") == (1, "admins"), "both in their folders")
    assert [b"bulletin" in m for m in server.messages()] == [True]


def test_everybody_sees_them_by_imap_and_some_may_write(server):
    server.ctl("public", "create", "Open", *DEMO, "--write", "members")
    server.ctl("mailbox", "set", ALICE, "--role", "admin")
    boss, bob = server.imap(ALICE), server.imap(BOB)
    assert b'("Public/" "/")' in bob.namespace()[1][0]
    names = [row.split(b' "/" ')[1].strip(b'"') for row in bob.list('""', '"Public*"')[1]]
    assert names == [b"Public", b"Public/Board", b"Public/Board/2026", b"Public/News", b"Public/Open"], names
    assert bob.list('""', '"%"')[1][-1].endswith(b'"/" Public') or b"Public" in b"".join(bob.list('""', '"%"')[1])
    try:
        bob.select("Public/News")
        raise AssertionError("it can be written")
    except bob.readonly:
        bob.select("Public/News", readonly=True)
    assert b"gazette" in bob.fetch("1", "(BODY[])")[1][0][1] and b"Seen" not in bob.fetch("1", "(FLAGS)")[1][0]
    assert b"NOPERM" in bob.append("Public/News", None, None, mail("mine").encode())[1][0]
    assert b"NOPERM" in bob.create("Public/Mine")[1][0] and b"NOPERM" in bob.delete("Public/News")[1][0] and b"NOPERM" in bob.rename("Public/News", "Mine")[1][0]
    assert bob.append("Public/Open", None, None, mail("mine").encode())[0] == "OK"
    assert boss.append("Public/News", None, None, mail("theirs").encode())[0] == "OK"
    assert boss.status("Public/News", "(MESSAGES)")[1][0] == b"Public/News (MESSAGES 2)"
    assert bob.subscribe("Public/Open")[0] == "OK"
    assert b"Public/Open" in b"".join(bob.lsub('""', "*")[1])
    bob.select("Public/Open")
    assert bob.copy("1", "INBOX")[0] == "OK" and bob.copy("1", "Public/News")[0] == "NO"
    assert bob.select("Public/INBOX")[0] == "NO" and bob.select("Public/None")[0] == "NO" and bob.select("Public")[0] == "NO"
    boss.logout()
    bob.logout()


def test_a_users_script_loses_nothing_behind_their_names(server):
    script = os.path.join(server.home, "mine.sieve")
    had = len(server.messages(BOB))
    for n, name in enumerate(("Public/Mine", "Public")):
        with open(script, "w") as f:
            f.write(f'require ["fileinto", "mailbox"]; fileinto :create "{name}";')
        server.ctl("script", "put", "mine", script, "--activate", "--mailbox", BOB)
        queued = server.send(mail("where is it").replace(ALICE, BOB), to=(BOB,))
        server.wait_messages(had + n + 1, BOB)
        postbus.wait(lambda: "folder.missing" in server.ctl("trace", queued, json_out=False), "why it is in the inbox")
    server.ctl("script", "activate", "", "--mailbox", BOB)


def test_another_post_office_sees_none_of_it(server):
    server.ctl("postoffice", "create", "other")
    server.ctl("domain", "create", "other.example", "--postoffice", "other")
    server.ctl("mailbox", "create", "eve@other.example")
    server.ctl("mailbox", "password", "eve@other.example", stdin=postbus.PASSWORD + "\n")
    eve = server.imap("eve@other.example")
    assert b"Public" not in eve.namespace()[1][0] and eve.list('""', '"Public*"')[1] == [None] and eve.select("Public/News")[0] == "NO"
    eve.logout()


postbus.run(sys.modules[__name__])
