# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup while mail comes in, restore, verify; and a store that was damaged from outside: what is said, and what still works."""
import glob, hashlib, json, os, poplib, pwd, re, shutil, sys, tempfile, threading
import postbus
from postbus import Server, message, wait

ALICE = "alice@demo.example"


def subjects(messages):
    return sorted(re.search(rb"Subject: (.*)\r\n", m).group(1).decode() for m in messages)


def test_backup_under_load_and_restore():
    where = tempfile.mkdtemp(prefix="pb-backup-")
    copy = os.path.join(where, "copy")
    try:
        with Server() as s:
            sent, stop, troubles = [], threading.Event(), []

            def load(n):
                k = 0
                try:
                    while not stop.is_set() and k < 400:
                        name = f"m{n}-{k}"
                        s.send(message(name, "x" * 3000))
                        sent.append(name)
                        k += 1
                except Exception as e:
                    troubles.append(e)
            threads = [threading.Thread(target=load, args=(n,)) for n in range(2)]
            for t in threads:
                t.start()
            wait(lambda: len(sent) > 20, "some mail")
            before = list(sent)
            s.ctl("backup", copy)
            wait(lambda: len(sent) > len(before) + 5, "mail after the backup")
            again = s.ctl("backup", copy)       # what is there is not copied again
            assert again["unchanged"] > 0, again
            stop.set()
            for t in threads:
                t.join()
            assert not troubles, troubles
            assert s.ctl("store", "verify")["ok"]
            s.wait_messages(len(sent))
            assert s.ctl("restore", copy, check=False)[0] == 8      # not under a running daemon
        with Server(start=False, demo=False) as new:
            shutil.rmtree(os.path.join(new.home, "store"))
            new.ctl("restore", copy)
            assert new.ctl("store", "verify")["ok"]
            new.start()
            have = wait(lambda: (lambda l: l if set(before) <= set(l) else None)(subjects(new.messages())), "what was acknowledged before the backup")
            assert len(have) == len(set(have)) and set(have) <= set(sent)
            assert new.ctl("restore", copy, check=False)[0] == 8
            new.stop()
            assert new.ctl("restore", copy, check=False)[0] == 5    # its store is not empty
    finally:
        shutil.rmtree(where, ignore_errors=True)


def owners(*paths):
    found = set()
    for top in paths:
        for where, folders, files in os.walk(top):
            found |= {os.lstat(os.path.join(where, name)).st_uid for name in [".", *folders, *files]}
    return found


def test_a_restore_brings_the_timeline_and_belongs_to_the_daemons_user():
    where = tempfile.mkdtemp(prefix="pb-backup-")
    copy = os.path.join(where, "copy")
    root = os.geteuid() == 0
    owner = pwd.getpwnam("nobody") if root else pwd.getpwuid(os.geteuid())
    try:
        with Server() as s:
            id = s.send(message("traced"))
            s.wait_messages(1)
            events = wait(lambda: (lambda t: t if "delivered" in [e["what"] for e in t] else None)(s.ctl("trace", id)["messages"][0]["events"]), "a delivery")
            s.ctl("backup", copy)
            gone = s.send(message("after the backup"))
        with Server(start=False, config={"user": "nobody"} if root else {}) as new:
            for part in ("store", "timeline"):
                shutil.rmtree(os.path.join(new.home, part), ignore_errors=True)
            with open(os.path.join(new.home, "log"), "w"):
                pass
            for folder, _, files in os.walk(new.home):
                for name in [".", *files]:
                    os.chown(os.path.join(folder, name), owner.pw_uid, owner.pw_gid)
            new.ctl("restore", copy)
            assert owners(os.path.join(new.home, "store"), os.path.join(new.home, "timeline")) == {owner.pw_uid}
            new.start()
            assert os.stat(f"/proc/{new.process.pid}").st_uid == owner.pw_uid
            assert new.ctl("trace", id)["messages"][0]["events"][:len(events)] == events
            assert new.ctl("trace", gone, check=False)[1].get("messages", []) == []
            assert any(b"traced" in m for m in new.messages())
            new.send(message("it goes on"))
            new.wait_messages(2)
            new.stop()
            new.ctl("restore", "--force", copy)         # again: what is there is kept
            assert os.listdir(os.path.join(new.home, "timeline.before-restore")) and os.path.isdir(os.path.join(new.home, "store.before-restore"))
            assert new.ctl("trace", id)["messages"][0]["events"][:len(events)] == events
            new.ctl("restore", "--force", copy)
            for part in ("store", "timeline"):
                assert os.listdir(os.path.join(new.home, part + ".before-restore")) and os.listdir(os.path.join(new.home, part + ".before-restore.2"))
    finally:
        shutil.rmtree(where, ignore_errors=True)


def keys_in(*where):
    """Private keys of plugins: content by path."""
    top, found = os.path.join(*where, "state"), {}
    for folder, _, files in os.walk(top):
        for name in files:
            path = os.path.join(folder, name)
            assert os.stat(path).st_mode & 0o077 == 0, path
            found[os.path.relpath(path, top)] = open(path, "rb").read()
    return found


def test_keys_are_in_a_backup_unless_they_are_left_out():
    where = tempfile.mkdtemp(prefix="pb-backup-")
    copy = os.path.join(where, "copy")
    try:
        with Server() as s:
            s.ctl("dkim", "key", "create", "demo.example")
            s.ctl("retrieve", "add", "alice@demo.example", "127.0.0.1", "--port", "1", "--paused", "--password-stdin", stdin="geheim\n")
            keys = keys_in(s.home)
            assert len(keys) == 2 and "Private keys are in it" in s.ctl("backup", copy, json_out=False)
            assert keys_in(copy) == keys and s.ctl("backup", copy)["state"] is True
        with Server(start=False) as new:
            def restore(*options):
                shutil.rmtree(os.path.join(new.home, "store"), ignore_errors=True)
                return new.ctl("restore", *options, copy, json_out=False)
            assert "are back" in restore() and keys_in(new.home) == keys
            new.start()
            selector = new.ctl("dkim", "key", "list")["keys"][0]["selector"]
            assert any(selector in name for name in keys) and "PRIVATE KEY" not in str(new.ctl("dkim", "key", "show", "demo.example"))
            assert "retrieve.no_key" not in new.log() and keys_in(new.home) == keys
            assert "are not in it" in new.ctl("backup", "--without-keys", copy, json_out=False) and keys_in(copy) == {}
            new.stop()
            shutil.rmtree(os.path.join(new.home, "state"))
            assert "no keys" in restore() and keys_in(new.home) == {}
            new.start()
            assert "retrieve.no_key" in new.log()
            new.stop()
            os.makedirs(os.path.join(copy, "state", "mine"))        # what the home has is set aside
            os.makedirs(os.path.join(new.home, "state", "other"), exist_ok=True)
            restore()
            assert "mine" in os.listdir(os.path.join(new.home, "state")) and "other" not in os.listdir(os.path.join(new.home, "state")) and glob.glob(os.path.join(new.home, "state.before-restore*", "other"))
    finally:
        shutil.rmtree(where, ignore_errors=True)


def filled(n=5):
    s = Server()
    for k in range(n):
        s.send(message(f"m{k}", f"BODY-OF-{k} " + "y" * 2000 + "\r\n"))
        s.wait_messages(k + 1)         # in this order
    assert s.stop() == 0
    return s


def test_a_flipped_byte():
    with filled() as s:
        segment = glob.glob(os.path.join(s.home, "store", "seg", "*.seg"))[0]
        with open(segment, "r+b") as f:
            at = f.read().index(b"BODY-OF-2") + 30
            f.seek(at)
            f.write(b"Y")
        code, answer = s.ctl("store", "verify", check=False)
        assert code == 1 and not answer["ok"] and answer["findings"], answer
        s.start()
        code, answer = s.ctl("store", "verify", check=False)
        assert code == 1 and answer["findings"], answer
        i = s.imap()
        i.select("INBOX")
        for k in range(1, 6):
            kind, rows = i.fetch(str(k), "(BODY.PEEK[])")
            whole = kind == "OK" and any(isinstance(row, tuple) and f"BODY-OF-{k - 1} ".encode() in row[1] for row in rows)
            assert whole == (k != 3), (k, kind, rows)
        i.logout()
        s.send(message("after the damage"))
        wait(lambda: b"6" in s_status(s), "new mail")
        assert s.stop() == 0


def s_status(s):
    i = s.imap()
    try:
        return i.status("INBOX", "(MESSAGES)")[1][0]
    finally:
        i.logout()


def test_a_missing_segment():
    with filled() as s:
        for segment in glob.glob(os.path.join(s.home, "store", "seg", "*.seg")):
            os.remove(segment)
        s.start()
        code, answer = s.ctl("store", "verify", check=False)
        assert code == 1 and any("segment" in f for f in answer["findings"]), answer
        assert ALICE in json.dumps(s.ctl("mailbox", "list"))
        i = s.imap()
        assert i.select("INBOX") == ("OK", [b"5"])
        kind, rows = i.fetch("1", "(BODY.PEEK[])")
        assert kind == "NO" and b"[CORRUPTION]" in rows[0], (kind, rows)
        i.logout()
        s.wait_log(r"event=command\.failed .*code=corrupt .*segment \d+, which holds the body at \d+, is missing")
        p = s.pop3()
        try:
            raise AssertionError(p.retr(1))
        except poplib.error_proto as said:
            assert b"[SYS/PERM]" in said.args[0], said
        p.quit()
        s.send(message("after the loss", "NEW BODY\r\n"))
        wait(lambda: b"6" in s_status(s), "new mail")
        i = s.imap()
        i.select("INBOX")
        assert b"NEW BODY" in i.fetch("6", "(BODY.PEEK[])")[1][0][1]
        i.logout()
        assert s.stop() == 0


def digest(home):
    found = {}
    for folder, _, files in os.walk(os.path.join(home, "store")):
        for name in files:
            path = os.path.join(folder, name)
            found[path] = hashlib.sha256(open(path, "rb").read()).hexdigest()
    return found


def test_a_newer_store_is_refused_and_left_alone():
    with filled(2) as s:
        path = os.path.join(s.home, "store", "FORMAT")
        text = open(path).read()
        with open(path, "w") as f:
            f.write(re.sub(r"store \d+", "store 99", text))
        before = digest(s.home)
        s.start(wait=False)
        assert s.process.wait(120) == 1
        assert "has format 99" in s.log() and "nothing was changed" in s.log()
        assert digest(s.home) == before
        with open(path, "w") as f:
            f.write(text)
        s.start()
        assert len(s.messages()) == 2
        assert s.stop() == 0


postbus.run(sys.modules[__name__])
