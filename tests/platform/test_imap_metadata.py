#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""GETMETADATA and SETMETADATA (RFC 5464) with Python's imaplib, annotation.* with postbusctl, and the tests of Sieve that ask for them."""
import imaplib, os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import postbus

ALICE, BOB = "alice@demo.example", "bob@demo.example"
imaplib.Commands.update(GETMETADATA=("AUTH", "SELECTED"), SETMETADATA=("AUTH", "SELECTED"))


class Client:
    def __init__(self, server, user=ALICE):
        self.i = server.imap(user)

    def set(self, *words):
        kind, data = self.i._simple_command("SETMETADATA", *words)
        return kind, data[0].decode()

    def get(self, *words):
        """The METADATA responses as imaplib has them, and the tagged answer's text."""
        kind, data = self.i._simple_command("GETMETADATA", *words)
        found = self.i._untagged_response(kind, data, "METADATA")[1]
        return kind, found, data[0].decode()


def test_entries_are_set_read_and_removed(server):
    c = Client(server)
    assert "METADATA" in c.i.capabilities or b"METADATA" in c.i.capability()[1][0].split()
    assert c.set("INBOX", '(/shared/comment "My comment" /private/Comment {6+}\r\nsecret)')[0] == "OK"
    assert c.get("INBOX", "/shared/comment")[1] == [b'INBOX (/shared/comment "My comment")']
    assert c.get("INBOX", "(/private/comment /shared/nothing)")[1] == [b'INBOX (/private/comment "secret" /shared/nothing NIL)']
    assert c.set("INBOX", "(/private/comment NIL)")[0] == "OK"
    assert c.get("INBOX", "/private/comment")[1] == [b"INBOX (/private/comment NIL)"]
    assert c.set('""', '(/shared/vendor/x/y "of the mailbox")')[0] == "OK"
    assert c.get('""', "/shared/vendor/x/y")[1] == [b'"" (/shared/vendor/x/y "of the mailbox")']
    assert c.get('""', "/shared/admin")[1] == [b'"" (/shared/admin "mailto:postmaster@mail.demo.example")']
    assert c.set('""', '(/shared/admin "x")')[1].startswith("[NOPERM]")
    assert c.set("Nowhere", '(/shared/comment "x")')[1].startswith("[NONEXISTENT]")
    assert c.get("Nowhere", "/shared/comment")[2].startswith("[NONEXISTENT]")
    assert c.set("INBOX", '(/other/comment "x")')[0] == "NO"
    other = Client(server, BOB)
    assert other.get("INBOX", "/shared/comment")[1] == [b"INBOX (/shared/comment NIL)"]
    server.stop()
    server.start()
    assert Client(server).get("INBOX", "/shared/comment")[1] == [b'INBOX (/shared/comment "My comment")']


def test_depth_and_sizes(server):
    c = Client(server)
    c.i.create("Depth")
    assert c.set("Depth", '(/shared/a "1" /shared/a/b "22" /shared/a/b/c "4444" /shared/ab "x")')[0] == "OK"
    assert c.get("(DEPTH 1)", "Depth", "/shared/a")[1] == [b'Depth (/shared/a "1" /shared/a/b "22")']
    assert c.get("Depth", "(DEPTH infinity)", "(/shared/a)")[1] == [b'Depth (/shared/a "1" /shared/a/b "22" /shared/a/b/c "4444")']
    assert c.get("(DEPTH 1)", "Depth", "/shared/none")[1] == [None]
    kind, found, text = c.get("(MAXSIZE 2 DEPTH infinity)", "Depth", "/shared/a")
    assert found[0] == b'Depth (/shared/a "1" /shared/a/b "22")' and text.startswith("[METADATA LONGENTRIES 4]"), (found, text)
    assert c.set("Depth", "(/shared/big {16385+}\r\n" + "x" * 16385 + ")")[1].startswith("[METADATA MAXSIZE 16384]")
    assert c.set("Depth", "(/shared/bin ~{3+}\r\na\0b)")[0] == "OK"
    found = c.get("Depth", "/shared/bin")[1]
    assert found[-2:] == [(b"Depth (/shared/bin ~{3}", b"a\0b"), b")"], found
    c.i.rename("Depth", "Deeper")
    assert c.get("Deeper", "/shared/a")[1] == [b'Deeper (/shared/a "1")']
    c.i.delete("Deeper")
    c.i.create("Deeper")
    assert c.get("Deeper", "/shared/a")[1] == [b"Deeper (/shared/a NIL)"]
    for k in range(5):
        last = c.set("Deeper", "(" + " ".join(f'/shared/{k}/{n} "x"' for n in range(200)) + ")")
    assert last[1].startswith("[METADATA TOOMANY]"), last


def test_bad_commands(server):
    c = Client(server)
    for words in (("INBOX",), ("INBOX", "(/shared/a"), ("(DEPTH 2)", "INBOX", "/shared/a"), ("(NOSUCH)", "INBOX", "/shared/a")):
        try:
            c.get(*words)
            raise AssertionError(words)
        except imaplib.IMAP4.error as why:
            assert "BAD" in str(why), why


def test_an_administrator_sets_and_lists(server):
    server.ctl("annotation", "set", BOB, "/shared/Comment", "by the house", "--folder", "Sent")
    assert server.ctl("annotation", "list", BOB, "--folder", "Sent")["annotations"] == [{"entry": "/shared/comment", "value": "by the house"}]
    assert Client(server, BOB).get("Sent", "/shared/comment")[1] == [b'Sent (/shared/comment "by the house")']
    server.ctl("annotation", "set", BOB, "/shared/comment", "--folder", "Sent")
    assert server.ctl("annotation", "list", BOB, "--folder", "Sent")["annotations"] == []
    assert server.ctl("annotation", "list", BOB, "--folder", "Nowhere", check=False)[0] != 0


def test_sieve_asks_for_annotations(server):
    c = Client(server)
    c.set("INBOX", '(/shared/flavour "sweet")')
    c.set('""', '(/private/mood "good")')
    script, message = os.path.join(server.home, "m.sieve"), os.path.join(server.home, "m.eml")
    with open(script, "w") as f:
        f.write('require ["mboxmetadata", "servermetadata", "fileinto"];\n'
                'if allof (metadata :is "INBOX" "/shared/flavour" "sweet", servermetadata :is "/private/mood" "good", not metadataexists "Sent" "/shared/flavour") '
                '{ fileinto "Junk"; }\n')
    with open(message, "w") as f:
        f.write("Subject: x\n\nx\n")
    box = server.ctl("mailbox", "show", ALICE)["mailbox"]
    assert server.ctl("filter", "test", script, message, "--mailbox", box)["actions"][0]["do"] == "fileinto"
    box = server.ctl("mailbox", "show", BOB)["mailbox"]
    assert server.ctl("filter", "test", script, message, "--mailbox", box)["keep"]


postbus.run(sys.modules[__name__])
