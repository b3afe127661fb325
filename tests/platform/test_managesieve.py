#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""svc_managesieve through the running daemon: sieve-connect from Debian, response codes, whose scripts they are, hostile framing."""
import base64, os, shutil, socket, subprocess, sys, tempfile
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import postbus
from postbus import PASSWORD

ALICE, BOB = "alice@demo.example", "bob@demo.example"


class Raw:
    """A connection; run() gives the lines before the last and the last one."""

    def __init__(self, server, user=None, tls=True):
        self.s = socket.create_connection(("127.0.0.1", server.ports["managesieve"]), 120)
        self.f = self.s.makefile("rb")
        self.capabilities = self.answer()[0]
        if tls:
            assert self.run("STARTTLS")[1].startswith("OK")
            self.f.close()
            self.s = postbus.no_check().wrap_socket(self.s)
            self.f = self.s.makefile("rb")
            self.capabilities = self.answer()[0]
        if user:
            said = self.login(user)
            assert said.startswith("OK"), said

    def login(self, user, password=PASSWORD):
        return self.run(f'AUTHENTICATE "PLAIN" "{plain(user, password)}"')[1]

    def line(self):
        line = self.f.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError
        return line[:-2].decode()

    def answer(self):
        lines = []
        while True:
            line = self.line()
            if line.split(" ")[0] in ("OK", "NO", "BYE"):
                return lines, line
            lines.append(line)

    def send(self, data):
        self.s.sendall(data if isinstance(data, bytes) else data.encode())

    def run(self, command):
        self.send(command + "\r\n")
        return self.answer()

    def put(self, name, text, verb="PUTSCRIPT"):
        text = text.encode()
        self.send(f'{verb} "{name}" {{{len(text)}+}}\r\n'.encode() + text + b"\r\n")
        return self.answer()[1]

    def is_closed(self):
        try:
            return self.f.read() == b""
        except ConnectionResetError:
            return True


def plain(user, password):
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


def forget_all(server, user):
    r = Raw(server, user)
    r.run('SETACTIVE ""')
    for line in r.run("LISTSCRIPTS")[0]:
        r.run("DELETESCRIPT " + line)
    assert r.run("LISTSCRIPTS")[0] == []
    return r


def test_sieve_connect(server):
    if not shutil.which("sieve-connect"):
        raise postbus.Skip("sieve-connect is not installed")
    forget_all(server, ALICE)
    where = tempfile.mkdtemp(prefix="pb-sieve-")
    path = os.path.join(where, "mine.sieve")
    with open(path, "w") as f:
        f.write('require ["fileinto"];\n# Grüße ☃\nfileinto "Junk";\n')

    def connect(*words, want=0):
        done = subprocess.run(["sieve-connect", "--server", "127.0.0.1", "--port", str(server.ports["managesieve"]), "--user", ALICE, "--notlsverify", "--passwordfd", "0",
                               *words], input=PASSWORD + "\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, cwd=where)
        assert done.returncode == want, f"{words}: exit {done.returncode}\n{done.stdout}"
        return done.stdout
    try:
        connect("--checkscript", "--localsieve", path)
        connect("--upload", "--localsieve", path, "--remotesieve", "mine")
        assert '"mine"' in connect("--list") and "ACTIVE" not in connect("--list")
        connect("--activate", "--remotesieve", "mine")
        assert '"mine" ACTIVE' in connect("--list")
        assert server.ctl("script", "list", "--mailbox", ALICE)["scripts"][0]["active"]
        connect("--download", "--remotesieve", "mine", "--localsieve", path + ".back")
        assert open(path + ".back").read() == open(path).read()
        with open(path + ".bad", "w") as f:
            f.write('require ["fileinto"];\n\nfileinto 7;\n')
        said = connect("--upload", "--localsieve", path + ".bad", "--remotesieve", "mine", want=1)
        assert "line 3, column" in said, said
        assert server.ctl("script", "get", "mine", "--mailbox", ALICE)["text"] == open(path).read()
        connect("--deactivate")
        connect("--delete", "--remotesieve", "mine")
        assert "mine" not in connect("--list")
    finally:
        shutil.rmtree(where)


def test_limits_have_response_codes(server):
    r = forget_all(server, BOB)
    assert r.put("big", "#" * 2049).startswith("NO (QUOTA/MAXSIZE)")
    assert r.run('HAVESPACE "big" 2049')[1].startswith("NO (QUOTA/MAXSIZE)")
    assert r.run('HAVESPACE "big" 2048')[1].startswith("OK")
    assert r.put("one", "#" * 2048).startswith("OK")
    assert r.put("two", "#" * 2048).startswith("OK")
    assert r.put("three", "keep;").startswith("NO (QUOTA) ")
    assert r.run('HAVESPACE "three" 5')[1].startswith("NO (QUOTA) ")
    assert r.put("two", "keep;").startswith("OK")           # in place of the old one
    assert r.put("three", "keep;").startswith("OK")
    assert r.put("four", "keep;").startswith("NO (QUOTA/MAXSCRIPTS)")
    assert r.run('HAVESPACE "four" 5')[1].startswith("NO (QUOTA/MAXSCRIPTS)")
    assert r.put("three", "stop;").startswith("OK")
    # What is refused because of its size alone is read over, and the session goes on.
    assert r.put("huge", "LOGOUT\r\n" * 200000).startswith("NO (QUOTA/MAXSIZE)")
    assert r.run("NOOP")[1].startswith("OK")
    forget_all(server, BOB)


def test_names_and_texts_in_any_language(server):
    r = forget_all(server, BOB)
    longest = "\N{OLD PERSIAN SIGN A}" * 128                # 512 bytes: what RFC 5804 1.6 asks for
    text = "# \N{SNOWMAN} \U0001F600 żółw\r\nkeep;\r\n"
    assert r.put(longest, text).startswith("OK")
    assert r.put(longest + "a", text).startswith("NO ")
    assert r.put("a\tb", text).startswith("NO ")
    assert r.put("x", "☃" * 70 + "\n").startswith('NO "line 1, column 1')       # what is quoted of it is cut, and still text
    assert r.put("", text).startswith("NO ")
    assert r.run("LISTSCRIPTS")[0] == [f'"{longest}"']
    r.send(f'GETSCRIPT "{longest}"\r\n')
    assert r.line() == "{%d}" % len(text.encode())
    assert r.f.read(len(text.encode()) + 2) == text.encode() + b"\r\n" and r.answer()[1].startswith("OK")
    assert r.run(f'RENAMESCRIPT "{longest}" "quote \\" and \\\\"')[1].startswith("OK")
    assert r.run("LISTSCRIPTS")[0] == ['"quote \\" and \\\\"']
    server.stop()
    server.start()
    r = Raw(server, BOB)
    assert r.run("LISTSCRIPTS")[0] == ['"quote \\" and \\\\"']
    forget_all(server, BOB)


def test_scripts_are_their_owners_alone(server):
    a, b = forget_all(server, ALICE), forget_all(server, BOB)
    assert a.put("mine", "keep;").startswith("OK")
    assert b.run("LISTSCRIPTS")[0] == [] and b.run('GETSCRIPT "mine"')[1].startswith("NO (NONEXISTENT)")
    assert b.run('DELETESCRIPT "mine"')[1].startswith("NO (NONEXISTENT)")
    assert server.ctl("script", "list")["scripts"] == []
    assert f'"OWNER" "{ALICE}"' in a.run("CAPABILITY")[0]
    assert a.run("UNAUTHENTICATE")[1].startswith("OK") and not [c for c in a.run("CAPABILITY")[0] if "OWNER" in c]
    assert a.login(BOB).startswith("OK") and a.run("LISTSCRIPTS")[0] == []
    forget_all(server, ALICE)


def test_a_login_that_is_revoked(server):
    server.ctl("mailbox", "create", "carol@demo.example")
    server.ctl("mailbox", "password", "carol@demo.example", stdin=PASSWORD + "\n")
    r, left = Raw(server, "carol@demo.example"), Raw(server, "carol@demo.example")
    assert left.run("UNAUTHENTICATE")[1].startswith("OK")
    server.ctl("mailbox", "password", "carol@demo.example", stdin="another horse\n")
    assert r.answer()[1] == 'BYE "Your login does not hold any more"' and r.is_closed()
    assert left.run("NOOP")[1].startswith("OK")            # nobody is logged in there
    assert left.login("carol@demo.example", "another horse").startswith("OK")


def test_passwords(server):
    server.ctl("config", "set", "svc_managesieve", "login_delay", "0")
    server.ctl("config", "set", "svc_managesieve", "errors_max", "3")
    try:
        r = Raw(server)
        assert r.login(ALICE, "wrong") == 'NO "Authentication failed"'
        r.send('AUTHENTICATE "LOGIN"\r\n')
        assert r.line() == '"VXNlcm5hbWU6"'
        r.send('"%s"\r\n' % base64.b64encode(ALICE.encode()).decode())
        assert r.line() == '"UGFzc3dvcmQ6"'
        word = base64.b64encode(PASSWORD.encode())
        r.send(b"{%d+}\r\n%s\r\n" % (len(word), word))
        assert r.answer()[1].startswith("OK")
        r = Raw(server)
        for _ in range(2):
            assert r.login(ALICE, "wrong") == 'NO "Authentication failed"' and r.run("NOOP")[1].startswith("OK")
        assert r.login(ALICE, "wrong") == 'NO "Authentication failed"'
        assert r.answer()[1].startswith("BYE") and r.is_closed()
        clear = Raw(server, tls=False)
        assert '"SASL" ""' in clear.capabilities and clear.login(ALICE).startswith("NO (ENCRYPT-NEEDED)")
        server.ctl("config", "set", "svc_managesieve", "cleartext_login", "true")
        clear = Raw(server, tls=False)
        assert '"SASL" "SCRAM-SHA-256 PLAIN LOGIN"' in clear.capabilities and clear.login(ALICE).startswith("OK")
    finally:
        for key in ("login_delay", "errors_max", "cleartext_login"):
            server.ctl("config", "unset", "svc_managesieve", key)


def test_bad_commands_are_counted(server):
    r = Raw(server, ALICE)
    for _ in range(9):
        assert r.run("FROBNICATE")[1] == 'NO "Unknown command"'
    assert r.run("NOOP")[1].startswith("OK")               # counted anew
    for _ in range(9):
        assert r.run('GETSCRIPT "a" "b"')[1].startswith("NO ")
    assert r.run("GETSCRIPT")[1].startswith("NO ")
    assert r.answer()[1] == 'BYE "Too many bad commands"' and r.is_closed()


def test_where_a_command_begins_is_never_guessed(server):
    for data in (b"NOOP\nNOOP\r\n", b"NOOP \"a\rb\"\r\n", b"NOOP \0\r\n", b"NOOP " + b"x" * 20000 + b"\r\n", b'NOOP {2+}\r\nab\nNOOP\r\n'):
        r = Raw(server, ALICE)
        r.send(data)
        assert r.answer()[1].startswith("BYE") and r.is_closed(), data
    r = Raw(server, tls=False)
    r.send(b'PUTSCRIPT "x" {100000+}\r\n' + b"x" * 100000 + b"\r\nNOOP\r\n")
    assert r.answer()[1] == 'NO "Log in first"' and r.answer()[1].startswith("OK")
    r.send(b'AUTHENTICATE {16385+}\r\n' + b"x" * 16385 + b"\r\nNOOP\r\n")
    assert r.answer()[1].startswith("NO (QUOTA/MAXSIZE)") and r.answer()[1].startswith("OK")
    r.send(b'PUTSCRIPT "x" {4000000000+}\r\n')
    assert r.answer()[1].startswith("BYE")
    r.s.close()


postbus.run(sys.modules[__name__], lambda: postbus.Server({"plugins": {"agent_filter": {"config": {"script_max": 2048, "scripts_max": 3, "quota": 4100}}}}))
