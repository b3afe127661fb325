#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""SCRAM-SHA-256 with and without channel binding through the running daemon: GNU SASL's own clients (gsasl, mpop, libgsasl) in all four protocols; and, by hand, what an
attacker would do who knows no password, sits in between, or wants to know who exists."""
import base64, ctypes, hashlib, hmac, os, re, shutil, ssl, subprocess, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import postbus
from postbus import PASSWORD

ALICE = "alice@demo.example"
PLAIN, PLUS = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"


# ---- one way to speak in all four protocols ----

class Client:
    """A connection under TLS that has authenticated nobody yet. step() gives ("more", challenge), ("done", data) or ("no", line)."""

    def __init__(self, server, protocol, tls12=False):
        import socket
        listener = {"imap": "imaps", "pop3": "pop3s", "smtp": "submissions", "sieve": "managesieve"}[protocol]
        self.protocol, self.server = protocol, server
        self.s = socket.create_connection(("127.0.0.1", server.ports[listener]), 30 * postbus.PATIENCE)
        if protocol == "sieve":
            f = self.s.makefile("rb")
            self.greeting(f)
            self.s.sendall(b"STARTTLS\r\n")
            assert f.readline().startswith(b"OK")
            f.close()
        context = postbus.no_check()
        if tls12:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.s = context.wrap_socket(self.s)
        self.f = self.s.makefile("rb")
        self.mechanisms = self.greeting(self.f)
        if protocol == "smtp":
            self.s.sendall(b"EHLO client.example\r\n")
            while True:
                line = self.f.readline()
                self.mechanisms += line
                if line[3:4] == b" ":
                    break

    def greeting(self, f):
        lines = f.readline()
        while self.protocol == "sieve" and not lines.splitlines()[-1].startswith(b"OK"):
            lines += f.readline()
        return lines

    def begin(self, mechanism, initial):
        word = base64.b64encode(initial).decode()
        verb = {"imap": "x AUTHENTICATE {} {}", "pop3": "AUTH {} {}", "smtp": "AUTH {} {}", "sieve": 'AUTHENTICATE "{}" "{}"'}[self.protocol]
        return self.say(verb.format(mechanism, word))

    def step(self, response):
        word = base64.b64encode(response).decode()
        return self.say(f'"{word}"' if self.protocol == "sieve" else word)

    def say(self, line):
        self.s.sendall(line.encode() + b"\r\n")
        said = self.f.readline().decode().rstrip("\r\n")
        more = {"imap": r"\+ (.*)", "pop3": r"\+ (.*)", "smtp": r"334 (.*)", "sieve": r'"(.*)"'}[self.protocol]
        done = {"imap": r"x OK .*()", "pop3": r"\+OK.*()", "smtp": r"235 .*()", "sieve": r'OK(?: \(SASL "(.*)"\))?.*'}[self.protocol]
        for kind, pattern in (("more", more), ("done", done)):
            found = re.fullmatch(pattern, said)
            if found:
                return kind, base64.b64decode(found.group(1) or "")
        return "no", said

    def close(self):
        self.f.close()
        self.s.close()


# ---- libgsasl as the client ----

AUTHID, PASS, TLS_UNIQUE = 1, 3, 18       # gsasl-prop.h: GSASL_AUTHID, GSASL_PASSWORD, GSASL_CB_TLS_UNIQUE


class Gsasl:
    def __init__(self, mechanism, user, password, unique=None):
        self.lib = ctypes.CDLL("libgsasl.so.18")
        self.lib.gsasl_property_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
        self.lib.gsasl_step.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_size_t)]
        self.lib.gsasl_client_start.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)]
        self.lib.gsasl_finish.argtypes = self.lib.gsasl_done.argtypes = self.lib.gsasl_free.argtypes = [ctypes.c_void_p]
        self.context, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        assert self.lib.gsasl_init(ctypes.byref(self.context)) == 0
        assert self.lib.gsasl_client_start(self.context, mechanism.encode(), ctypes.byref(self.session)) == 0
        for name, value in ((AUTHID, user.encode()), (PASS, password.encode()), (TLS_UNIQUE, base64.b64encode(unique) if unique else None)):
            if value:
                self.lib.gsasl_property_set(self.session, name, value)

    def step(self, challenge):
        """(rc, response): 0 is GSASL_OK: the server has proved itself too; 1 is GSASL_NEEDS_MORE."""
        out, n = ctypes.c_void_p(), ctypes.c_size_t()
        rc = self.lib.gsasl_step(self.session, challenge, len(challenge), ctypes.byref(out), ctypes.byref(n))
        response = ctypes.string_at(out, n.value) if out.value and n.value else b""
        self.lib.gsasl_free(out)
        return rc, response

    def end(self):
        self.lib.gsasl_finish(self.session)
        self.lib.gsasl_done(self.context)


def login(server, protocol, mechanism, user=ALICE, password=PASSWORD):
    """True, False; an AssertionError where the server did not prove that it knows the keys."""
    c = Client(server, protocol, tls12=mechanism == PLUS)
    g = Gsasl(mechanism, user, password, c.s.get_channel_binding("tls-unique") if mechanism == PLUS else None)
    try:
        rc, response = g.step(b"")
        assert rc == 1, rc
        kind, data = c.begin(mechanism, response)
        while kind == "more":
            rc, response = g.step(data)
            assert rc in (0, 1), rc
            kind, data = c.step(response)
        if kind == "done" and protocol == "sieve":
            rc, response = g.step(data)
        assert kind != "done" or rc == 0, (kind, rc)
        return kind == "done"
    finally:
        g.end()
        c.close()


def have(program):
    if not shutil.which(program):
        raise postbus.Skip(f"{program} is not installed")


def test_libgsasl_logs_in_everywhere(server):
    for protocol in ("imap", "pop3", "smtp", "sieve"):
        for mechanism in (PLAIN, PLUS):
            assert login(server, protocol, mechanism), (protocol, mechanism)
            assert not login(server, protocol, mechanism, password="wrong"), (protocol, mechanism)
            assert not login(server, protocol, mechanism, user="nobody@demo.example"), (protocol, mechanism)


def test_the_gsasl_program_logs_in_bound_by_the_exporter(server):
    have("gsasl")
    for protocol, listener in (("imap", "imap"), ("smtp", "submission")):
        for mechanism in (PLAIN, PLUS):
            run = lambda password: subprocess.run(
                ["gsasl", "--client", f"--{protocol}", "--connect", f"127.0.0.1:{server.ports[listener]}", "--mechanism", mechanism, "--authentication-id", ALICE,
                 "--password", password, "--x509-ca-file="] + (["--no-cb"] if mechanism == PLAIN else []),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120 * postbus.PATIENCE)
            done = run(PASSWORD)
            assert done.returncode == 0 and "server trusted" in done.stdout and f" {mechanism}\n" in done.stdout, done.stdout
            if mechanism == PLUS:       # "p=tls-exporter," in base64
                assert "cD10bHMtZXhwb3J0ZXIs" in done.stdout, done.stdout
            assert run("wrong").returncode != 0


def test_mpop_fetches_with_scram(server):
    have("mpop")
    server.send(postbus.message("for mpop"))
    server.wait_messages(1)
    where = os.path.join(server.home, "mpop-got")
    done = subprocess.run(["mpop", "--host=127.0.0.1", f"--port={server.ports['pop3s']}", "--tls=on", "--tls-starttls=off", "--tls-certcheck=off", "--auth=scram-sha-256",
                           f"--user={ALICE}", f"--passwordeval=echo '{PASSWORD}'", f"--delivery=mbox,{where}", f"--uidls-file={where}.uidls", "--keep=on"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120 * postbus.PATIENCE,
                          env=dict(os.environ, HOME=server.home))
    assert done.returncode == 0 and "for mpop" in open(where).read(), done.stdout


# ---- by hand: what no good client does ----

def proof(password, salt, rounds, message):
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), rounds)
    key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
    return base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()


def challenge(client, user, mechanism=PLAIN, header="n,,", nonce="abcdef"):
    """(client-first-bare, server-first, salt, rounds)"""
    bare = f"n={user},r={nonce}"
    kind, data = client.begin(mechanism, (header + bare).encode())
    assert kind == "more", data
    found = re.fullmatch(r"r=(abcdef\S{24}),s=([A-Za-z0-9+/=]+),i=(\d+)", data.decode())
    return bare, data.decode(), found.group(1), found.group(2), int(found.group(3))


def by_hand(server, header="n,,", channel=b"", mechanism=PLAIN, say=None, change=lambda text: text, protocol="imap"):
    c = Client(server, protocol)
    bare, first, nonce, salt, rounds = challenge(c, ALICE, mechanism, header)
    if channel is None:
        der = c.s.getpeercert(True)
        channel = hashlib.sha256(der).digest()
    final = f"c={base64.b64encode((say or header).encode() + channel).decode()},r={nonce}"
    kind, data = c.step(change(f"{final},p={proof(PASSWORD, salt, rounds, f'{bare},{first},{final}'.encode())}").encode())
    c.close()
    return kind, data


def test_the_certificate_binds_too(server):
    header = "p=tls-server-end-point,,"
    assert by_hand(server, header, None, PLUS)[0] == "more"
    kind, said = by_hand(server, header, b"\0" * 32, PLUS)
    assert kind == "no" and "AUTHENTICATIONFAILED" in said
    assert by_hand(server, "p=tls-exporter,,", b"\0" * 32, PLUS)[0] == "no"
    # under TLS 1.3 there is no such thing (RFC 9266)
    assert by_hand(server, "p=tls-unique,,", b"\0" * 12, PLUS)[0] == "no"


def test_who_sits_in_between_is_noticed(server):
    assert by_hand(server)[0] == "more"
    assert by_hand(server, change=lambda text: text.replace("r=abcdef", "r=abcdeg"))[0] == "no"
    assert by_hand(server, change=lambda text: text.replace(",p=", ",x=y,p="))[0] == "no"      # it is signed
    assert by_hand(server, say="y,,")[0] == "no"
    c = Client(server, "imap")          # the client saw no -PLUS in the list
    kind, said = c.begin(PLAIN, f"y,,n={ALICE},r=abcdef".encode())
    assert kind == "no" and "AUTHENTICATIONFAILED" in said
    c.close()


def test_nobody_can_tell_who_exists(server):
    """The salt of a name that nobody has looks like others, stays the same in all spellings, services and lives of the daemon, and is another's not."""
    def salt(user, protocol="imap"):
        c = Client(server, protocol)
        bare, first, nonce, salt, rounds = challenge(c, user)
        kind, said = c.step(f"c=biws,r={nonce},p={'A' * 43}=".encode())
        c.close()
        assert kind == "no"
        return salt, rounds, re.sub(r"^x ", "", said)

    server.ctl("mailbox", "create", "idle@demo.example")
    known = salt(ALICE)
    there = {name: salt(name) for name in ("nobody@demo.example", "nobody@elsewhere.example", "idle@demo.example", "nobody")}
    for name, (its, rounds, said) in there.items():
        assert len(its) == len(known[0]) and (rounds, said) == known[1:], name
        assert salt(name.upper() if "@" in name else name) == there[name] == salt(name), name
    assert len({its for its, _, _ in there.values()} | {known[0]}) == 5
    assert salt("nobody@demo.example", "pop3")[:2] == there["nobody@demo.example"][:2]
    server.stop()
    server.start()
    assert {name: salt(name) for name in there} == there


def test_a_login_that_ends_in_the_middle_does_not_hold(server):
    """The password is changed between the server's signature and the client's last word."""
    server.ctl("mailbox", "create", "carol@demo.example")
    server.ctl("mailbox", "password", "carol@demo.example", stdin=PASSWORD + "\n")
    for change in (False, True):
        c = Client(server, "imap")
        bare, first, nonce, salt, rounds = challenge(c, "carol@demo.example")
        final = f"c=biws,r={nonce}"
        kind, data = c.step(f"{final},p={proof(PASSWORD, salt, rounds, f'{bare},{first},{final}'.encode())}".encode())
        assert kind == "more" and data.startswith(b"v=")
        if change:
            server.ctl("mailbox", "password", "carol@demo.example", stdin="another one\n")
        assert c.step(b"")[0] == ("no" if change else "done")
        c.close()


def test_failures_are_counted_and_logged_like_others(server):
    def counted():
        return {name: int(n) for name, n in re.findall(r"(?m)^(\S*logins_failed\S*) (\d+)$", server.ctl("metrics", json_out=False))}

    before = counted()
    assert before, server.ctl("metrics", json_out=False)[:500]
    assert not login(server, "imap", PLAIN, password="wrong")
    after = counted()
    more = {name for name in after if after[name] == before[name] + 1}
    assert any("imap" in name for name in more) and any("directory" in name for name in more), (before, after)
    server.wait_log(r"event=login\.failed plugin=agent_directory login=alice@demo\.example service=imap peer=127\.0\.0\.1")
    c = Client(server, "smtp")          # three, and it hangs up
    for said in ("535", "535", "421"):
        _, _, nonce, _, _ = challenge(c, ALICE)
        assert c.step(f"c=biws,r={nonce},p={'A' * 43}=".encode())[1].startswith(said)
    c.close()


def test_not_in_the_clear(server):
    i = __import__("imaplib").IMAP4("127.0.0.1", server.ports["imap"])
    assert not any(name.startswith("AUTH=") for name in i.capabilities), i.capabilities
    assert i.xatom("AUTHENTICATE", PLAIN)[0] == "NO"
    i.shutdown()


if __name__ == "__main__":
    postbus.run(sys.modules[__name__], lambda: postbus.Server(config={"plugins": {"svc_imap": {"config": {"login_delay": 0}}, "svc_pop3": {"config": {"login_delay": 0}},
                                                                                  "svc_managesieve": {"config": {"login_delay": 0}}}}))
