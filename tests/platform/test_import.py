# SPDX-License-Identifier: GPL-3.0-or-later
"""postbusctl import: Maildir, mbox and MailEnable trees that the test (or Python's mailbox module, or Debian's Dovecot) wrote, come over whole, once, with flags and dates."""
import glob, json, mailbox, os, re, resource, shutil, signal, subprocess, sys, tempfile, time
import postbus
from postbus import Server, Skip

ME = "ann@demo.example"
made = []


def new_mailbox(s):
    address = f"u{len(made)}@demo.example"
    made.append(address)
    s.ctl("mailbox", "create", address)
    s.ctl("mailbox", "password", address, stdin=postbus.PASSWORD + "\n")
    return address


def text(subject, body="Hello.\n", extra=""):
    return f"From: someone@remote.example\nSubject: {subject}\nDate: Tue, 2 Jan 2024 03:04:05 +0100\n{extra}\n{body}"


def put(path, content, when=None):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(content if isinstance(content, bytes) else content.encode())
    if when:
        os.utime(path, (when, when))
    return path


def maildir(where, *folders):
    for folder in ("",) + folders:
        for sub in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(where, folder, sub), exist_ok=True)
    return where


def run(s, *words, check=True, **more):
    """Gives the report, or (exit code, report) with check=False."""
    code, report = s.ctl("import", *words, check=False)
    if check and code:
        raise AssertionError(f"import {words}: exit {code}: {report}")
    return report if check else (code, report)


def counts(report):
    return tuple(report[k] for k in ("messages", "added", "known", "failed"))


def rows(s, user, folder="INBOX"):
    """subject: (flags, date, whole text) in the order of UIDs."""
    i = s.imap(user)
    try:
        kind, n = i.select(f'"{folder}"', readonly=True)
        assert kind == "OK", n
        if n[0] == b"0":
            return []
        found = []
        for row in i.fetch("1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")[1]:
            if isinstance(row, tuple):
                flags = set(re.search(rb"FLAGS \(([^)]*)\)", row[0]).group(1).decode().split()) - {"\\Recent"}
                date = re.search(rb'INTERNALDATE "([^"]*)"', row[0]).group(1).decode()
                subject = re.search(rb"(?m)^Subject: ([^\r\n]*)", row[1])
                found.append((subject.group(1).decode() if subject else "", flags, date, row[1]))
        return found
    finally:
        i.logout()


def subjects(s, user, folder="INBOX"):
    return [r[0] for r in rows(s, user, folder)]


def folders(s, user):
    i = s.imap(user)
    names = [re.search(rb'(?:"([^"]*)"|(\S+))$', line).group(0).decode().strip('"') for line in i.list()[1]]
    i.logout()
    return names


# ---- Maildir ----

def test_a_maildir_comes_over_with_flags_keywords_folders_and_dates(s):
    user = new_mailbox(s)
    with tempfile.TemporaryDirectory(prefix="pb-import-") as where:
        box = maildir(os.path.join(where, "Maildir"), ".Work", ".Work.2024", ".&ANw-ber")
        put(f"{box}/cur/1700000002.M2P1.host,S=5:2,RSa", text("second"), 1700000200)
        put(f"{box}/cur/1700000001.M1P1.host:2,FTDb", text("first", "bare\nlines\n"), 1700000100)
        put(f"{box}/new/1700000003.M3P1.host", text("third"), 1700000300)
        put(f"{box}/tmp/1700000004.M4P1.host", text("never delivered"))
        put(f"{box}/dovecot-keywords", "0 $Label1\n1 wichtig\n")
        put(f"{box}/.Work/cur/1700000005.M5P1.host:2,P", text("forwarded").replace("\n", "\r\n"), 1700000500)
        put(f"{box}/.Work.2024/cur/1700000006.M6P1.host!2,S", text("other mark"))
        put(f"{box}/.&ANw-ber/new/1700000007.M7P1.host", text("umlaut"))
        dry = run(s, "maildir", box, "--mailbox", user, "--dry-run")
        assert dry["dry_run"] and counts(dry) == (6, 6, 0, 0) and not rows(s, user), dry
        assert "Work" not in folders(s, user)
        report = run(s, "maildir", box, "--mailbox", user)
        assert counts(report) == (6, 6, 0, 0) and report["problem_count"] == 0, report
        found = rows(s, user)
        assert [r[0] for r in found] == ["first", "second", "third"], found
        assert [r[1] for r in found] == [{"\\Flagged", "\\Deleted", "\\Draft", "wichtig"}, {"\\Answered", "\\Seen", "$Label1"}, set()], found
        assert found[0][2] == "14-Nov-2023 22:15:00 +0000" and found[0][3].endswith(b"\r\n\r\nbare\r\nlines\r\n"), found[0]
        assert {"Work", "Work/2024", "&ANw-ber"} <= set(folders(s, user)), folders(s, user)
        work = rows(s, user, "Work")
        assert work[0][1] == {"$Forwarded"} and work[0][3] == text("forwarded").replace("\n", "\r\n").encode(), work
        assert rows(s, user, "Work/2024")[0][1] == {"\\Seen"} and subjects(s, user, "&ANw-ber") == ["umlaut"]
        # Again, after a client there read one and another came.
        os.rename(f"{box}/new/1700000003.M3P1.host", f"{box}/cur/1700000003.M3P1.host:2,S")
        put(f"{box}/new/1700000008.M8P1.host", text("eighth"))
        assert counts(run(s, "maildir", box, "--mailbox", user, "--dry-run")) == (7, 1, 6, 0)
        assert counts(run(s, "maildir", box, "--mailbox", user)) == (7, 1, 6, 0)
        assert subjects(s, user) == ["first", "second", "third", "eighth"]


def test_dates_by_name_and_by_header(s):
    with tempfile.TemporaryDirectory(prefix="pb-import-") as where:
        put(f"{maildir(where)}/cur/1600000000.M1P1.host:2,", text("dated"), 1700000000)
        for how, want in (("file", "14-Nov-2023 22:13:20 +0000"), ("name", "13-Sep-2020 12:26:40 +0000"), ("header", " 2-Jan-2024 02:04:05 +0000")):
            user = new_mailbox(s)
            run(s, "maildir", where, "--mailbox", user, "--date", how)
            assert rows(s, user)[0][2] == want, (how, rows(s, user))


def test_a_domain_of_maildirs(s):
    with tempfile.TemporaryDirectory(prefix="pb-import-") as where:
        put(f"{maildir(where + '/d1')}/new/1.a", text("for d1"))
        put(f"{maildir(where + '/d2/Maildir')}/new/2.b", text("for d2"))
        os.mkdir(where + "/nothing")
        code, report = run(s, "maildir", where, "--domain", "demo.example", check=False)
        assert code == 1 and [m["state"] for m in report["mailboxes"]] == ["missing", "missing"] and "--create" in report["problems"][0], report
        dry = run(s, "maildir", where, "--domain", "demo.example", "--create", "--dry-run")
        assert [m["state"] for m in dry["mailboxes"]] == ["would be made"] * 2 and dry["added"] == 2, dry
        report = run(s, "maildir", where, "--domain", "demo.example", "--create")
        assert [m["state"] for m in report["mailboxes"]] == ["made"] * 2 and report["needs_password"] == ["d1@demo.example", "d2@demo.example"], report
        assert s.ctl("mailbox", "show", "d2@demo.example")["used_messages"] == 1


def test_what_pythons_mailbox_module_wrote(s):
    user = new_mailbox(s)
    with tempfile.TemporaryDirectory(prefix="pb-import-") as where:
        box = mailbox.Maildir(where + "/md")
        one = mailbox.MaildirMessage(text("by python", "From here\n>From there\n"))
        one.set_subdir("cur")
        one.set_flags("FS")
        box.add(one)
        box.add_folder("Sub").add(mailbox.MaildirMessage(text("in a folder")))
        assert counts(run(s, "maildir", where + "/md", "--mailbox", user)) == (2, 2, 0, 0)
        found = rows(s, user)
        assert found[0][1] == {"\\Flagged", "\\Seen"} and found[0][3].endswith(b"\r\n\r\nFrom here\r\n>From there\r\n"), found
        assert subjects(s, user, "Sub") == ["in a folder"]


def test_what_dovecot_wrote(s):
    if not shutil.which("doveadm") or os.geteuid():
        raise Skip("Debian's dovecot-core, and root, are needed")
    user = new_mailbox(s)
    where = tempfile.mkdtemp(prefix="pb-import-")
    try:
        source = mailbox.mbox(where + "/mb/inbox") if not os.mkdir(where + "/mb") else None
        for i in range(5):
            one = mailbox.mboxMessage(text(f"dovecot {i}", extra=f"Message-ID: <{i}@remote.example>\n"))
            one.set_flags("RO" if i % 2 else "")
            one.set_from("someone@remote.example", time.gmtime(1600000000 + i))
            source.add(one)
        source.flush()
        conf = put(where + "/dovecot.conf", f"ssl = no\nlog_path = {where}/log\nmail_home = {where}/home\nmail_location = mbox:{where}/mb:INBOX={where}/mb/inbox\n"
                   f"base_dir = {where}/run\nfirst_valid_uid = 1\nmail_uid = nobody\nmail_gid = nogroup\nmbox_write_locks = fcntl\nnamespace inbox {{\n inbox = yes\n separator = /\n}}\nmail_privileged_group =\n")
        os.chmod(where, 0o777)
        for path in glob.glob(where + "/mb*") + glob.glob(where + "/mb/*"):
            shutil.chown(path, "nobody", "nogroup")
        done = subprocess.run(["doveadm", "-c", conf, "backup", f"maildir:{where}/md"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env=dict(os.environ, USER="nobody", HOME=where), user="nobody", group="nogroup", extra_groups=[])
        if done.returncode or not os.path.isdir(where + "/md/cur"):
            raise Skip(f"doveadm cannot convert here: {done.stdout}")
        report = run(s, "maildir", where + "/md", "--mailbox", user)
        assert counts(report) == (5, 5, 0, 0), report
        found = rows(s, user)
        assert [r[0] for r in found] == [f"dovecot {i}" for i in range(5)] and [r[1] for r in found] == [set(), {"\\Seen"}, set(), {"\\Seen"}, set()], found
        assert found[4][2] == "13-Sep-2020 12:26:44 +0000", found
    finally:
        shutil.rmtree(where)


def test_files_that_are_no_messages_are_problems_and_the_rest_comes_over(s):
    user = new_mailbox(s)
    with tempfile.TemporaryDirectory(prefix="pb-import-") as where:
        put(f"{maildir(where)}/cur/1.a:2,S", b"")
        put(f"{where}/cur/2.b:2,S", b"\x1f\x8bzipped")
        os.symlink("/nowhere", f"{where}/cur/3.c:2,S")
        put(f"{where}/cur/4.d:2,S", text("good", "NUL \0 here\n"))
        code, report = run(s, "maildir", where, "--mailbox", user, check=False)
        assert code == 1 and report["added"] == 1 and report["problem_count"] == 3, report
        assert rows(s, user)[0][3].endswith(b"NUL \x80 here\r\n")


def test_a_folder_that_is_called_as_public_ones_are_gets_another_name(s):
    user = new_mailbox(s)
    with tempfile.TemporaryDirectory(prefix="pb-import-") as where:
        maildir(where)
        put(f"{maildir(where + '/.Public')}/cur/1.a:2,", text("up"))
        put(f"{maildir(where + '/.Public.Sub')}/cur/1.b:2,", text("down"))
        report = run(s, "maildir", where, "--mailbox", user)
        assert sorted(f["folder"] for f in report["mailboxes"][0]["folders"]) == ["INBOX", "Public_", "Public_/Sub"], report
        assert subjects(s, user, "Public_/Sub") == ["down"] and subjects(s, user, "Public_") == ["up"]


def test_links_lead_nowhere_else(s):
    """A mailbox belongs to its user, who may have put links there to what only the administrator who imports it can read."""
    user, other = new_mailbox(s), new_mailbox(s)
    with tempfile.TemporaryDirectory(prefix="pb-import-") as where:
        mine, theirs = os.path.join(where, user.split("@")[0]), os.path.join(where, other.split("@")[0])
        put(f"{maildir(theirs)}/cur/1.a:2,", text("secret"))
        put(f"{maildir(mine)}/cur/1.b:2,", text("mine"))
        maildir(mine + "/.Work")
        put(f"{mine}/.Work/cur/5.e:2,", text("moved within"))
        os.symlink(f"{theirs}/cur/1.a:2,", f"{mine}/cur/2.c:2,")
        os.symlink(f"{mine}/.Work/cur/5.e:2,", f"{mine}/cur/3.d:2,")
        os.symlink(theirs, f"{mine}/.Theirs")
        put(f"{where}/secret-keywords", "0 stolen\n")
        os.symlink(f"{where}/secret-keywords", f"{mine}/dovecot-keywords")
        code, report = run(s, "maildir", where, "--domain", "demo.example", check=False)
        assert code == 1 and report["problem_count"] == 2 and all("leads elsewhere" in p for p in report["problems"]), report
        assert sorted(subjects(s, user)) == ["mine", "moved within"] and subjects(s, other) == ["secret"]
        # A link to the whole of it is the administrator's.
        os.symlink(mine, f"{where}/link")
        report = run(s, "maildir", f"{where}/link", "--mailbox", user, check=False)[1]
        assert report["known"] == 3 and report["problem_count"] == 2, report
    with tempfile.TemporaryDirectory(prefix="pb-import-") as where:
        put(f"{where}/{other.split('@')[0]}", "From x@y Mon Jan  1 00:00:00 2024\n" + text("spool"))
        os.symlink(other.split("@")[0], f"{where}/{user.split('@')[0]}")
        code, report = run(s, "mbox", where, "--domain", "demo.example", check=False)
        assert code == 1 and report["problem_count"] == 1 and report["added"] == 1, report
        assert subjects(s, other) == ["secret", "spool"] and "spool" not in subjects(s, user)


def test_quota(s):
    user = new_mailbox(s)
    s.ctl("mailbox", "set", user, "--quota-messages", "1")
    with tempfile.TemporaryDirectory(prefix="pb-import-") as where:
        for i in range(3):
            put(f"{maildir(where)}/cur/{i}.a:2,S", text(f"q{i}"))
        code, report = run(s, "maildir", where, "--mailbox", user, check=False)
        assert code == 1 and counts(report) == (3, 1, 0, 2) and "quota" in report["problems"][0], report
        assert counts(run(s, "maildir", where, "--mailbox", user, "--over-quota")) == (3, 2, 1, 0)
        assert subjects(s, user) == ["q0", "q1", "q2"]


# ---- broken off ----

def many(where, n):
    for i in range(n):
        put(f"{maildir(where)}/cur/{1700000000 + i}.a:2,S", text(f"m{i:04}", "x" * 70 + "\n"))
    return [f"m{i:04}" for i in range(n)]


def begin(s, *words):
    return subprocess.Popen([postbus.program("postbusctl"), "-c", s.file, "import", *words], env=s.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def used(s, user):
    return s.call("mailbox.show", mailbox=user)["used_messages"]


def run_until(s, tool, user, n):
    """Lets the tool run in short turns until so many messages are there; it stands still then, on however fast a machine."""
    tool.send_signal(signal.SIGSTOP)
    while used(s, user) < n:
        assert tool.poll() is None, f"it ended before {n} messages"
        tool.send_signal(signal.SIGCONT)
        time.sleep(0.02)
        tool.send_signal(signal.SIGSTOP)


def test_killed_in_the_middle_and_begun_again():
    with Server() as s, tempfile.TemporaryDirectory(prefix="pb-import-") as where:
        user = new_mailbox(s)
        want = many(where, 3000)
        for stop in (10, 300):
            tool = begin(s, "maildir", where, "--mailbox", user)
            run_until(s, tool, user, stop)
            tool.kill()
            tool.wait()
            assert stop <= used(s, user) < len(want)
        # The daemon too, with keys that it has not written down.
        there = used(s, user)
        tool = begin(s, "maildir", where, "--mailbox", user)
        run_until(s, tool, user, there + 50)
        s.kill()
        tool.send_signal(signal.SIGCONT)
        assert tool.wait() == 7
        s.start()
        before = used(s, user)
        assert there + 50 <= before < len(want)
        report = run(s, "maildir", where, "--mailbox", user)
        assert report["messages"] == len(want) and report["known"] == before and report["added"] == len(want) - before, (before, counts(report))
        assert subjects(s, user) == want
        assert s.ctl("store", "verify")["ok"]


def test_without_a_daemon():
    with Server(start=False) as s, tempfile.TemporaryDirectory(prefix="pb-import-") as where:
        put(f"{maildir(where)}/cur/1.a:2,S", text("offline"))
        assert counts(run(s, "maildir", where, "--mailbox", "alice@demo.example")) == (1, 1, 0, 0)
        s.start()
        assert subjects(s, "alice@demo.example") == ["offline"]
        assert counts(run(s, "maildir", where, "--mailbox", "alice@demo.example")) == (1, 0, 1, 0)


# ---- mbox ----

def test_an_mbox_that_pythons_mailbox_module_wrote(s):
    user = new_mailbox(s)
    with tempfile.TemporaryDirectory(prefix="pb-import-") as where:
        box = mailbox.mbox(where + "/box")
        for i, flags in enumerate(("", "RO", "ROAF", "D", "RT")):
            one = mailbox.mboxMessage(text(f"p{i}", "text\n\nFrom a line\n" if i == 1 else "text\n"))
            one.set_flags(flags)
            one.set_from("someone@remote.example", time.gmtime(1500000000 + i))
            box.add(one)
        box.flush()
        assert b">From a line" in open(where + "/box", "rb").read()
        assert counts(run(s, "mbox", where + "/box", "--mailbox", user)) == (5, 5, 0, 0)
        found = rows(s, user)
        assert [r[0] for r in found] == ["p0", "p1", "p2", "p3", "p4"], found
        assert [r[1] for r in found] == [set(), {"\\Seen"}, {"\\Seen", "\\Answered", "\\Flagged"}, {"\\Deleted"}, {"\\Seen", "\\Draft"}], found
        assert found[1][3].endswith(b"\r\n\r\ntext\r\n\r\nFrom a line\r\n") and b"Status" not in found[1][3] and found[2][2] == "14-Jul-2017 02:40:02 +0000", found
        kept = new_mailbox(s)
        run(s, "mbox", where + "/box", "--mailbox", kept, "--keep-quotes", "--folder", "Old")
        assert b"\r\n>From a line\r\n" in rows(s, kept, "Old")[1][3]


def test_an_mbox_with_lengths_doubles_and_notes(s):
    user = new_mailbox(s)
    raw = "line\n\nFrom x Mon Jan  1 00:00:00 2024\nSubject: no message\n\nend\n"
    double = f"From a@b Mon Jan  1 00:00:00 2024\n{text('double')}\n"
    content = ("From MAILER-DAEMON Mon Jan  1 00:00:00 2024\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n\nnotes\n\n"
               f"From a@b Mon Jan  1 00:00:01 2024 +0100\nSubject: exact\nContent-Length: {len(raw)}\nX-Keywords: Alpha $Beta\n\n{raw}\n"
               f"From a@b Mon Jan  1 00:00:02 2024\nSubject: wrong length\nContent-Length: 3\n\nlonger than three\n\n"
               f"From - Mon Jan  1 00:00:03 2024\nX-Mozilla-Status: 0005\nSubject: mozilla\n\nbody\n\n"
               f"From - Mon Jan  1 00:00:04 2024\nX-Mozilla-Status: 0009\nSubject: expunged\n\nbody\n\n" + double + double)
    with tempfile.TemporaryDirectory(prefix="pb-import-") as where:
        put(where + "/box", content)
        report = run(s, "mbox", where + "/box", "--mailbox", user)
        assert counts(report) == (5, 5, 0, 0) and report["mailboxes"][0]["folders"][0]["left_out"] == 2, report
        found = rows(s, user)
        assert [r[0] for r in found] == ["exact", "wrong length", "mozilla", "double", "double"], found
        assert found[0][3].endswith(raw.replace("\n", "\r\n").encode()) and found[0][1] == {"Alpha", "$Beta"} and found[0][2] == "31-Dec-2023 23:00:01 +0000", found[0]
        assert found[1][3].endswith(b"\r\n\r\nlonger than three\r\n") and found[2][1] == {"\\Seen", "\\Flagged"}, found
        assert counts(run(s, "mbox", where + "/box", "--mailbox", user)) == (5, 0, 5, 0)


def test_directories_of_mbox_files(s):
    user = new_mailbox(s)
    one = lambda subject: f"From a@b Mon Jan  1 00:00:00 2024\n{text(subject)}\n"
    with tempfile.TemporaryDirectory(prefix="pb-import-") as where:
        put(where + "/Inbox", one("in the inbox"))
        put(where + "/Inbox.msf", "index")
        put(where + "/Work", one("work"))
        put(where + "/Work.sbd/Project", one("project"))
        put(where + "/Empty", "")
        put(where + "/notes.txt", "no mbox\n")
        code, report = run(s, "mbox", where, "--mailbox", user, check=False)
        assert code == 1 and report["problem_count"] == 1 and "notes.txt" in report["problems"][0] and counts(report) == (3, 3, 0, 0), report
        assert subjects(s, user) == ["in the inbox"] and subjects(s, user, "Work/Project") == ["project"] and "Empty" in folders(s, user)
    other = new_mailbox(s)
    with tempfile.TemporaryDirectory(prefix="pb-import-") as where:
        put(f"{where}/{other.split('@')[0]}", one("spool file"))
        assert counts(run(s, "mbox", where, "--domain", "demo.example")) == (1, 1, 0, 0)
        assert subjects(s, other) == ["spool file"]


def test_memory_is_bounded(s):
    user = new_mailbox(s)
    with tempfile.TemporaryDirectory(prefix="pb-import-") as where:
        with open(where + "/big", "w") as f:
            for i in range(12):
                f.write(f"From a@b Mon Jan  1 00:00:{i:02} 2024\n" + text(f"big {i}", ("y" * 75 + "\n") * (140000 if i == 3 else 70000)) + "\n")
        size = os.path.getsize(where + "/big")
        limit = 48 << 20
        assert size > limit
        done = subprocess.run([postbus.program("postbusctl"), "-c", s.file, "--json", "import", "mbox", where + "/big", "--mailbox", user], env=s.env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              preexec_fn=None if postbus.SANITIZER else lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)))
        assert done.returncode == 0, done.stdout
        assert counts(json.loads(done.stdout)) == (12, 12, 0, 0), done.stdout
    found = rows(s, user)
    assert len(found[3][3]) == len(text("big 3", ("y" * 75 + "\n") * 140000).replace("\n", "\r\n"))


# ---- MailEnable ----

def mailenable(where):
    c, p = where + "/Config", where + "/Postoffices"
    tab = lambda *rows: "".join("\t".join(r) + "\r\n" for r in rows)
    put(c + "/AUTH.TAB", tab(("Username", "Password", "Status", "Account", "Rights"), ("carl@acme", "carls secret", "1", "acme", "USER"),
                             ("Dora@acme", "", "1", "acme", "USER"), ("eve@other", "x", "1", "other", "USER")))
    put(c + "/SMTP-DOMAIN.TAB", tab(("DomainName", "AccountName", "Status"), ("acme.example", "acme", "1"), ("acme.test", "acme", "1"), ("other.example", "other", "1")))
    put(c + "/ADDRESS-MAP.TAB", tab(
        ("Source Address", "Destination Address", "Scope"),
        ("[SMTP:carl@acme.example]", "[SF:acme/carl]", "0"), ("[SMTP:carl@acme.test]", "[SF:acme/Carl]", "0"), ("[SMTP:boss@acme.example]", "[SF:acme/carl]", "0"),
        ("[SMTP:dora@acme.example]", "[SF:acme/dora]", "0"), ("[SMTP:away@acme.example]", "[SMTP:x@elsewhere.example]", "0"),
        ("[SMTP:*@acme.example]", "[SF:acme/carl]", "0"), ("[SMTP:team@acme.example]", "[SF:acme/team]", "0"), ("[SMTP:news@acme.example]", "[LS:acme/news]", "0"),
        ("[SMTP:eve@other.example]", "[SF:other/eve]", "0")))
    put(c + "/Postoffices/acme/MAILBOX.TAB", tab(("Mailbox", "RedirectAddress", "RedirectStatus", "Status", "Limit"), ("carl", "[SMTP:x@y.example]", "0", "1", "-1"),
                                                           ("Dora", "[SMTP:d@elsewhere.example];[SF:acme/carl]", "2", "1", "2048")))
    put(c + "/Postoffices/acme/GROUPS.TAB", tab(("GroupName", "RecipientAddress"), ("team", "[SMTP:team@acme.example]")))
    put(c + "/Postoffices/acme/Groups/team.TAB", tab(("Address",), ("[SF:acme/carl]",), ("[SF:acme/dora]",), ("[SMTP:out@elsewhere.example]",)))
    columns = ("ListName", "ListStatus", "ListType", "PostingMode", "ModeratorAddress", "Owner", "Description", "SubjectPrefixStatus", "SubjectPrefix", "ReplyToMode",
               "MaxMessageSize", "HeaderAnnotationStatus", "FooterAnnotationStatus", "Password", "SubScriptionMode")
    put(c + "/Postoffices/acme/LISTS.TAB", tab(
        columns, ("news", "1", "0", "3", "[SMTP:carl@acme.example]", "[SMTP:dora@acme.example]", "News of Acme", "2", "[N]", "2", "-1", "0", "1", "", "-1"),
        ("talk", "1", "0", "2", "", "", "", "0", "", "0", "200", "1", "0", "sesame", "1"), ("odd", "1", "1", "1", "[SMTP:carl@acme.example]", "", "", "1", "[x]", "1", "", "", "", "", ""),
        ("old", "0", "0", "1", "", "", "", "", "", "", "", "", "", "", "")))
    put(c + "/Postoffices/acme/Lists/news.TAB", tab(("Address", "Status"), ("[SMTP:dora@acme.example]", "1"), ("[SMTP:gone@elsewhere.example]", "0")))
    put(c + "/Postoffices/acme/Lists/talk.TAB", tab(("Address", "ListMemberType", "Status"), ("[SF:acme/carl]", "0", "1"), ("[SF:acme/team]", "0", "1"), ("[SMTP:far@elsewhere.example]", "0", "1")))
    put(c + "/Postoffices/acme/Annotations/news-HEADER.txt", "not used")
    put(c + "/Postoffices/acme/Annotations/news-FOOTER.txt", "Acme, {no field}\r\n")
    put(c + "/Postoffices/acme/Annotations/news-FOOTER.htm", "<p>Acme</p>")
    put(c + "/Postoffices/acme/Annotations/talk-header.TXT", b"Caf\xe9")
    put(p + "/acme/MAILROOT/Dora/AUTORESPOND.CFG", "From: \"Dora@acme\" <Dora@acme>\r\nSubject: On leave\r\n\r\nBack on Monday.\r\n")
    put(p + "/acme/MAILROOT/carl/AUTORESPOND.CF_", "Subject: switched off\r\n\r\nNo.\r\n")
    carl = p + "/acme/MAILROOT/carl"
    crlf = lambda t: t.replace("\n", "\r\n")
    put(carl + "/Inbox/AAAA1111.MAI", crlf(text("later")), 1600000200)
    put(carl + "/Inbox/BBBB2222.MAI", crlf(text("earlier")), 1600000100)
    put(carl + "/Inbox/_index.xml", '<INDEX><ELEMENT ID="aaaa1111.MAI" READ="1" REPLIED="0"/><ELEMENT FLAGGED="1" ID="BBBB2222.MAI"/></INDEX>')
    put(carl + "/Sent Items/CCCC3333.MAI", crlf(text("sent")))
    put(carl + "/Projects/2024/DDDD4444.MAI", crlf(text("project")))
    put(carl + "/Contacts/EEEE5555.VCF", "BEGIN:VCARD\r\n")
    os.makedirs(p + "/other/MAILROOT/eve/Inbox")


def check_lists(s):
    shown = {name: s.ctl("list", "show", f"{name}@acme.example", "--all")["settings"] for name in ("news", "talk", "odd")}
    want = {"news": {"description": "News of Acme", "owners": ["dora@acme.example"], "moderators": ["carl@acme.example"], "posting": "moderators", "others": "hold", "prefix": "[N]",
                     "reply_to": "owner", "max_size": 0, "header_text": "", "footer_html": "<p>Acme</p>"},
            "talk": {"owners": "", "moderators": "", "posting": "password", "others": "reject", "prefix": "[talk]", "reply_to": "list", "max_size": 204800, "header_text": "Caf\xe9",
                     "groups": ["team@acme.example"]},
            "odd": {"owners": ["carl@acme.example"], "posting": "moderators", "others": "hold", "prefix": "", "reply_to": "sender"}}
    for name, settings in want.items():
        assert {key: shown[name][key] for key in settings} == settings, (name, shown[name])
    assert shown["news"]["footer_text"].startswith("Acme, {no field}")
    assert s.ctl("directory", "resolve", "news@acme.example")["connector"] == "conn_list"


def test_lists_become_groups_where_there_is_no_connector_for_them(s):
    s.ctl("plugin", "disable", "conn_list")
    try:
        with tempfile.TemporaryDirectory(prefix="pb-import-") as where:
            mailenable(where)
            for root, dirs, names in os.walk(where):
                for name in names:
                    if name.upper().endswith(".TAB"):
                        path = os.path.join(root, name)
                        text = open(path, newline="").read().replace("acme", "umbra")
                        open(path, "w", newline="").write(text)
            for top in ("Config/Postoffices", "Postoffices"):
                os.rename(f"{where}/{top}/acme", f"{where}/{top}/umbra")
            code, report = run(s, "mailenable", where, "--postoffice", "umbra", check=False)
            assert code == 0 and report["lists_made"] == [f"{name}@umbra.example" for name in ("news", "talk", "odd")] and "lists" not in report, report
            assert any("the list news, which became a group, for conn_list is not enabled" in line for line in report["not_imported"]), report
            news = s.ctl("group", "show", "news@umbra.example")
            assert (news["members"], news["senders"]) == (["dora@umbra.example"], ["carl@umbra.example"]), news
            s.ctl("plugin", "enable", "conn_list")
            code, report = run(s, "mailenable", where, "--postoffice", "umbra", check=False)    # groups stay what they are
            assert code == 1 and report["problem_count"] == 3 and all("another thing's already" in line for line in report["problems"]), report
            assert s.ctl("group", "show", "news@umbra.example") == news
    finally:
        s.ctl("plugin", "enable", "conn_list")


def who_left_a_list_stays_away(s, where):
    members = lambda: sorted(m["address"] for m in s.ctl("list", "member", "list", "talk@acme.example")["members"])
    talk = lambda *words: run(s, "mailenable", where, "--postoffice", "acme", *words)["lists"][1].removeprefix("talk@acme.example: ")
    both = members()
    s.ctl("list", "member", "remove", "talk@acme.example", both[0])
    assert talk() == "0 members added, 1 known, 1 have left since" and members() == both[1:]
    assert talk("--again") == "1 members added, 1 known" and members() == both
    s.ctl("list", "delete", "talk@acme.example")
    assert talk() == "2 members added, 0 known" and members() == both       # another list of that name


def test_a_mailenable_post_office(s):
    with tempfile.TemporaryDirectory(prefix="pb-import-") as where:
        mailenable(where)
        dry = run(s, "mailenable", where, "--postoffice", "acme", "--dry-run", check=False)[1]
        assert dry["mailboxes_made"] == ["carl@acme.example", "dora@acme.example"] and dry["added"] == 4, dry
        assert s.ctl("postoffice", "show", "acme", check=False)[0] == 3
        code, report = run(s, "mailenable", where, "--postoffice", "acme", check=False)
        assert code == 0 and report["problem_count"] == 0, report
        assert report["postoffices_made"] == ["acme"] and report["domains_made"] == ["acme.example", "acme.test"] and report["groups_made"] == ["team@acme.example"], report
        assert report["passwords"] == ["carl@acme.example"] and report["needs_password"] == ["dora@acme.example"], report
        assert report["automatic_answers"] == ["dora@acme.example"], report
        assert report["lists"] == ["news@acme.example: 1 members added, 0 known", "talk@acme.example: 2 members added, 0 known", "odd@acme.example: 0 members added, 0 known"], report
        assert dry["lists"] == [line.replace("added", "would be added") for line in report["lists"]] and "talk@acme.example: SubscriptionMode 1" in report["not_imported"], (dry, report)
        check_lists(s)
        dora, carl = (s.ctl("mailbox", "show", name) for name in ("dora@acme.example", "carl@acme.example"))
        assert (dora["redirect"], dora["redirect_keep"], dora["quota_bytes"]) == (["d@elsewhere.example", "carl@acme.example"], True, 2 << 20), dora
        assert carl["redirect"] == [] and carl["quota_bytes"] == 0, carl
        reply = s.ctl("policy", "show", "autoreply", "--mailbox", "dora@acme.example")["settings"][0]
        assert "On leave" in str(reply["value"]) and "Back on Monday." in str(reply["value"]), reply
        assert s.ctl("policy", "show", "autoreply", "--mailbox", "carl@acme.example")["settings"][0]["from"] == "default"
        assert any("the list old" in line for line in report["not_imported"]) and any("Contacts" in line for line in report["not_imported"]), report
        assert sorted(s.ctl("mailbox", "show", "carl@acme.example")["aliases"]) == ["boss@acme.example", "carl@acme.test"]
        resolve = lambda a: s.ctl("directory", "resolve", a)
        assert resolve("whoever@acme.example")["mailbox"] == resolve("carl@acme.example")["mailbox"] and resolve("away@acme.example")["target"] == "redirect/x@elsewhere.example"
        assert sorted(s.ctl("group", "show", "team@acme.example")["members"]) == ["carl@acme.example", "dora@acme.example", "out@elsewhere.example"]
        i = s.imap("carl@acme.example", "carls secret")
        i.logout()
        s.ctl("mailbox", "password", "carl@acme.example", stdin=postbus.PASSWORD + "\n")
        found = rows(s, "carl@acme.example")
        assert [(r[0], r[1], r[2]) for r in found] == [("earlier", {"\\Flagged"}, "13-Sep-2020 12:28:20 +0000"), ("later", {"\\Seen"}, "13-Sep-2020 12:30:00 +0000")], found
        assert subjects(s, "carl@acme.example", "Sent") == ["sent"] and subjects(s, "carl@acme.example", "Projects/2024") == ["project"]
        again = run(s, "mailenable", where, "--postoffice", "acme")
        assert again["lists"][1] == "talk@acme.example: 0 members added, 2 known", again
        who_left_a_list_stays_away(s, where)
        check_lists(s)
        assert counts(again) == (4, 0, 4, 0) and not {"mailboxes_made", "passwords", "lists_made", "automatic_answers"} & set(again), again
        assert s.imap("carl@acme.example")          # its new password is still the one
        code, report = run(s, "mailenable", where, check=False)     # eve's password is too short to be taken
        assert code == 1 and report["postoffices_made"] == ["other"] and report["needs_password"] == ["dora@acme.example", "eve@other.example"], report
        assert "Contacts" not in folders(s, "carl@acme.example")


def test_wrong_words(s):
    for words in ((), ("maildir",), ("maildir", "/tmp"), ("maildir", "/tmp", "--mailbox", "a@b", "--domain", "c"), ("mailenable", "/tmp", "--mailbox", "a@b"), ("pst", "/tmp"),
                  ("mbox", "/tmp", "--mailbox", "a@b", "--date", "tomorrow")):
        assert run(s, *words, check=False)[0] == 2, words
    assert run(s, "maildir", "/", "--mailbox", "alice@demo.example", check=False)[0] == 6
    assert run(s, "mailenable", "/", check=False)[0] == 6
    assert run(s, "mbox", "/nowhere", "--mailbox", "alice@demo.example", check=False)[0] == 1


postbus.run(sys.modules[__name__])
