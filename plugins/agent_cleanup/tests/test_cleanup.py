# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders emptied by age, deleted messages brought back, and gone for good in the end. Days pass by libfaketime, as a real clock would turn them."""
import os, shutil, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus
from postbus import wait

ALICE = "alice@demo.example"


def mail(subject):
    return f"From: x@remote.example\r\nTo: {ALICE}\r\nSubject: {subject}\r\n\r\nhello\r\n"


def subjects(server, folder="INBOX"):
    return sorted(m.split(b"Subject: ")[1].split(b"\r\n")[0].decode() for m in server.messages(ALICE, folder))


def delete_all(server, folder="INBOX"):
    i = server.imap()
    assert int(i.select(f'"{folder}"')[1][0]) > 0, "nothing to remove"
    assert i.store("1:*", "+FLAGS", "\\Deleted")[0] == "OK" and i.expunge()[0] == "OK"
    i.logout()


def test_without_the_setting_what_is_expunged_is_gone(server):
    server.send(mail("gone"))
    server.wait_messages(1)
    delete_all(server)
    assert server.ctl("deleted", "list", ALICE)["deleted"] == []
    assert server.ctl("deleted", "restore", ALICE)["messages"] == 0


def test_deleted_messages_come_back_by_imap_pop3_and_with_their_folder(server):
    server.ctl("policy", "set", "retention_days", "14", "--postoffice", "demo")
    server.send(mail("one"))
    server.send(mail("two"))
    server.wait_messages(2)
    delete_all(server)
    p = server.pop3()
    p.quit()
    server.send(mail("three"))
    server.wait_messages(1)
    p = server.pop3()
    p.dele(1)
    p.quit()
    i = server.imap()
    i.create("Work/Plans")
    i.append("Work/Plans", None, None, mail("four").encode())
    i.delete("Work/Plans")
    i.logout()
    assert subjects(server) == []
    listed = server.ctl("deleted", "list", ALICE)["deleted"]
    assert [(d["folder"], d["messages"]) for d in listed] == [("INBOX", 3), ("Work/Plans", 1)], listed
    assert server.ctl("deleted", "restore", ALICE, "--folder", "Work/Plans")["messages"] == 1
    assert subjects(server, "Work/Plans") == ["four"]
    assert server.ctl("deleted", "restore", ALICE)["messages"] == 3
    assert subjects(server) == ["one", "three", "two"]
    i = server.imap()
    i.select("INBOX")
    assert all(b"\\Deleted" not in row for row in i.fetch("1:*", "(FLAGS)")[1])
    i.logout()
    assert server.ctl("deleted", "list", ALICE)["deleted"] == []


def test_folders_are_emptied_by_age():
    library = next((os.path.join(d, "libfaketime.so.1") for d in ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib/faketime")
                    if os.path.exists(os.path.join(d, "libfaketime.so.1"))), None)
    if not library or postbus.SANITIZER:
        raise postbus.Skip("libfaketime is not installed" if not library else "a sanitizer and libfaketime do not go together")
    with postbus.Server(start=False) as server:
        clock = os.path.join(server.home, "clock")

        def turn(days):
            with open(clock + ".new", "w") as f:
                f.write(f"+{days}d\n")
            os.rename(clock + ".new", clock)

        turn(0)
        server.env = dict(server.env, LD_PRELOAD=library, FAKETIME_TIMESTAMP_FILE=clock, FAKETIME_NO_CACHE="1", FAKETIME_DONT_FAKE_MONOTONIC="1")
        server.start()
        server.env = {k: v for k, v in server.env.items() if not k.startswith("FAKETIME") and k != "LD_PRELOAD"}
        server.ctl("policy", "set", "trash_days", "7")
        server.ctl("policy", "set", "age_rules", "Old=3")
        server.ctl("policy", "set", "retention_days", "5")
        i = server.imap()
        i.create("Old")
        i.append("Trash", None, None, mail("early").encode())
        for name in ("Trash/Old Work/Deep", "Trashcan"):
            i.create(f'"{name}"')
            i.append(f'"{name}"', None, None, mail("below" if "/" in name else "beside").encode())
        i.append("Old", None, None, mail("old").encode())
        server.ctl("cleanup", "run")
        turn(4)
        server.ctl("cleanup", "run")
        i.append("Trash", None, None, mail("late").encode())
        assert subjects(server, "Old") == [] and subjects(server, "Trash") == ["early", "late"]
        turn(5)
        server.ctl("cleanup", "run")
        turn(8)
        assert subjects(server, "Trash/Old Work/Deep") == ["below"]
        assert server.ctl("cleanup", "run")["messages"] == 2
        assert subjects(server, "Trash") == ["late"]
        assert subjects(server, "Trash/Old Work/Deep") == [] and subjects(server, "Trashcan") == ["beside"]
        turn(9)
        assert server.ctl("cleanup", "run")["messages"] == 0
        kept = server.ctl("deleted", "list", ALICE)["deleted"]
        assert [(d["folder"], d["messages"]) for d in kept] == [("Old", 1), ("Trash", 1), ("Trash/Old Work/Deep", 1)], kept
        turn(12)
        assert server.ctl("cleanup", "run")["messages"] == 1
        kept = server.ctl("deleted", "list", ALICE)["deleted"]
        assert [d["folder"] for d in kept] == ["Trash", "Trash/Old Work/Deep", "Trash"], kept
        i.logout()


postbus.run(sys.modules[__name__])
