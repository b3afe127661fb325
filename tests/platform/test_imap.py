#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""svc_imap through the running daemon: what every command answers, to the octet, and what other sessions get to see."""
import base64, email.utils, os, re, socket, ssl, sys, threading
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import postbus
from postbus import PASSWORD

ALICE, BOB = "alice@demo.example", "bob@demo.example"


class Raw:
    """A client that takes nothing for granted: sends bytes, gives whole responses (lines with their literals) as bytes."""

    def __init__(self, server, user=ALICE, login=True, clear=False):
        self.s = socket.create_connection(("127.0.0.1", server.ports["imap" if clear else "imaps"]), 120)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not clear:
            self.s = postbus.no_check().wrap_socket(self.s)
        self.buffer, self.n = b"", 0
        self.greeting = self.response()
        if login:
            done = self.run(f'LOGIN {user} "{PASSWORD}"')
            assert done.ok, done.tagged

    def starttls(self):
        self.s = postbus.no_check().wrap_socket(self.s)

    def fill(self):
        data = self.s.recv(1 << 20)
        if not data:
            raise EOFError
        self.buffer += data

    def response(self):
        at = 0
        while True:
            end = self.buffer.find(b"\r\n", at)
            if end < 0:
                self.fill()
                continue
            literal = re.search(rb"\{(\d+)\}$", self.buffer[at:end])
            if not literal:
                break
            at = end + 2 + int(literal.group(1))
            while len(self.buffer) < at:
                self.fill()
        whole, self.buffer = self.buffer[:end], self.buffer[end + 2:]
        return whole

    def send(self, data):
        self.s.sendall(data if isinstance(data, bytes) else data.encode())

    def finish(self, tag):
        done = Answer()
        while True:
            one = self.response()
            if one.startswith(tag.encode() + b" "):
                done.tagged = one[len(tag) + 1:].decode()
                done.ok = done.tagged.startswith("OK")
                return done
            done.untagged.append(one)

    def run(self, command):
        self.n += 1
        tag = f"a{self.n}"
        self.send(tag.encode() + b" " + (command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        return self.finish(tag)

    def ok(self, command):
        done = self.run(command)
        assert done.ok, (command, done.tagged, done.untagged)
        return done.untagged

    def no(self, command, code=""):
        done = self.run(command)
        assert done.tagged.startswith("NO " + code), (command, done.tagged)
        return done.untagged

    def bad(self, command):
        done = self.run(command)
        assert done.tagged.startswith("BAD"), (command, done.tagged)

    def append(self, folder, message, flags="", date=""):
        self.send(f"ap APPEND {folder} {flags}{' ' if flags else ''}{date}{' ' if date else ''}{{{len(message)}}}\r\n")
        assert self.response().startswith(b"+ ")
        self.send(message + b"\r\n")
        done = self.finish("ap")
        assert done.ok, done.tagged
        return re.search(r"APPENDUID (\d+) (\d+)", done.tagged).groups()

    def close(self):
        self.s.close()


class Answer:
    def __init__(self):
        self.untagged, self.tagged, self.ok = [], "", False


fresh = iter(range(10 ** 6))


def folder(c, prefix="T"):
    name = f"{prefix}{next(fresh)}"
    c.ok(f"CREATE {name}")
    return name


def simple(subject="s", body="text\r\n", extra=""):
    return f"From: a@x.example\r\nTo: b@x.example\r\nSubject: {subject}\r\nDate: Mon, 1 Jan 2024 10:00:00 +0200\r\nMessage-ID: <{subject}@x>\r\n{extra}\r\n{body}".encode()


MULTI = (b"From: A <a@x.example>\r\nSubject: multi\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b1\"\r\n\r\npreamble\r\n"
         b"--b1\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Disposition: inline\r\n\r\nfirst part\r\nline two\r\n"
         b"--b1\r\nContent-Type: message/rfc822\r\n\r\nFrom: inner@x.example\r\nSubject: inner\r\nContent-Type: multipart/alternative; boundary=b2\r\n\r\n"
         b"--b2\r\n\r\ninner text\r\n--b2\r\nContent-Type: text/html\r\n\r\n<p>inner</p>\r\n--b2--\r\n"
         b"--b1\r\nContent-Type: application/octet-stream; name=x.bin\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAw==\r\n--b1--\r\nepilogue\r\n")


def literal(response, label):
    """The value of an item in a FETCH response: bytes of a literal or quoted string, None for NIL."""
    at = response.index(label.encode() + b" ") + len(label) + 1
    rest = response[at:]
    if rest.startswith(b"NIL"):
        return None
    if rest.startswith(b'"'):
        return rest[1:rest.index(b'"', 1)]
    m = re.match(rb"\{(\d+)\}\r\n", rest)
    return rest[m.end():m.end() + int(m.group(1))]


def fetch(c, seq, item, label=None):
    out = c.ok(f"FETCH {seq} {item}")
    assert len(out) == 1, out
    return literal(out[0], label or item.replace(".PEEK", ""))


# ---- connection ----

def test_capabilities_and_greeting(server):
    c = Raw(server, login=False)
    assert c.greeting.startswith(b"* OK [CAPABILITY IMAP4rev1 ") and b"AUTH=PLAIN" in c.greeting and b"STARTTLS" not in c.greeting
    c.ok(f'LOGIN {ALICE} "{PASSWORD}"')
    capability = c.ok("CAPABILITY")[0].split()
    for word in b"IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE NAMESPACE CHILDREN UNSELECT UIDPLUS MOVE SPECIAL-USE".split():
        assert word in capability, word
    assert c.ok('ID ("name" "test" "version" NIL)')[0].startswith(b"* ID (")
    assert c.ok("NAMESPACE") == [b'* NAMESPACE (("" "/")) NIL NIL']
    assert c.ok("ENABLE CONDSTORE X-FOO") == [b"* ENABLED"]
    done = c.run("LOGOUT")
    assert done.ok and done.untagged[0].startswith(b"* BYE")


def test_in_the_clear_there_is_no_login_but_starttls(server):
    c = Raw(server, login=False, clear=True)
    assert b"LOGINDISABLED" in c.greeting and b"STARTTLS" in c.greeting and b"AUTH=" not in c.greeting
    c.no(f'LOGIN {ALICE} "{PASSWORD}"', "[PRIVACYREQUIRED]")
    c.no("AUTHENTICATE PLAIN", "[PRIVACYREQUIRED]")
    c.ok("STARTTLS")
    c.starttls()
    assert b"LOGINDISABLED" not in c.ok("CAPABILITY")[0]
    c.ok(f'LOGIN {ALICE} "{PASSWORD}"')


def test_what_stands_in_the_clear_behind_starttls_is_never_done(server):
    """It may be somebody else's between the client and us: the session ends, and neither a login there nor half a command gets into what would come under TLS."""
    for behind in (f'x LOGIN {ALICE} "{PASSWORD}"\r\ny NOOP\r\n', "x NOOP", "x NOOP {5}\r\nab"):
        c = Raw(server, login=False, clear=True)
        c.send("s STARTTLS\r\n" + behind)
        assert c.response() == b"* BYE Input behind a command that must be the last", behind
        try:
            assert False, (behind, c.response())
        except (EOFError, ConnectionResetError):
            pass


def test_authenticate(server):
    plain = base64.b64encode(f"\0{ALICE}\0{PASSWORD}".encode()).decode()
    c = Raw(server, login=False)
    c.ok(f"AUTHENTICATE PLAIN {plain}")
    c = Raw(server, login=False)
    c.send("x AUTHENTICATE PLAIN\r\n")
    assert c.response() == b"+ "
    c.send(plain + "\r\n")
    assert c.finish("x").ok
    c = Raw(server, login=False)
    c.send("x AUTHENTICATE LOGIN\r\n")
    assert c.response() == b"+ VXNlcm5hbWU6"
    c.send(base64.b64encode(ALICE.encode()) + b"\r\n")
    assert c.response() == b"+ UGFzc3dvcmQ6"
    c.send(base64.b64encode(PASSWORD.encode()) + b"\r\n")
    assert c.finish("x").ok
    c = Raw(server, login=False)
    c.send("x AUTHENTICATE PLAIN\r\n")
    c.response()
    c.send("*\r\n")
    assert c.finish("x").tagged.startswith("BAD")
    c.no("AUTHENTICATE CRAM-MD5")
    c.no(f'LOGIN {ALICE} ""', "[AUTHENTICATIONFAILED]")
    done = c.run(f"LOGIN {ALICE} wrong")
    assert done.tagged.startswith("NO [AUTHENTICATIONFAILED]"), done.tagged
    c.send(f"y LOGIN {{{len(ALICE)}+}}\r\n{ALICE} {{{len(PASSWORD)}}}\r\n")
    assert c.response().startswith(b"+ ")
    c.send(PASSWORD + "\r\n")
    assert c.finish("y").ok


def test_commands_out_of_place_are_refused(server):
    c = Raw(server, login=False)
    c.bad("SELECT INBOX")
    c.ok(f'LOGIN {ALICE} "{PASSWORD}"')
    c.bad("FETCH 1 FLAGS")
    c.bad("LOGIN a b")
    c.bad("FOO")
    c.bad("NOOP x")
    c.ok("NOOP")


def test_a_session_of_errors_is_closed(server):
    for bad in ("x FOO\r\n", "*&^ \r\n", "x\r\n"):
        c = Raw(server)
        c.send(bad * 10 + "y NOOP\r\n")
        lines = []
        try:
            while True:
                lines.append(c.response())
        except (EOFError, ConnectionError, ssl.SSLError):
            pass
        assert lines[-1].startswith(b"* BYE") and sum(b"BAD" in l for l in lines) == 10, (bad, lines)


# ---- literals and limits ----

def test_a_literal_that_is_too_large_is_not_read(server):
    c = Raw(server)
    done = c.run("SELECT {99999999}")
    assert done.tagged.startswith("BAD [TOOBIG]"), done.tagged
    done = c.run("APPEND INBOX {999999999}")
    assert done.tagged.startswith("NO [TOOBIG]"), done.tagged
    c.send("x APPEND INBOX {99999999999+}\r\n")
    assert c.response().startswith(b"* BYE"), "an endless literal"


def test_who_sends_a_literal_that_is_too_large_still_reads_why(server):
    c = Raw(server, login=False, clear=True)
    c.send(b"x FOO {700000+}\r\n" + b"a" * 700000 + b"\r\ny NOOP\r\n")
    assert c.finish("x").tagged.startswith("BAD") and c.finish("y").ok
    c.send(b"z FOO {1500000+}\r\n" + b"a" * 1040000)
    c.s.shutdown(socket.SHUT_WR)
    assert c.response().startswith(b"* BYE [TOOBIG]")
    try:
        c.fill()
    except EOFError:
        return
    raise AssertionError("more than a BYE")


def test_numbers_above_the_last_are_refused_in_an_empty_folder_too(server):
    """RFC 3501 9, seq-number: BAD, "*" included; UIDs that are not there are nothing (6.4.8), and SEARCH finds nothing."""
    c = Raw(server)
    f = folder(c)
    c.ok(f"SELECT {f}")
    for command in "FETCH 1:* FLAGS", "STORE * +FLAGS (\\Seen)", "COPY 1:* INBOX", "MOVE 1 INBOX":
        c.bad(command)
        assert c.ok("UID " + command) == []
    assert c.ok("SEARCH 1:*") == [b"* SEARCH"]


def test_a_refused_literal_is_passed_over(server):
    c = Raw(server)
    c.send("x FOO {5+}\r\nabcde {3+}\r\nxyz\r\ny NOOP\r\n")
    assert c.finish("x").tagged.startswith("BAD") and c.finish("y").ok
    c.send("x APPEND Nowhere {5+}\r\nabcde\r\ny NOOP\r\n")
    assert c.finish("x").tagged.startswith("NO [TRYCREATE]") and c.finish("y").ok
    c.send("x NOOP {2+}\r\nab\r\ny NOOP\r\n")
    assert c.finish("x").tagged.startswith("BAD") and c.finish("y").ok


def test_long_lines_and_deep_nesting(server):
    c = Raw(server)
    c.ok("SELECT INBOX")
    c.send(b"x NOOP " + b"a" * 200000 + b"\r\ny NOOP\r\n")
    assert b"BAD" in c.response()
    assert c.finish("y").ok
    c.bad("SEARCH " + "(" * 1000 + "ALL" + ")" * 1000)
    c.bad("SEARCH " + "NOT " * 1000 + "ALL")


# ---- folders ----

def test_standard_folders(server):
    c = Raw(server)
    lines = {l.split()[-1]: l for l in c.ok('LIST "" *')}
    for name, use in ((b"Drafts", b"\\Drafts"), (b"Sent", b"\\Sent"), (b"Junk", b"\\Junk"), (b"Trash", b"\\Trash"), (b"Archive", b"\\Archive")):
        assert use in lines[name], lines
    assert b"INBOX" in lines and b"\\HasNoChildren" in lines[b"Sent"]
    assert c.ok('LIST "" ""') == [b'* LIST (\\Noselect) "/" ""']
    assert len(c.ok('LIST (SPECIAL-USE) "" *')) == 5


def test_folders_are_made_renamed_listed_and_removed(server):
    c = Raw(server)
    top = folder(c)
    c.ok(f"CREATE {top}/a/b")
    assert sorted(l.split()[-1].decode() for l in c.ok(f'LIST "" {top}/*')) == [f"{top}/a", f"{top}/a/b"]
    assert [l.split()[-1].decode() for l in c.ok(f'LIST {top}/ %')] == [f"{top}/a"]
    assert b"\\HasChildren" in c.ok(f'LIST "" {top}')[0]
    c.no(f"CREATE {top}/a", "[ALREADYEXISTS]")
    c.ok(f"RENAME {top}/a {top}/c")
    assert sorted(l.split()[-1].decode() for l in c.ok(f'LIST "" {top}/*')) == [f"{top}/c", f"{top}/c/b"]
    c.no(f"SELECT {top}/a", "[NONEXISTENT]")
    c.ok(f"SUBSCRIBE {top}/c/b")
    assert c.ok(f'LSUB "" {top}/*') == [f'* LSUB () "/" {top}/c/b'.encode()]
    assert c.ok(f'LSUB "" {top}/%') == [f'* LSUB (\\Noselect) "/" {top}/c'.encode()]
    assert b"\\Subscribed" in c.ok(f'LIST "" {top}/c/b RETURN (SUBSCRIBED CHILDREN)')[0]
    assert [l.split()[-1] for l in c.ok(f'LIST (SUBSCRIBED) "" {top}/*')] == [f"{top}/c/b".encode()]
    assert b'("CHILDINFO" ("SUBSCRIBED"))' in c.ok(f'LIST (SUBSCRIBED RECURSIVEMATCH) "" {top}/%')[0]
    c.ok(f"UNSUBSCRIBE {top}/c/b")
    assert c.ok(f'LSUB "" {top}/*') == []
    out = c.ok(f'LIST "" ({top} {top}/c) RETURN (STATUS (MESSAGES UNSEEN))')
    assert f"* STATUS {top} (MESSAGES 0 UNSEEN 0)".encode() in out and len(out) == 4, out
    c.ok(f"DELETE {top}/c/b")
    c.ok(f"DELETE {top}/c")
    assert c.ok(f'LIST "" {top}/*') == []
    c.no("DELETE INBOX")
    c.no("DELETE NoSuchFolder", "[NONEXISTENT]")
    c.ok(f"CREATE {top}/slash/")
    c.no('CREATE "/a"', "[CANNOT] a folder name has no empty part")
    c.no(f"CREATE {'/'.join('x' * 60)}", "[CANNOT] a folder name has at most ")
    c.no(f"CREATE {'x' * 3000}", "[CANNOT] a folder name has 1 to ")


def test_folder_names_beyond_ascii(server):
    c = Raw(server)
    name = f"Entw&APw-rfe{next(fresh)}"
    c.ok(f"CREATE {name}")
    assert c.ok(f'LIST "" {name}')[0].split()[-1].decode() in (name, f'"{name}"')
    c.ok(f'SELECT "{name}"')
    c.bad("CREATE \"Entw\xfcrfe\"".encode("latin-1"))
    c.bad("CREATE &APw")
    spaced = f"two words {next(fresh)}"
    c.ok(f'CREATE "{spaced}"')
    assert f'"{spaced}"'.encode() in c.ok(f'LIST "" "{spaced}"')[0]
    c.ok(f"STATUS {{{len(spaced)}+}}\r\n{spaced} (MESSAGES)")
    c.ok("CREATE &Jjo-cut")
    assert any(b"&Jjo-cut" in l for l in c.ok('LIST "" "&Jjo*"')), "a pattern that cuts an encoded name"
    assert c.ok('LIST "" "&Jjp*"') == []
    assert c.ok('LIST "foo/bar" ""') == [b'* LIST (\\Noselect) "/" "foo/"']
    assert c.ok('LIST "" ""') == [b'* LIST (\\Noselect) "/" ""']


def test_select_says_what_there_is(server):
    c = Raw(server)
    f = folder(c)
    validity, uid = c.append(f, simple("one"), "(\\Seen)")
    c.append(f, simple("two"), "(\\Flagged $Fwd)")
    done = c.run(f"SELECT {f}")
    lines = b"\n".join(done.untagged).decode()
    assert done.tagged.startswith("OK [READ-WRITE]")
    assert "* 2 EXISTS" in lines and "* 2 RECENT" in lines and "[UNSEEN 2]" in lines and f"[UIDVALIDITY {validity}]" in lines
    assert f"[UIDNEXT {int(uid) + 2}]" in lines and "$Fwd" in re.search(r"\* FLAGS \((.*?)\)", lines).group(1) and "\\*)]" in lines
    assert c.run(f"EXAMINE {f}").tagged.startswith("OK [READ-ONLY]")
    assert b"RECENT 0" in c.ok(f"STATUS {f} (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN SIZE)")[0]
    c.no("STORE 1 +FLAGS (\\Seen)", "[READ-ONLY]")
    c.no("SELECT NoSuch", "[NONEXISTENT]")
    c.bad("FETCH 1 FLAGS")


# ---- FETCH ----

def test_bodies_are_exact_to_the_octet(server):
    c = Raw(server)
    f = folder(c)
    c.append(f, MULTI)
    c.ok(f"SELECT {f}")
    header, text = MULTI.split(b"\r\n\r\n", 1)
    header += b"\r\n\r\n"
    inner = MULTI[MULTI.index(b"From: inner"):MULTI.index(b"\r\n--b1\r\nContent-Type: application")]
    inner_header, inner_text = inner.split(b"\r\n\r\n", 1)
    inner_header += b"\r\n\r\n"
    want = {
        "": MULTI, "HEADER": header, "TEXT": text, "1": b"first part\r\nline two",
        "1.MIME": b"Content-Type: text/plain; charset=us-ascii\r\nContent-Disposition: inline\r\n\r\n",
        "2": inner, "2.HEADER": inner_header, "2.TEXT": inner_text, "2.1": b"inner text", "2.1.MIME": b"\r\n", "2.2": b"<p>inner</p>",
        "2.2.MIME": b"Content-Type: text/html\r\n\r\n", "3": b"AAECAw==", "4": None, "2.3": None, "1.HEADER": None,
        "HEADER.FIELDS (From X-No)": b"From: A <a@x.example>\r\n\r\n", "HEADER.FIELDS (X-No)": b"\r\n",
        "HEADER.FIELDS.NOT (From MIME-Version Content-Type)": b"Subject: multi\r\n\r\n", "2.HEADER.FIELDS (Subject)": b"Subject: inner\r\n\r\n",
    }
    for section, octets in want.items():
        got = fetch(c, 1, f"BODY.PEEK[{section}]")
        assert got == octets, (section, got, octets)
        if not octets:
            continue
        for start in (0, 1, len(octets) // 2, len(octets) - 1, len(octets), len(octets) + 5):
            for count in (1, 3, len(octets), 10 ** 6):
                got = fetch(c, 1, f"BODY.PEEK[{section}]<{start}.{count}>", f"BODY[{section}]<{start}>")
                assert got == octets[start:start + count], (section, start, count, got)
    assert fetch(c, 1, "RFC822.HEADER") == header
    assert b"\\Seen" not in c.ok("FETCH 1 FLAGS")[0]
    out = c.ok("FETCH 1 RFC822.TEXT")[0]
    assert literal(out, "RFC822.TEXT") == text and b"FLAGS (\\Seen" in out
    assert fetch(c, 1, "RFC822") == MULTI
    assert f"RFC822.SIZE {len(MULTI)}".encode() in c.ok("FETCH 1 FAST")[0]


def test_structure(server):
    c = Raw(server)
    f = folder(c)
    c.append(f, MULTI)
    c.append(f, simple("plain", "a\r\nb\r\n"))
    c.ok(f"SELECT {f}")
    out = c.ok("FETCH 1 (BODYSTRUCTURE BODY ENVELOPE)")[0]
    assert b'("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 20 1' in out.upper().replace(b"US-ASCII", b"us-ascii"), out
    assert b'"MIXED"' in out.upper() and b'"MESSAGE" "RFC822"' in out.upper() and out.count(b"(") == out.count(b")")
    out = c.ok("FETCH 2 ENVELOPE")[0]
    assert out == (b'* 2 FETCH (ENVELOPE ("Mon, 1 Jan 2024 10:00:00 +0200" "plain" ((NIL NIL "a" "x.example")) ((NIL NIL "a" "x.example")) '
                   b'((NIL NIL "a" "x.example")) ((NIL NIL "b" "x.example")) NIL NIL NIL "<plain@x>"))'), out
    assert b'BODY ("text" "plain" ' in c.ok("FETCH 2 BODY")[0].lower().replace(b"body", b"BODY")


def test_what_delivery_puts_before_a_message_belongs_to_it(server):
    c = Raw(server)
    message = MULTI.replace(b"Subject: multi", f"Subject: delivered{next(fresh)}".encode())
    server.send(message, sender="who@remote.example")
    postbus.wait(lambda: any(m.endswith(message) for m in server.messages()), "the message")
    c.ok("SELECT INBOX")
    seq = c.ok("SEARCH " + message[message.index(b"Subject"):].split(b"\r\n")[0].decode().replace("Subject: ", "SUBJECT "))[0].split()[-1].decode()
    whole = fetch(c, seq, "BODY.PEEK[]")
    assert whole.startswith(b"Return-Path: <who@remote.example>\r\nDelivered-To: alice@demo.example\r\nReceived: "), whole[:200]
    assert whole.endswith(message)
    header = fetch(c, seq, "BODY.PEEK[HEADER]")
    assert whole.startswith(header) and header.endswith(b"\r\n\r\n") and whole[len(header):] == message.split(b"\r\n\r\n", 1)[1]
    assert fetch(c, seq, "BODY.PEEK[TEXT]") == whole[len(header):]
    assert fetch(c, seq, "BODY.PEEK[1]") == b"first part\r\nline two" and fetch(c, seq, "BODY.PEEK[2.2]") == b"<p>inner</p>"
    assert fetch(c, seq, "BODY.PEEK[HEADER.FIELDS (Return-Path Subject)]").startswith(b"Return-Path: <who@remote.example>\r\nSubject: delivered")
    assert fetch(c, seq, "BODY.PEEK[]<7.20>", "BODY[]<7>") == whole[7:27]
    assert f"RFC822.SIZE {len(whole)})".encode() in c.ok(f"FETCH {seq} RFC822.SIZE")[0]
    assert c.ok(f"SEARCH {seq} HEADER Return-Path who@remote") == [f"* SEARCH {seq}".encode()]
    assert c.ok(f"SEARCH {seq} TEXT delivered-to") == [f"* SEARCH {seq}".encode()]


def test_fetch_many_flags_and_uids(server):
    c = Raw(server)
    f = folder(c)
    for i in range(5):
        c.append(f, simple(f"m{i}"), "(\\Flagged)" if i % 2 else "")
    c.ok(f"SELECT {f}")
    out = c.ok("FETCH 1:* (FLAGS)")
    assert out == [b"* %d FETCH (FLAGS (%s\\Recent))" % (i + 1, b"\\Flagged " if i % 2 else b"") for i in range(5)], out
    uids = [int(re.search(rb"UID (\d+)", l).group(1)) for l in c.ok("UID FETCH 1:* UID")]
    assert uids == sorted(uids) and len(uids) == 5
    assert len(c.ok(f"UID FETCH {uids[1]}:{uids[3]} (FLAGS)")) == 3
    assert c.ok("UID FETCH 999999 (FLAGS)") == []
    assert len(c.ok("UID FETCH 999999:* (FLAGS)")) == 1
    assert len(c.ok("FETCH 2,4:5,1 UID")) == 4
    c.bad("FETCH 6 FLAGS")
    c.bad("FETCH 1:6 FLAGS")
    c.bad("FETCH 0 FLAGS")
    out = c.ok("FETCH 1 (INTERNALDATE)")[0]
    assert re.search(rb'INTERNALDATE "[ \d]\d-\w{3}-\d{4} \d\d:\d\d:\d\d \+0000"', out), out


def test_append_keeps_date_and_flags(server):
    c = Raw(server)
    f = folder(c)
    c.append(f, simple("dated"), "(\\Answered keyword)", '" 5-Feb-2001 03:04:05 +0100"')
    c.ok(f"SELECT {f}")
    out = c.ok("FETCH 1 (FLAGS INTERNALDATE)")[0]
    assert b'INTERNALDATE " 5-Feb-2001 02:04:05 +0000"' in out and b"\\Answered" in out and b"keyword" in out, out
    c.bad(f"APPEND {f} (\\Foo {{3+}}\r\nabc")
    c.bad(f"APPEND {f} (\\Recent) {{3+}}\r\nabc")
    c.bad("STORE 1 +FLAGS (\\Recent)")
    c.bad(f"APPEND {f}")
    c.send(f"x APPEND {f} {{{len(simple())}+}}\r\n".encode() + simple() + b"\r\n")
    done = c.finish("x")
    assert done.ok and b"* 2 EXISTS" in done.untagged, done.untagged


def test_append_keeps_the_first_day(server):
    c = Raw(server)
    f = folder(c)
    c.append(f, simple("old"), date='"01-Jan-1970 00:00:00 +0000"')
    c.ok(f"SELECT {f}")
    assert b'INTERNALDATE "01-Jan-1970 00:00:00 +0000"' in c.ok("FETCH 1 INTERNALDATE")[0].replace(b'" 1-', b'"01-')


def test_line_ends_are_crlf_once_they_are_stored(server):
    c = Raw(server)
    f = folder(c)
    c.append(f, b"Subject: x\n\na\nb\r\nc\n")
    c.ok(f"SELECT {f}")
    assert fetch(c, 1, "BODY.PEEK[]") == b"Subject: x\r\n\r\na\r\nb\r\nc\r\n"
    assert b"RFC822.SIZE 23" in c.ok("FETCH 1 RFC822.SIZE")[0]


def test_lines_that_are_no_fields_are_not_among_named_ones(server):
    c = Raw(server)
    f = folder(c)
    c.append(f, b"From me Sat Jan 1\r\nSubject: x\r\nTo: y\r\n\r\nz\r\n")
    c.ok(f"SELECT {f}")
    assert fetch(c, 1, "BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT)]", "BODY[HEADER.FIELDS.NOT (SUBJECT)]") == b"From me Sat Jan 1\r\nTo: y\r\n\r\n"
    assert fetch(c, 1, "BODY.PEEK[HEADER.FIELDS (TO)]", "BODY[HEADER.FIELDS (TO)]") == b"To: y\r\n\r\n"


# ---- STORE, COPY, MOVE, EXPUNGE ----

def test_store(server):
    c = Raw(server)
    f = folder(c)
    for i in range(3):
        c.append(f, simple(f"m{i}"))
    c.ok(f"SELECT {f}")
    assert c.ok("STORE 1:2 +FLAGS (\\Seen kw1)")[-2:] == [b"* 1 FETCH (FLAGS (\\Seen \\Recent kw1))", b"* 2 FETCH (FLAGS (\\Seen \\Recent kw1))"]
    assert c.ok("STORE 2 -FLAGS \\Seen") == [b"* 2 FETCH (FLAGS (\\Recent kw1))"]
    assert c.ok("STORE 3 FLAGS.SILENT (\\Draft)") == []
    assert c.ok("FETCH 3 FLAGS") == [b"* 3 FETCH (FLAGS (\\Draft \\Recent))"]
    out = c.ok("UID STORE 1:* FLAGS ()")
    assert len(out) == 3 and all(b"UID" in l and b"FLAGS (\\Recent))" in l for l in out), out
    c.bad("STORE 1 FOO (\\Seen)")
    c.bad("STORE 9 +FLAGS (\\Seen)")
    c.bad("STORE 1 +FLAGS (\\Seen")
    c.no("STORE 1 +FLAGS (\\NoSuchSystemFlag)")
    assert any(b"kw2" in l and l.startswith(b"* FLAGS") for l in c.ok("STORE 1 +FLAGS (kw2)"))
    # whatever is taken away without having been there is not made for that, and needs no room
    assert c.ok("STORE 1 -FLAGS (never1 kw2)") == [b"* 1 FETCH (FLAGS (\\Recent))"]
    for i in range(3, 57):
        c.ok(f"STORE 1 +FLAGS.SILENT (kw{i})")
    c.no("STORE 1 +FLAGS (kw57)")
    assert c.ok("UID STORE 1 -FLAGS.SILENT (never2)") == []


def test_expunge_copy_move(server):
    c = Raw(server)
    f, g = folder(c), folder(c)
    uids = [int(c.append(f, simple(f"m{i}"))[1]) for i in range(6)]
    c.ok(f"SELECT {f}")
    done = c.run(f"COPY 2:3 {g}")
    m = re.match(r"OK \[COPYUID (\d+) (\S+) (\S+)\]", done.tagged)
    assert m and m.group(2) == f"{uids[1]}:{uids[2]}", done.tagged
    c.no("COPY 1 NoSuchFolder", "[TRYCREATE]")
    c.ok("STORE 1,3,6 +FLAGS (\\Deleted)")
    assert c.ok(f"UID EXPUNGE {uids[2]}") == [b"* 3 EXPUNGE"]
    out = c.ok("EXPUNGE")
    assert out == [b"* 5 EXPUNGE", b"* 1 EXPUNGE"], out
    assert [int(re.search(rb"UID (\d+)", l).group(1)) for l in c.ok("FETCH 1:* UID")] == [uids[1], uids[3], uids[4]]
    done = c.run(f"UID MOVE {uids[3]} {g}")
    assert done.ok and done.untagged[0].startswith(b"* OK [COPYUID") and done.untagged[1:] == [b"* 2 EXPUNGE"], done.untagged
    assert b"MESSAGES 3" in c.ok(f"STATUS {g} (MESSAGES)")[0]
    done = c.run(f"MOVE 1:2 {g}")
    assert done.ok and done.untagged[1:] == [b"* 2 EXPUNGE", b"* 1 EXPUNGE"], done.untagged
    c.bad(f"MOVE 1 {g}")
    c.ok(f"SELECT {g}")
    subjects = [fetch(c, i, "BODY.PEEK[HEADER.FIELDS (Subject)]") for i in range(1, 6)]
    assert subjects == [f"Subject: m{i}\r\n\r\n".encode() for i in (1, 2, 3, 1, 4)], subjects
    c.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)")
    assert c.ok("CLOSE") == []
    assert b"MESSAGES 0" in c.ok(f"STATUS {g} (MESSAGES)")[0]
    c.bad("CHECK")


def test_ids_of_mailboxes_and_messages(server):
    """RFC 8474: an id stays through renames, and goes along with copies."""
    c = Raw(server, BOB)
    said = lambda command: b"\n".join((lambda a: a.untagged + [a.tagged.encode()])(c.run(command))).decode()
    assert " OBJECTID" in said("CAPABILITY")
    named = lambda text: re.search(r"MAILBOXID \(([A-Za-z0-9_-]+)\)", text).group(1)
    made = named(said("CREATE Ids/One"))
    c.append("Ids/One", simple("first"))
    c.append("Ids/One", simple("second"))
    assert named(said("SELECT Ids/One")) == made and named(said("EXAMINE Ids/One")) == made
    found = said("FETCH 1:2 (EMAILID THREADID)")
    emails = re.findall(r"EMAILID \(([A-Za-z0-9_-]+)\)", found)
    assert len(emails) == 2 and emails[0] != emails[1] and found.count("THREADID NIL") == 2, found
    assert said(f"SEARCH EMAILID {emails[1]}").startswith("* SEARCH 2\n") and "SEARCH 2" not in said("SEARCH THREADID T1")
    assert c.run("UNSELECT").ok and c.run("RENAME Ids/One Ids/Two").ok
    assert named(said("STATUS Ids/Two (MESSAGES MAILBOXID)")) == made and "MESSAGES 2 MAILBOXID (" in said("STATUS Ids/Two (MESSAGES MAILBOXID)")
    c.run("CREATE Ids/Other")
    c.run("SELECT Ids/Two")
    assert c.run("COPY 1 Ids/Other").ok and c.run("MOVE 2 Ids/Other").ok
    assert named(said("SELECT Ids/Other")) != made
    assert re.findall(r"EMAILID \(([A-Za-z0-9_-]+)\)", said("FETCH 1:* EMAILID")) == emails


def test_examine_and_unselect_remove_nothing(server):
    c = Raw(server)
    f = folder(c)
    c.append(f, simple(), "(\\Deleted)")
    c.ok(f"EXAMINE {f}")
    c.no("EXPUNGE", "[READ-ONLY]")
    c.ok("CLOSE")
    c.ok(f"SELECT {f}")
    c.ok("UNSELECT")
    assert b"MESSAGES 1" in c.ok(f"STATUS {f} (MESSAGES)")[0]


# ---- SEARCH ----

def test_search(server):
    c = Raw(server)
    f = folder(c)
    c.append(f, simple("Apple pie", "The quick brown fox\r\n", "Cc: carl@y.example\r\nX-Tag: One\r\n"), "(\\Seen)", '"01-Feb-2020 12:00:00 +0000"')
    c.append(f, simple("=?utf-8?q?=C3=84pfel?=", "caf=C3=A9 au lait\r\n",
                       "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"), "(\\Flagged kw)", '"02-Feb-2020 12:00:00 +0000"')
    c.append(f, simple("b64", base64.b64encode(b"hidden treasure here").decode() + "\r\n", "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n"),
             "(\\Deleted)", '"03-Feb-2020 12:00:00 +0000"')
    c.append(f, simple("x" * 10, "z" * 2000 + "\r\n"), "(\\Answered \\Draft)", '"04-Feb-2020 12:00:00 +0000"')
    c.ok(f"SELECT {f}")
    cases = {
        "ALL": "1 2 3 4", "SEEN": "1", "UNSEEN": "2 3 4", "FLAGGED": "2", "UNFLAGGED": "1 3 4", "DELETED": "3", "ANSWERED DRAFT": "4", "UNDRAFT UNDELETED": "1 2",
        "SEEN UNSEEN": "", "FLAGGED KEYWORD kw UNSEEN": "2", "(UNSEEN) UNDELETED": "2 4", "SEEN RECENT": "1", "UNSEEN OLD": "", "NOT (SEEN FLAGGED)": "1 2 3 4",
        "UNSEEN SUBJECT b64": "3", "OR FLAGGED SEEN": "1 2", "UNKEYWORD nosuch SEEN": "1", "NOT UNSEEN": "1", "KEYWORD kw": "2", "UNKEYWORD kw": "1 3 4", "KEYWORD nosuch": "", "NEW": "2 3 4", "OLD": "", "RECENT": "1 2 3 4", "2:3": "2 3", "*": "4", "1,3:*": "1 3 4",
        "UID 1:*": "1 2 3 4", "NOT 2": "1 3 4", "OR 1 4": "1 4", "OR (SEEN) NOT (OR 1 UNSEEN)": "1", "(1:3 FLAGGED)": "2",
        "LARGER 1500": "4", "SMALLER 1500": "1 2 3", "BEFORE 2-Feb-2020": "1", "ON 2-Feb-2020": "2", "SINCE 3-Feb-2020": "3 4", "SENTON 1-Jan-2024": "1 2 3 4",
        "SENTBEFORE 1-Jan-2024": "", "SENTSINCE 1-Jan-2024": "1 2 3 4", "SUBJECT apple": "1", 'SUBJECT "APPLE P"': "1", "FROM a@x": "1 2 3 4", "TO nobody": "",
        "CC carl": "1", "BCC x": "", "HEADER X-Tag one": "1", 'HEADER X-Tag ""': "1", "BODY quick": "1", 'BODY "BROWN FOX"': "1", "BODY apple": "", "TEXT apple": "1",
        "BODY treasure": "3", 'TEXT "hidden treasure"': "3", "BODY lait": "2", "BODY zzzz": "4", "TEXT nosuchword": "",
    }
    for key, want in cases.items():
        got = c.ok("SEARCH " + key)
        assert got == [f"* SEARCH {want}".strip().encode()], (key, got, want)
    for charset, word in (("UTF-8", "café".encode()), ("ISO-8859-1", "CAFÉ".encode("latin-1"))):
        assert c.ok(b"SEARCH CHARSET %s BODY {%d+}\r\n%s" % (charset.encode(), len(word), word)) == [b"* SEARCH 2"]
    word = "äpfel".encode()
    assert c.ok(b"SEARCH CHARSET UTF-8 SUBJECT {%d+}\r\n%s" % (len(word), word)) == [b"* SEARCH 2"]
    c.no("SEARCH CHARSET x-no-such TEXT a", "[BADCHARSET")
    c.bad("SEARCH FOO")
    uids = [int(re.search(rb"UID (\d+)", l).group(1)) for l in c.ok("FETCH 1:* UID")]
    assert c.ok("UID SEARCH FLAGGED") == [b"* SEARCH %d" % uids[1]]
    assert c.ok("SEARCH RETURN (MIN MAX COUNT ALL) UNSEEN") == [f'* ESEARCH (TAG "a{c.n}") MIN 2 MAX 4 COUNT 3 ALL 2:4'.encode()]
    assert c.ok("UID SEARCH RETURN () SEEN") == [f'* ESEARCH (TAG "a{c.n}") UID ALL {uids[0]}'.encode()]


def test_without_a_date_field_a_message_was_sent_on_no_day(server):
    c = Raw(server)
    f = folder(c)
    c.append(f, b"Subject: undated\r\n\r\nx\r\n", date='"01-Feb-2020 12:00:00 +0000"')
    c.append(f, simple("dated"))
    c.ok(f"SELECT {f}")
    for key, want in (("SENTSINCE 1-Jan-2000", b" 2"), ("SENTBEFORE 1-Jan-2100", b" 2"), ("SENTON 1-Feb-2020", b""), ("ON 1-Feb-2020", b" 1")):
        assert c.ok("SEARCH " + key) == [b"* SEARCH" + want], key


# ---- several sessions ----

def test_what_another_session_expunged_cannot_be_copied(server):
    c, d = Raw(server), Raw(server)
    f, to = folder(c), folder(c)
    for i in range(3):
        c.append(f, simple(f"m{i}"))
    c.ok(f"SELECT {f}")
    uids = [int(re.search(rb"UID (\d+)", l).group(1)) for l in c.ok("FETCH 1:* UID")]
    d.ok(f"SELECT {f}")
    c.ok("STORE 2 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")
    d.no(f"COPY 1:3 {to}", "[EXPUNGEISSUED]")
    d.ok(f"SELECT {f}")
    assert b"(MESSAGES 0)" in c.ok(f"STATUS {to} (MESSAGES)")[0]
    c.ok("STORE 1 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")
    d.no("STORE 1 +FLAGS (madeup)", "[EXPUNGEISSUED]")
    assert not any(b"madeup" in l for l in d.ok(f"SELECT {f}"))
    c.ok("STORE 1 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")
    d.ok(f"UID COPY {uids[0]}:{uids[2]} {to}")      # 6.4.8: UIDs that are not there are passed over
    assert b"(MESSAGES 0)" in c.ok(f"STATUS {to} (MESSAGES)")[0]


def test_others_are_told_when_they_may_be(server):
    c, d = Raw(server), Raw(server)
    f = folder(c)
    for i in range(4):
        c.append(f, simple(f"m{i}"))
    c.ok(f"SELECT {f}")
    d.ok(f"SELECT {f}")
    c.ok("STORE 1 +FLAGS (\\Flagged)")
    out = d.ok("NOOP")
    assert len(out) == 1 and out[0].startswith(b"* 1 FETCH (") and b"\\Flagged" in out[0], out
    c.ok("STORE 2 +FLAGS (\\Deleted)")
    c.ok("EXPUNGE")
    out = d.ok("FETCH 1:4 (UID)")
    assert len(out) == 4 and not any(b"EXPUNGE" in l for l in out), out
    assert not any(b"EXPUNGE" in l for l in d.ok("SEARCH ALL"))
    assert d.ok("SEARCH 4") == [b"* SEARCH 4"]
    assert not any(b"EXPUNGE" in l for l in d.ok("STORE 1 +FLAGS (\\Seen)"))
    done = d.run("FETCH 2 BODY.PEEK[]")
    assert done.ok or done.tagged.startswith("NO [EXPUNGEISSUED]"), done.tagged
    out = d.ok("NOOP")
    assert b"* 2 EXPUNGE" in out, out
    assert d.ok("SEARCH ALL") == [b"* SEARCH 1 2 3"]
    c.append(f, simple("new"))
    out = d.ok("CHECK")
    assert b"* 4 EXISTS" in out, out


def test_idle(server):
    c, d = Raw(server), Raw(server)
    f = folder(c)
    c.append(f, simple("first"))
    d.ok(f"SELECT {f}")
    d.send("i IDLE\r\n")
    assert d.response() == b"+ idling"
    c.append(f, simple("second"))
    assert d.response() == b"* 2 EXISTS"
    assert re.match(rb"\* \d RECENT", d.response())
    c.ok(f"SELECT {f}")
    c.ok("STORE 1 +FLAGS (\\Deleted)")
    got = d.response()
    while not got.startswith(b"* 1 FETCH"):
        got = d.response()
    assert b"\\Deleted" in got
    c.ok("EXPUNGE")
    assert d.response() == b"* 1 EXPUNGE"
    d.send("DONE\r\nj NOOP\r\n")
    assert d.finish("i").ok and d.finish("j").ok
    d.send("k IDLE\r\n")
    d.response()
    d.send("WRONG\r\n")
    assert d.finish("k").tagged.startswith("BAD")


def test_recent_belongs_to_one_session(server):
    c = Raw(server)
    f = folder(c)
    c.append(f, simple())
    d, e = Raw(server), Raw(server)
    assert b"* 1 RECENT" in d.ok(f"SELECT {f}")
    assert b"* 0 RECENT" in e.ok(f"SELECT {f}")
    assert b"\\Recent" in d.ok("FETCH 1 FLAGS")[0] and b"\\Recent" not in e.ok("FETCH 1 FLAGS")[0]


def test_a_deleted_folder_ends_its_sessions(server):
    c, d = Raw(server), Raw(server)
    f = folder(c)
    c.append(f, simple())
    c.ok(f"SELECT {f}")
    d.ok(f"SELECT {f}")
    c.ok(f"DELETE {f}")
    c.bad("FETCH 1 FLAGS")
    d.send("x NOOP\r\n")
    assert d.response().startswith(b"* BYE")


def test_renaming_inbox_moves_its_messages(server):
    c = Raw(server, BOB)
    c.append("INBOX", simple())
    name = f"Old{next(fresh)}"
    c.ok(f"RENAME INBOX {name}")
    assert b"MESSAGES 0" in c.ok("STATUS inbox (MESSAGES)")[0] and b"MESSAGES 1" in c.ok(f"STATUS {name} (MESSAGES)")[0]


def test_pipelined_commands_are_answered_in_order(server):
    c = Raw(server)
    f = folder(c)
    c.append(f, simple())
    c.send(f"a SELECT {f}\r\nb FETCH 1 (FLAGS BODY.PEEK[])\r\nc UID SEARCH ALL\r\nd STORE 1 +FLAGS.SILENT \\Seen\r\ne FETCH 1 FLAGS\r\nf CLOSE\r\n")
    assert c.finish("a").ok and literal(c.finish("b").untagged[0], "BODY[]") == simple() and c.finish("c").ok and c.finish("d").ok
    assert b"\\Seen" in c.finish("e").untagged[0] and c.finish("f").ok


def test_imaplib_reads_what_it_wrote(server):
    i = server.imap()
    i.append("Drafts", "(\\Draft)", '"01-Jan-2020 00:00:00 +0000"', simple("by imaplib"))
    kind, data = i.select("Drafts")
    assert kind == "OK"
    kind, data = i.search(None, "SUBJECT", '"by imaplib"')
    assert data[0]
    kind, data = i.fetch(data[0].split()[-1], "(RFC822)")
    assert data[0][1] == simple("by imaplib")
    i.logout()


if __name__ == "__main__":
    postbus.run(sys.modules["__main__"])
