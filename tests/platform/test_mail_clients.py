#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail clients as they come with Debian against submission, IMAP and POP3: curl, mbsync, mutt, fetchmail."""
import email, email.policy, os, shutil, subprocess, sys, tempfile
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import postbus
from postbus import PASSWORD

ALICE, BOB = "alice@demo.example", "bob@demo.example"


def need(name):
    if not shutil.which(name):
        raise postbus.Skip(f"{name} is not installed")


def run(*words, stdin="", env=None, want=0):
    done = subprocess.run(words, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, env=env)
    assert done.returncode == want, f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}"
    return done.stdout


def text(subject, body="Hello there.\r\n"):
    return postbus.message(subject, body)


def append(server, user, folder, *messages):
    i = server.imap(user)
    for m in messages:
        kind, data = i.append(folder, None, None, m)
        assert kind == "OK", data
    i.logout()


def test_curl_imap(server):
    need("curl")
    append(server, ALICE, "Archive", text("by curl", "A body to read.\r\n"))
    base = ["curl", "-sS", "-k", "--user", f"{ALICE}:{PASSWORD}"]
    imaps, imap = f"imaps://127.0.0.1:{server.ports['imaps']}", f"imap://127.0.0.1:{server.ports['imap']}"
    assert "INBOX" in run(*base, imaps)
    assert "A body to read." in run(*base, f"{imaps}/Archive;MAILINDEX=1")
    assert run(*base, "--ssl-reqd", f"{imap}/Archive;MAILINDEX=1;SECTION=TEXT").strip() == "A body to read."
    assert "* SEARCH 1" in run(*base, f"{imaps}/Archive?SUBJECT%20curl")
    with tempfile.NamedTemporaryFile("wb", suffix=".eml") as f:
        f.write(text("uploaded"))
        f.flush()
        run(*base, "-T", f.name, f"{imaps}/Drafts")
    assert any(b"Subject: uploaded" in m for m in server.messages(ALICE, "Drafts"))
    run(*base[:-1], f"{ALICE}:wrong", imaps, want=67)


def test_curl_pop3(server):
    need("curl")
    append(server, BOB, "INBOX", text("for curl", ".dots\r\n..\r\nend\r\n"))
    base = ["curl", "-sS", "-k", "--user", f"{BOB}:{PASSWORD}"]
    pop3s, pop3 = f"pop3s://127.0.0.1:{server.ports['pop3s']}", f"pop3://127.0.0.1:{server.ports['pop3']}"
    last = run(*base, pop3s).split("\n")[-2].split()[0]
    assert ".dots\n..\nend\n" in run(*base, f"{pop3s}/{last}").replace("\r", "")
    assert last in run(*base, "--ssl-reqd", "-X", "UIDL", pop3)


def mbsync(server, where):
    rc = os.path.join(where, "mbsyncrc")
    with open(rc, "w") as f:
        f.write(f"""IMAPAccount a
Host 127.0.0.1
Port {server.ports['imaps']}
User {ALICE}
Pass "{PASSWORD}"
{'TLSType' if '1.5' in run('mbsync', '--version') else 'SSLType'} IMAPS
CertificateFile {server.home}/tls/cert.pem
AuthMechs PLAIN

IMAPStore remote
Account a

MaildirStore local
Path {where}/mail/
Inbox {where}/mail/INBOX
SubFolders Verbatim

Channel c
Far :remote:
Near :local:
Patterns *
Create Both
Expunge Both
SyncState *
""")
    os.makedirs(f"{where}/mail", exist_ok=True)
    return run("mbsync", "-c", rc, "-a", env=dict(os.environ, HOME=where))


def maildir(where, folder):
    return sorted(os.listdir(f"{where}/mail/{folder}/cur") + os.listdir(f"{where}/mail/{folder}/new"))


def test_mbsync_both_ways(server):
    need("mbsync")
    where = tempfile.mkdtemp(prefix="pb-mbsync-")
    try:
        append(server, ALICE, "Sent", *[text(f"sync {k}") for k in range(5)])
        mbsync(server, where)
        assert len(maildir(where, "Sent")) == 5
        with open(f"{where}/mail/Sent/new/1.x.host", "wb") as f:
            f.write(text("from the Maildir").replace(b"\r\n", b"\n"))
        first = maildir(where, "Sent")[0]
        os.makedirs(f"{where}/mail/Sent/cur", exist_ok=True)
        folder = "new" if os.path.exists(f"{where}/mail/Sent/new/{first}") else "cur"
        os.rename(f"{where}/mail/Sent/{folder}/{first}", f"{where}/mail/Sent/cur/{first.split(':')[0]}:2,FS")
        mbsync(server, where)
        i = server.imap()
        i.select("Sent")
        assert len(i.search(None, "ALL")[1][0].split()) == 6
        assert len(i.search(None, "FLAGGED", "SEEN")[1][0].split()) == 1
        i.store("2:3", "+FLAGS", "(\\Deleted)")
        i.expunge()
        i.logout()
        mbsync(server, where)
        assert len(maildir(where, "Sent")) == 4
        mbsync(server, where)
    finally:
        shutil.rmtree(where)


def test_mutt_reads_and_copies(server):
    need("mutt")
    where = tempfile.mkdtemp(prefix="pb-mutt-")
    try:
        append(server, ALICE, "Junk", text("mutt one"), text("mutt two"))
        rc = os.path.join(where, "muttrc")
        with open(rc, "w") as f:
            f.write(f"""set imap_user="{ALICE}" imap_pass="{PASSWORD}" ssl_force_tls=yes certificate_file={server.home}/tls/cert.pem
set folder="imaps://127.0.0.1:{server.ports['imaps']}/" spoolfile="=Junk" ssl_verify_host=no ssl_verify_dates=no
set confirmappend=no confirmcreate=no delete=yes move=no quit=yes wait_key=no copy=no header_cache=""
push "<tag-pattern>~s mutt<enter><tag-prefix><copy-message>=Trash<enter><flag-message><sync-mailbox><exit>"
""")
        subprocess.run(["script", "-qec", f"mutt -n -F {rc}", "/dev/null"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=120, env=dict(os.environ, HOME=where, TERM="vt100"))
        subjects = b"".join(server.messages(ALICE, "Trash"))
        assert b"mutt one" in subjects and b"mutt two" in subjects
    finally:
        shutil.rmtree(where)


def test_mutt_sends_and_keeps_a_copy(server):
    need("mutt")
    where = tempfile.mkdtemp(prefix="pb-mutt-")
    try:
        rc, picture = os.path.join(where, "muttrc"), os.path.join(where, "picture.bin")
        with open(picture, "wb") as f:
            f.write(bytes(range(256)) * 40)
        with open(rc, "w") as f:
            f.write(f"""set smtp_url="smtp://{ALICE}@127.0.0.1:{server.ports['submission']}/" smtp_pass="{PASSWORD}" smtp_authenticators="plain:login"
set imap_user="{ALICE}" imap_pass="{PASSWORD}" folder="imaps://127.0.0.1:{server.ports['imaps']}/" record="=Sent" copy=yes confirmcreate=no
set ssl_force_tls=yes ssl_starttls=yes certificate_file={server.home}/tls/cert.pem ssl_verify_host=no ssl_verify_dates=no
set from="{ALICE}" realname="Alice Grün" use_envelope_from=yes envelope_from_address="{ALICE}" charset=utf-8 send_charset=utf-8 header_cache=""
""")
        run("mutt", "-n", "-F", rc, "-s", "Grüße von mutt", "-c", ALICE, "-a", picture, "--", BOB, stdin="Über allem.\n.\nFrom here\n",
            env=dict(os.environ, HOME=where, LC_ALL="C.UTF-8", TERM="vt100"))
        got = {}
        for user, folder in ((BOB, "INBOX"), (ALICE, "INBOX"), (ALICE, "Sent")):
            mails = postbus.wait(lambda: [m for m in parsed(server, user, folder) if m["Subject"] == "Grüße von mutt"], f"mutt's message in {folder} of {user}")
            assert len(mails) == 1
            got[user, folder] = mails[0]
        for m in got.values():
            words, attached = m.iter_parts()
            assert words.get_content() == "Über allem.\r\n.\r\nFrom here\r\n", repr(words.get_content())
            assert attached.get_payload(decode=True) == bytes(range(256)) * 40 and attached.get_filename() == "picture.bin"
        assert got[BOB, "INBOX"]["Received"] and not got[ALICE, "Sent"]["Received"]
    finally:
        shutil.rmtree(where)


def parsed(server, user, folder):
    return [email.message_from_bytes(m, policy=email.policy.default) for m in server.messages(user, folder)]


def fetchmail(server, where, protocol, words, want=0):
    """One poll; what came is in where/out."""
    rc = os.path.join(where, "rc")
    port = server.ports["pop3s" if protocol == "pop3" else "imaps"]
    with open(rc, "w") as f:
        f.write(f'poll 127.0.0.1 protocol {protocol} port {port} {"uidl" if protocol == "pop3" else ""} user "{BOB}" password "{PASSWORD}" {words}\n')
    os.chmod(rc, 0o600)
    return run("fetchmail", "-f", rc, "-i", os.path.join(where, "ids"), env=dict(os.environ, HOME=where, FETCHMAILHOME=where), want=want)


def fetched(where):
    out = os.path.join(where, "out")
    return open(out, errors="replace").read() if os.path.exists(out) else ""


def fetchmail_with_keep(server, protocol):
    need("fetchmail")
    where = tempfile.mkdtemp(prefix="pb-fetchmail-")
    tls, mda = "ssl no sslcertck", f'mda "cat >> {where}/out"'
    try:
        append(server, BOB, "INBOX", text(f"kept one {protocol}"), text(f"kept two {protocol}"))
        kept = server.messages(BOB)
        fetchmail(server, where, protocol, f"{tls} keep {mda}")
        assert fetched(where).count(f" {protocol}\n") == 2
        fetchmail(server, where, protocol, f"{tls} keep {mda}", want=1)      # nothing new
        assert server.messages(BOB) == kept
        append(server, BOB, "INBOX", text(f"kept three {protocol}"))
        fetchmail(server, where, protocol, f"{tls} keep {mda}")
        assert [fetched(where).count(f"Subject: kept {n} {protocol}\n") for n in ("one", "two", "three")] == [1, 1, 1]
        fetchmail(server, where, protocol, f"{tls} no keep fetchall {mda}")
        assert server.messages(BOB) == [] and fetched(where).count(f"Subject: kept three {protocol}\n") == 2
    finally:
        shutil.rmtree(where)


def test_fetchmail_pop3_with_keep(server):
    fetchmail_with_keep(server, "pop3")


def test_fetchmail_imap_with_keep(server):
    fetchmail_with_keep(server, "imap")


def test_fetchmail_hands_on_by_smtp(server):
    need("fetchmail")
    where = tempfile.mkdtemp(prefix="pb-fetchmail-")
    try:
        append(server, BOB, "INBOX", text("handed on", ".a dot\r\n..two\r\n"))
        fetchmail(server, where, "imap", f"is alice here ssl no sslcertck no keep smtphost 127.0.0.1/{server.ports['smtp']} smtpaddress demo.example")
        found = postbus.wait(lambda: [m for m in server.messages(ALICE) if b"Subject: handed on\r\n" in m], "what fetchmail handed on")
        assert len(found) == 1 and found[0].endswith(b"\r\n\r\n.a dot\r\n..two\r\n") and server.messages(BOB) == []
    finally:
        shutil.rmtree(where)


def test_fetchmail_empties_the_maildrop(server):
    need("fetchmail")
    where = tempfile.mkdtemp(prefix="pb-fetchmail-")
    try:
        append(server, BOB, "INBOX", text("fetch me"), text("and me"))
        before = len(server.messages(BOB))
        rc, out = os.path.join(where, "rc"), os.path.join(where, "out")
        with open(rc, "w") as f:
            f.write(f'poll 127.0.0.1 protocol pop3 port {server.ports["pop3s"]} user "{BOB}" password "{PASSWORD}" ssl no sslcertck no keep '
                    f'mda "cat >> {out}"\n')
        os.chmod(rc, 0o600)
        env = dict(os.environ, HOME=where, FETCHMAILHOME=where)
        run("fetchmail", "-f", rc, "-i", os.path.join(where, "ids"), env=env)
        mail = open(out, errors="replace").read()
        assert before >= 2 and "Subject: fetch me" in mail and "Subject: and me" in mail
        assert server.messages(BOB) == []
    finally:
        shutil.rmtree(where)


if __name__ == "__main__":
    postbus.run(sys.modules["__main__"])
