# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts and who may have them, through the control socket: kept, listed, activated, renamed, refused, and tried on a message."""
import os, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus

FILE_JUNK = 'require ["fileinto"];\nif header :contains "subject" "junk" { fileinto "Junk"; }\n'
ALICE = ("--mailbox", "alice@demo.example")


def write(server, name, text):
    path = os.path.join(server.home, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def test_scripts_are_kept_by_name_and_one_is_active(server):
    path = write(server, "a.sieve", FILE_JUNK)
    server.ctl("script", "put", "first", path, *ALICE)
    server.ctl("script", "put", "zweites Skript", path, "--activate", *ALICE)
    listed = server.ctl("script", "list", *ALICE)["scripts"]
    assert [(s["name"], s["active"]) for s in listed] == [("first", False), ("zweites Skript", True)], listed
    assert server.ctl("script", "get", "first", *ALICE)["text"] == FILE_JUNK
    assert server.ctl("script", "delete", "zweites Skript", *ALICE, check=False)[0] != 0
    server.ctl("script", "rename", "zweites Skript", "second", *ALICE)
    assert server.ctl("script", "rename", "second", "first", *ALICE, check=False)[0] != 0
    assert [s["active"] for s in server.ctl("script", "list", *ALICE)["scripts"]] == [False, True]
    server.ctl("script", "activate", *ALICE)
    server.ctl("script", "delete", "second", *ALICE)
    assert [s["name"] for s in server.ctl("script", "list", *ALICE)["scripts"]] == ["first"]
    assert server.ctl("script", "list", "--mailbox", "bob@demo.example")["scripts"] == []
    assert server.ctl("script", "list")["scripts"] == []


def test_faults_are_named_with_their_place(server):
    bad = write(server, "bad.sieve", 'require ["fileinto"];\nif header :is "a" {\n')
    code, said = server.ctl("script", "put", "x", bad, *ALICE, check=False)
    assert code != 0 and "line 3, column 1" in str(said), said
    unknown = write(server, "unknown.sieve", 'require ["vnd.nobody"];\n')
    code, said = server.ctl("script", "check", unknown, *ALICE, check=False)
    assert code != 0 and "vnd.nobody" in str(said), said
    assert "fileinto" in server.ctl("script", "check", write(server, "a.sieve", FILE_JUNK), *ALICE)["extensions"]


def test_words_of_administrators_are_not_for_users(server):
    path = write(server, "do.sieve", 'require ["vnd.postbus.do"];\nvnd_postbus_do "quarantine";\n')
    assert server.ctl("script", "put", "x", path, *ALICE, check=False)[0] != 0
    server.ctl("script", "put", "x", path, "--postoffice", "demo")
    server.ctl("script", "put", "x", path)
    assert server.ctl("script", "put", "x", path, "--postoffice", "nowhere", check=False)[0] != 0


def test_a_script_is_tried_on_a_message(server):
    message = write(server, "m.eml", "From: a@x.org\nSubject: some junk\n\nhello\n")
    tried = server.ctl("filter", "test", write(server, "a.sieve", FILE_JUNK), message)
    assert not tried["keep"] and tried["actions"] == [{"do": "fileinto", "scope": "global", "folder": "Junk"}], tried
    assert {"line": 2, "test": "value", "saw": "some junk", "outcome": True} in tried["tests"], tried
    known = write(server, "k.sieve", 'require ["vnd.postbus.item"];\nif vnd_postbus_item "spf" "fail" { discard; }\n')
    assert not server.ctl("filter", "test", known, message, "--notes", '{"spf": "fail"}')["keep"]
    assert server.ctl("filter", "test", known, message, "--notes", '{"spf": "pass"}')["keep"]


postbus.run(sys.modules[__name__])
