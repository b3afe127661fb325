# SPDX-License-Identifier: GPL-3.0-or-later
"""Each criterion and each action that rules from words know, through a running daemon: with a message that it fits and one that it does not."""
import os, re, socket, struct, sys, threading

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus
from postbus import wait

GOOD, BAD = "45.0.2.8", "45.0.2.7"     # what the names below know of them
PLAIN = ("From: Eve <eve@good.example>\r\nTo: bob@demo.example\r\nSubject: nothing\r\nX-Count: {n}\r\n\r\nhello\r\n")
FULL = ("From: Bill <x@bad.example>\r\nTo: Alice <alice@demo.example>\r\nCc: Carol <carol@x.example>\r\nReply-To: x@y.example\r\nX-Kind: spammy\r\nX-Z: a zebra\r\n"
        "X-Priority: 1 (Highest)\r\nSubject: =?utf-8?q?Sch=C3=B6ne_gr=C3=BC=C3=9Fe_lottery?=\r\nX-Count: {n}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nViele Gr=C3=BC=C3=9Fe\r\n"
        "--b\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\nx\r\n"
        "--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename*=utf-8''pr%6Fg.exe\r\n\r\n" + ("y" * 70 + "\r\n") * 300 + "--b--\r\n")
# What FULL from BAD fits and PLAIN from GOOD does not.
CRITERIA = {
    "to": "to is alice@demo.example", "cc": "cc is carol@x.example", "toorcc": "to-or-cc is carol@x.example", "from": "from is *@bad.example", "name": "from contains Bill",
    "replyto": "reply-to is x@y.example", "sender": "sender ends with @env.example", "rcpts": "recipients over 1", "subject": "subject contains SCHÖNE GRÜ", "regex": "subject regex l[ou]tt+ery",
    "header": "header X-Kind is spammy", "exists": "header X-Kind exists", "any": "any header contains zebra", "body": "body contains grüsse or grüße", "priority": "priority is high", "size": "size over 20K",
    "attachment": "has attachment", "filename": "attachment name is *.exe or *.scr", "charset": "character set is koi8-r", "dnsbl": "client in dnsbl bl.lists.org", "noptr": "client has no ptr",
    "client": f"client address is {BAD}/32"}
# What fits a submission by a login of the house and neither of the above.
OF_LOGINS = {"auth": "sender authenticated", "local": "direction local"}
# Answers that are none: a zone that says it refuses, and one that answers with the address of a web server.
NEVER = {"refused": "client in dnsbl refused.lists.org", "dead": "client in dnsbl dead.lists.org", "elsewhere": "connector is svc_lmtp", "past": "date before 2020-01-01"}


class Names(threading.Thread):
    """A name server that knows a few names."""

    def __init__(self):
        super().__init__(daemon=True)
        a = lambda address: (1, socket.inet_aton(address))
        self.names = {"7.2.0.45.bl.lists.org": a("127.0.0.2"), "7.2.0.45.refused.lists.org": a("127.255.255.254"), "7.2.0.45.dead.lists.org": a("203.0.113.9"),
                      "8.2.0.45.in-addr.arpa": (12, b"\4mail\4good\3org\0"), "mail.good.org": a(GOOD)}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            asked, client = self.socket.recvfrom(4096)
            labels, at = [], 12
            while asked[at]:
                labels.append(asked[at + 1:at + 1 + asked[at]].decode().lower())
                at += 1 + asked[at]
            kind, value = self.names.get(".".join(labels), (0, b""))
            here = kind == struct.unpack("!H", asked[at + 1:at + 3])[0]
            answer = asked[:2] + (b"\x81\x80" if kind else b"\x81\x83") + b"\0\1" + (b"\0\1" if here else b"\0\0") + b"\0\0\0\0" + asked[12:at + 5]
            self.socket.sendto(answer + (b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(value)) + value if here else b""), client)


def make():
    server = postbus.Server({"plugins": {"agent_dns": {"config": {"forwarders": [f"127.0.0.1@{Names().port}"], "trust_anchor": ""}},
                                         "conn_smtp": {"listen": {"smtp": {"proxies": ["127.0.0.1"]}}}}})
    for name in ("carol", "dave"):
        server.ctl("mailbox", "create", f"{name}@demo.example")
        server.ctl("mailbox", "password", f"{name}@demo.example", stdin=postbus.PASSWORD + "\n")
    return server


def send_as(server, client, message, sender, to):
    """From any client's address: a proxy says so."""
    with socket.create_connection(("127.0.0.1", server.ports["smtp"]), 30 * postbus.PATIENCE) as s, s.makefile("rwb") as f:
        def say(line):
            f.write(line + b"\r\n")
            f.flush()
            while (answer := f.readline())[3:4] == b"-":
                pass
            assert answer[:1] in b"23", (line, answer)
        say(f"PROXY TCP4 {client} 127.0.0.1 5000 25".encode())
        say(b"EHLO client.example")
        say(f"MAIL FROM:<{sender}>".encode())
        for one in to:
            say(f"RCPT TO:<{one}>".encode())
        say(b"DATA")
        say(message + b".")


def arrived(server, user, folder, what):
    """The one message with this in it."""
    return wait(lambda: next((m for m in server.messages(user, folder) if what in m), None), f"{what} in {folder} of {user}")


def hits(message):
    return {h.decode() for h in re.findall(rb"\r\nX-Hit: ([\w]+)|^X-Hit: (\w+)", message) for h in h if h}


def test_each_criterion_fits_what_it_says_and_nothing_else(server):
    for name, when in (CRITERIA | OF_LOGINS | NEVER).items():
        server.ctl("filter", "add", name, "--when", when, "--do", f'add header "X-Hit: {name}"')
    server.ctl("filter", "add", "not", "--when", "not subject contains SCHÖNE GRÜ", "--do", 'add header "X-Hit: not"')

    def check(which, message, fitting):
        found = hits(message)
        assert found == fitting, f"{which}: too many: {found - fitting}, missing: {fitting - found}"

    send_as(server, BAD, FULL.format(n=1).encode(), "q@env.example", ("alice@demo.example", "bob@demo.example"))
    check("full", arrived(server, "alice@demo.example", "INBOX", b"X-Count: 1"), set(CRITERIA))
    send_as(server, GOOD, PLAIN.format(n=2).encode(), "eve@good.example", ("alice@demo.example",))
    check("plain", arrived(server, "alice@demo.example", "INBOX", b"X-Count: 2"), {"not"})
    server.submit(PLAIN.format(n=3).replace("eve@good.example", "bob@demo.example"), "bob@demo.example", ("alice@demo.example",))
    check("submitted", arrived(server, "alice@demo.example", "INBOX", b"X-Count: 3"), {"not"} | set(OF_LOGINS))


def test_verdicts_of_others_are_criteria_too(server):
    path, of_dave = os.path.join(server.home, "m.eml"), ("--mailbox", "dave@demo.example")
    with open(path, "w") as f:
        f.write(PLAIN)
    for when, fits, not_this in (("spf is fail or softfail", '{"spf": "softfail"}', '{"spf": "pass"}'), ("dkim is fail", '{"dkim": "fail"}', '{"dkim": "none"}'), ("dmarc is fail", '{"dmarc": "fail"}', "{}"),
                                 ("spam score over 4.5", '{"spam_score": 4.6}', '{"spam_score": 4.5}'), ("spam score under 0", '{"spam_score": -1}', "{}"),
                                 ("virus found", '{"virus": "Eicar"}', '{"virus": ""}'), ("virus contains eicar", '{"virus": "Win.Eicar"}', '{"virus": "Other"}')):
        server.ctl("filter", "add", when, "--when", when, "--do", f'move "{when}"', *of_dave)
        did = lambda notes: [a["folder"] for a in server.ctl("filter", "test", "--message", path, "--notes", notes, *of_dave)["actions"]]
        assert when in did(fits) and when not in did(not_this), when


ACTED = ("From: carol@demo.example\r\nTo: bob@demo.example\r\nSubject: =?utf-8?q?f=C3=BCr?= {n}\r\nX-Mark: <{n}>\r\nX-Old: was\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
         "--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b\r\nContent-Type: application/x-thing; name=\"a.exe\"\r\nContent-Disposition: attachment; filename=a.exe\r\n\r\nEXE\r\n"
         "--b\r\nContent-Type: application/x-thing\r\nContent-Disposition: attachment; filename=b.txt\r\n\r\nTXT\r\n--b--\r\n")
# What is done, where the message lies then (user and folder), and what stands in it and what not.
ACTIONS = (
    ("move Filed", [("bob", "Filed")], "", ""), ("copy Copied", [("bob", "INBOX"), ("bob", "Copied")], "", ""),
    ("move to public folder News", [("dave", "Public/News")], "", ""), ("copy to public folder News", [("dave", "Public/News"), ("bob", "INBOX")], "", ""),
    ("redirect dave@demo.example", [("dave", "INBOX")], "", ""), ("copy to dave@demo.example", [("dave", "INBOX"), ("bob", "INBOX")], "", ""),
    ("mark as spam", [("bob", "Junk")], "\r\nX-Spam-Flag: YES\r\n", ""), ('add header "X-A: b c"', [("bob", "INBOX")], "X-A: b c\r\n", ""),
    ('set header "X-Old: new"', [("bob", "INBOX")], "\r\nX-Old: new\r\n", "X-Old: was"), ("remove header X-Old", [("bob", "INBOX")], "", "X-Old"),
    ("prefix subject [neu]", [("bob", "INBOX")], "\r\nSubject: [neu] =?utf-8?Q?f=C3=BCr?= 10\r\n", "f\u00fcr"), ("set subject Gr\u00fc\u00dfe", [("bob", "INBOX")], "\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n", "Gr\u00fc"),
    ('set header "Reply-To: J\u00f6rg M <j@x.example>"', [("bob", "INBOX")], "Reply-To: =?utf-8?Q?J=C3=B6rg_M?= <j@x.example>\r\n", "J\u00f6rg"),
    ("strip attachments", [("bob", "INBOX")], "removed by a filter", "EXE\r\n|TXT\r\n"), ("strip attachments matching *.exe", [("bob", "INBOX")], "TXT\r\n", "EXE\r\n"),
    ("set priority low", [("bob", "INBOX")], "", ""), ("keep", [("bob", "INBOX")], "", ""), ("delete", [], "", ""), ("quarantine odd", [], "", ""), ("reject not here", [], "", ""),
    ("set flag Work", [("bob", "INBOX")], "", ""), ("run tell one two", [("bob", "INBOX")], "", ""), ("notify sender from template told", [("bob", "INBOX")], "", ""),
    ("notify dave@demo.example from template told", [("bob", "INBOX")], "", ""))


def prepare(server):
    for name, text in (("templates/told", "Subject: about {subject}\n\nYou wrote to {recipient}.\n"), ("programs/tell", f'#!/bin/sh\necho "$@" > {server.home}/told.part; mv {server.home}/told.part {server.home}/told\n')):
        os.makedirs(os.path.dirname(os.path.join(server.home, name)), exist_ok=True)
        with open(os.path.join(server.home, name), "w") as f:
            f.write(text)
    os.chmod(os.path.join(server.home, "programs/tell"), 0o755)
    server.ctl("public", "create", "News", "--postoffice", "demo")


def test_each_action_does_what_it_says(server):
    prepare(server)
    ids = []
    for n, (do, *_) in enumerate(ACTIONS):
        server.ctl("filter", "add", f"act {n}", "--when", f"header X-Mark is <{n}>", "--do", do)
    for n in range(len(ACTIONS)):
        ids.append(server.submit(ACTED.format(n=n), "carol@demo.example", ("bob@demo.example",)))
    server.submit(ACTED.format(n="none"), "carol@demo.example", ("bob@demo.example",))
    arrived(server, "bob@demo.example", "INBOX", b"<none>")
    for n, (do, places, there, gone) in enumerate(ACTIONS):
        for user, folder in places:
            message = arrived(server, f"{user}@demo.example", folder, f"X-Mark: <{n}>".encode()).decode()
            assert there in message and not (gone and re.search(gone, message)), (do, message)
    of_bob = server.messages("bob@demo.example")
    for n, (do, places, *_) in enumerate(ACTIONS):
        assert any(f"X-Mark: <{n}>".encode() in m for m in of_bob) == (("bob", "INBOX") in places), do
    act = {do.split()[0] + " " + do.split()[1] if " " in do else do: ids[n] for n, (do, *_) in enumerate(ACTIONS)}
    assert [q["message"] for q in server.ctl("quarantine", "list")["messages"]] == [act["quarantine odd"]]
    assert b"550 5.7.1 not here" in arrived(server, "carol@demo.example", "INBOX", b"Not delivered")
    assert b"You wrote to bob@demo.example" in arrived(server, "carol@demo.example", "INBOX", b"Subject: about")
    assert b"You wrote to bob@demo.example" in arrived(server, "dave@demo.example", "INBOX", b"Subject: about")
    assert wait(lambda: os.path.exists(server.home + "/told") and open(server.home + "/told").read(), "the program of a rule") == "one two\n"
    i = server.imap("bob@demo.example")
    i.select()
    assert len(i.search(None, "KEYWORD", "Work")[1][0].split()) == 1
    i.logout()


postbus.run(sys.modules[__name__], make)
