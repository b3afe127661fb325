# SPDX-License-Identifier: GPL-3.0-or-later
"""A list's whole life with programs that people use: swaks and mutt write, curl, mutt and mbsync read, curl leaves."""
import email, email.policy, os, re, shutil, subprocess, sys, tempfile

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus
from postbus import PASSWORD

ALICE, BOB, CAROL = (f"{name}@demo.example" for name in ("alice", "bob", "carol"))
DEV = "dev@demo.example"
CONFIG = {"plugins": {"conn_list": {"config": {"interval": 1}, "listen": {"unsubscribe": {"enabled": True}}}}}


def make():
    missing = [name for name in ("swaks", "mutt", "mbsync", "curl") if not shutil.which(name)]
    if missing:
        print(f"skip all: {', '.join(missing)} not installed")
        sys.exit(77)
    server = postbus.Server(config=CONFIG)
    server.where = os.path.join(server.home, "clients")
    os.mkdir(server.where)
    for who in ALICE, BOB:
        server.ctl("mailbox", "set", who, "--role", "user")
    server.ctl("mailbox", "create", CAROL)
    server.ctl("mailbox", "password", CAROL, stdin=PASSWORD + "\n")
    return server


def run(*words, stdin="", env=None):
    done = subprocess.run(words, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, env=env)
    assert done.returncode == 0, f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}"
    return done.stdout


def swaks(server, who, to, *more):
    run("swaks", "--server", f"127.0.0.1:{server.ports['submission']}", "--tls", "--auth", "PLAIN", "--auth-user", who, "--auth-password", PASSWORD, "--from", who, "--to", to,
        "--ehlo", "client.example", *more)


def mutt(server, who, to, subject, text):
    """As somebody answers a letter: by his mail program, with his login."""
    rc = os.path.join(server.where, "muttrc")
    with open(rc, "w") as f:
        f.write(f'set from="{who}" use_envelope_from=yes smtp_url="smtp://{who.replace("@", "%40")}@127.0.0.1:{server.ports["submission"]}/" smtp_pass="{PASSWORD}" smtp_authenticators="plain"\n'
                f'set ssl_starttls=yes ssl_force_tls=yes certificate_file={server.home}/tls/cert.pem ssl_verify_host=no ssl_verify_dates=no copy=no record=""\n')
    run("mutt", "-n", "-F", rc, "-s", subject, "--", to, stdin=text, env=dict(os.environ, HOME=server.where))


def curl_box(server, who):
    base = ["curl", "-sS", "-k", "--user", f"{who}:{PASSWORD}"]
    box = f"imaps://127.0.0.1:{server.ports['imaps']}/INBOX"
    found = subprocess.run(base + [f"{box}?ALL"], stdout=subprocess.PIPE, text=True).stdout
    return [email.message_from_bytes(subprocess.run(base + [f"{box};MAILINDEX={n}"], stdout=subprocess.PIPE).stdout, policy=email.policy.SMTP)
            for n in re.findall(r"\d+", found)]


def letter(server, who, pattern):
    """The one letter with such a subject, as curl gets it."""
    def look():
        found = [m for m in curl_box(server, who) if re.search(pattern, m["Subject"])]
        assert len(found) < 2, f"{who} has {pattern} {len(found)} times"
        return found
    return postbus.wait(look, f"{pattern} at {who}")[0]


def mbsync(server, who):
    """Folders of the archive that his mbsync brings, with how many messages are in each."""
    where = tempfile.mkdtemp(dir=server.where)
    tls = "TLSType" if "1.5" in run("mbsync", "--version") else "SSLType"
    with open(os.path.join(where, "rc"), "w") as f:
        f.write(f'IMAPAccount a\nHost 127.0.0.1\nPort {server.ports["imaps"]}\nUser {who}\nPass "{PASSWORD}"\n{tls} IMAPS\nCertificateFile {server.home}/tls/cert.pem\nAuthMechs PLAIN\n\n'
                f"IMAPStore remote\nAccount a\n\nMaildirStore local\nPath {where}/mail/\nInbox {where}/mail/INBOX\nSubFolders Verbatim\n\n"
                f"Channel c\nFar :remote:\nNear :local:\nPatterns Public/*\nCreate Near\nSync Pull\nSyncState *\n")
    os.mkdir(os.path.join(where, "mail"))
    run("mbsync", "-c", os.path.join(where, "rc"), "-a", env=dict(os.environ, HOME=where))
    return {os.path.relpath(top, os.path.join(where, "mail")): len(files) for top, folders, files in os.walk(os.path.join(where, "mail")) if files and os.path.basename(top) in ("new", "cur")}


def members(server):
    return [m["address"] for m in server.ctl("list", "member", "list", DEV)["members"]]


def test_somebody_joins_and_the_owner_agrees(server):
    server.ctl("list", "create", DEV, "--description", "Developers", "--owners", ALICE, "--subscription", "moderated")
    for setting, value in (("archive", "yes"), ("personal", "yes"), ("footer_text", "for {address}"), ("one_click_url", f"http://127.0.0.1:{server.ports['unsubscribe']}/")):
        server.ctl("list", "set", DEV, setting, value)
    swaks(server, BOB, "dev-subscribe@demo.example", "--header", "Subject: please")
    asked = letter(server, BOB, "^confirm ")
    mutt(server, BOB, re.search(r"<(.*)>", asked["From"]).group(1), f"Re: {asked['Subject']}", "> Somebody, probably you\n")
    wants = letter(server, ALICE, "wants to subscribe")
    mutt(server, ALICE, re.search(r"<(.*)>", wants["From"]).group(1), f"Re: {wants['Subject']}", "Approve.\n")
    assert "dev-unsubscribe@demo.example" in letter(server, BOB, "^Welcome to Developers").get_content() and members(server) == [BOB]


def test_a_member_posts_with_an_attachment(server):
    attached = os.path.join(server.where, "notes")
    with open(attached, "w") as f:
        f.write("one\n")
    server.ctl("list", "member", "add", DEV, ALICE)
    swaks(server, BOB, DEV, "--header", "Subject: minutes", "--body", "Hello all.", "--attach-type", "text/x-notes", "--attach", attached)
    m = letter(server, ALICE, "^minutes$")
    assert f"for {ALICE}" in m.get_body().get_content() and [a.get_content_type() for a in m.iter_attachments()] == ["text/x-notes"], m.as_string()
    assert m["List-Id"] == "Developers <dev.demo.example>" and m["Return-Path"] == "<dev-bounces+alice=demo.example@demo.example>"


def test_a_stranger_waits_and_hears_why_not(server):
    swaks(server, CAROL, DEV, "--header", "Subject: buy this", "--body", "It is cheap.")
    waits = letter(server, ALICE, "a post of .* waits: buy this")
    letter(server, CAROL, "^Your post to dev@demo.example waits")
    mutt(server, ALICE, re.search(r"<(.*)>", waits["From"]).group(1), f"Re: {waits['Subject']}", "reject\nThis list sells nothing.\n")
    assert "This list sells nothing." in letter(server, CAROL, "was not taken").get_body().get_content()


def test_the_archive_is_for_members(server):
    assert mbsync(server, BOB) == {"Public/Lists/dev/new": 1}
    assert mbsync(server, CAROL) == {}


def test_a_request_is_answered_and_one_click_ends_it(server):
    mutt(server, BOB, "dev-request@demo.example", "set ack on", "")
    letter(server, BOB, "^Re: set ack on$")
    assert server.ctl("list", "member", "show", DEV, BOB)["ack"] is True
    url = re.search(r"<(http://\S+)>", "".join(letter(server, BOB, "^minutes$")["List-Unsubscribe"].split())).group(1)
    assert "form" in run("curl", "-sS", url) and members(server) == [ALICE, BOB]
    run("curl", "-sSf", "-d", "List-Unsubscribe=One-Click", url)
    letter(server, BOB, "^You have left Developers$")
    assert members(server) == [ALICE] and mbsync(server, BOB) == {}


postbus.run(sys.modules[__name__], make)
