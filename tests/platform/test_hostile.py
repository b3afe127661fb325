#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that mean harm, or only do what the standards do not forbid: what they are told, and that the next one finds everything as it was."""
import os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import postbus
from test_imap import Raw

MESSAGE = b"Subject: x\r\n\r\nbody\r\n"


def make():
    return postbus.Server({"plugins": {"agent_directory": {"config": {"postmaster": "bob@demo.example"}}}})


def append(client, folder, message, flags=""):
    return client.run(b"APPEND %s %s{%d+}\r\n%s" % (folder.encode(), flags.encode(), len(message), message))


def test_refused_keywords_are_not_made(server):
    client = Raw(server)
    for name in ("Kw", "Other"):
        assert client.run(f"CREATE {name}").ok
    assert append(client, "Kw", MESSAGE).ok
    assert client.run("SELECT Kw").ok
    for flags in (" ".join(f"k{n}" for n in range(57)), "good " + "k" * 5000, "good \\Bad"):
        assert client.run(f"STORE 1 +FLAGS ({flags})").tagged.startswith("NO ")
    assert append(client, "Other", MESSAGE, "(" + " ".join(f"k{n}" for n in range(57)) + ") ").tagged.startswith("NO [LIMIT]")
    full = " ".join(f"f{n}" for n in range(56))
    assert client.run(f"STORE 1 +FLAGS ({full})").ok, "a refused command left keywords behind"
    assert append(client, "Other", MESSAGE, f"({full}) ").ok, "a refused command left keywords behind"
    assert client.run("STORE 1 +FLAGS (F1 f2)").ok, "keywords that are there need no room"
    assert "[LIMIT]" in client.run("STORE 1 +FLAGS (onemore)").tagged


def test_no_nul_by_append(server):
    client = Raw(server)
    assert append(client, "Drafts", b"Subject: x\r\n\r\na\0b\r\n").tagged.startswith("NO ")
    assert append(client, "Drafts", MESSAGE).ok, "the connection serves on"
    done = client.run("STATUS Drafts (MESSAGES)")
    assert b"MESSAGES 1)" in b"".join(done.untagged), done.untagged


def test_recent_once_claimed_is_claimed_for_all(server):
    one, two = Raw(server), Raw(server)
    assert one.run("CREATE Claimed").ok
    for round in range(5):
        assert append(one, "Claimed", MESSAGE, "($Fwd) ").ok
        assert two.run("SELECT Claimed").ok
        assert b"(RECENT 0)" in b"".join(one.run("STATUS Claimed (RECENT)").untagged)
        assert two.run("UNSELECT").ok


def test_postmaster_without_domain(server):
    for to in ("<postmaster>", "<PostMaster>", "<postmaster@mail.demo.example>", "<postmaster@demo.example>"):
        with server.smtp() as s:
            s.ehlo()
            assert s.mail("someone@remote.example")[0] == 250
            code, text = s.docmd("RCPT TO:" + to)
            assert code == 250, (to, code, text)
            assert s.rcpt("somebody@mail.demo.example")[0] == 554, "only the postmaster of the host's name is ours"
            assert s.data(postbus.message(subject="to " + to))[0] == 250
    server.wait_messages(4, "bob@demo.example")


if __name__ == "__main__":
    postbus.run(sys.modules["__main__"], make)
