# SPDX-License-Identifier: Apache-2.0
"""Conversations: a .talk file is one behaviour of a line protocol, as text.

    # what it shows
    > listener smtp            which listener (default: the plugin's first)
    > pipeline                 legal to send all commands at once: it is run that way too
    > nosplit                  not run byte by byte (long bodies)
    > tls                      from here on the client speaks TLS
    > connect                  a new connection (the old one is closed)
    > ctl WORD...              a postbusctl command
    > message TEXT             puts a small message with that subject into $user's INBOX first
    > set NAME VALUE           a variable
    C: EHLO client.example     a line, sent with CRLF; $name is replaced, $$ is a dollar
    C= raw \\r\\n \\0 \\x41      bytes as written, with escapes, no line end
    S: 250-*                   one line from the server; * matches anything, {name} captures a word
    S~ ^250 .*$                the same as a regular expression (named groups are captured)
    S...                       any lines up to the one that the next S line matches
    S!                         the server closes the connection

Every run has its own mailbox: $user (address), $password. Each file is run whole, split at every byte, and pipelined where it says so.
"""
import base64, os, re, socket, ssl, sys, time, uuid

MODES = ("whole", "split", "pipelined")


class Mismatch(Exception):
    pass


class Talk:
    def __init__(self, path):
        self.path, self.steps = path, []
        for number, line in enumerate(open(path, encoding="utf-8", newline="\n"), 1):
            line = line.rstrip("\n")
            if line.strip() and not line.startswith("#"):
                kind = next((k for k in ("S...", "S!", "C:", "C=", "S:", "S~", ">") if line.startswith(k)), None)
                if not kind:
                    raise SystemExit(f"{path}:{number}: a line begins with C: C= S: S~ S... S! > or #")
                rest = line[len(kind):]
                self.steps.append((number, kind, rest[1:] if rest.startswith(" ") else rest))
        words = [s.split() for n, k, s in self.steps if k == ">"]
        self.pipeline = ["pipeline"] in words
        self.split = ["nosplit"] not in words

    def modes(self):
        return [m for m in MODES if (m != "pipelined" or self.pipeline) and (m != "split" or self.split)]


def unescape(text):
    out, i = bytearray(), 0
    raw = text.encode()
    while i < len(raw):
        if raw[i:i + 1] == b"\\" and i + 1 < len(raw):
            c = raw[i + 1:i + 2]
            if c == b"x":
                out.append(int(raw[i + 2:i + 4], 16))
                i += 4
                continue
            out += {b"r": b"\r", b"n": b"\n", b"0": b"\0", b"t": b"\t", b"\\": b"\\"}.get(c, c)
            i += 2
            continue
        out += raw[i:i + 1]
        i += 1
    return bytes(out)


def glob_to_regex(pattern):
    out = ""
    for part in re.split(r"(\*|\{\w+\})", pattern):
        if part == "*":
            out += ".*"
        elif re.fullmatch(r"\{\w+\}", part):
            out += f"(?P<{part[1:-1]}>\\S+?)"
        else:
            out += re.escape(part)
    return out


class Client:
    """One connection; received lines are latin-1 text so that every byte can be matched."""

    def __init__(self, port, tls=False, timeout=20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        if tls:
            self.start_tls()

    def start_tls(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.socket = context.wrap_socket(self.socket)

    def send(self, data, split):
        if not split:
            self.socket.sendall(data)
            return
        for i in range(len(data)):
            self.socket.sendall(data[i:i + 1])

    def line(self):
        while b"\n" not in self.buffer:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            except socket.timeout:
                raise Mismatch("the server says nothing")
            if not data:
                return None
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode("latin-1")

    def close(self):
        self.socket.close()


class Run:
    """One talk in one mode. server: .ports, .ctl(*words, stdin=), .password; new_user(): makes a mailbox and gives its address."""

    def __init__(self, talk, mode, server, listener, new_user, tls_listeners=()):
        self.talk, self.mode, self.server, self.listener, self.tls_listeners = talk, mode, server, listener, tls_listeners
        self.new_user, self.client, self.pending = new_user, None, b""
        self.vars = {"password": server.password}

    def replace(self, text):
        def one(m):
            if m.group(0) == "$$":
                return "$"
            name = m.group(1)
            if name in ("user", "local") and name not in self.vars:
                self.vars["user"] = self.new_user()
                self.vars["local"] = self.vars["user"].split("@")[0]
            if name == "plain":
                user, password = self.replace("$user"), self.vars["password"]
                return base64.b64encode(f"\0{user}\0{password}".encode()).decode()
            if name not in self.vars:
                raise Mismatch(f"${name} is not set")
            return self.vars[name]
        return re.sub(r"\$\$|\$(\w+)", one, text)

    def connect(self):
        self.flush()
        if self.client:
            self.client.close()
        self.client = Client(self.server.ports[self.listener], tls=self.listener in self.tls_listeners)

    def flush(self):
        if self.pending:
            data, self.pending = self.pending, b""
            try:
                self.client.send(data, self.mode == "split")
            except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                pass            # the server closed: the next expectation says so

    def expect(self, pattern, skip):
        seen = []
        while True:
            line = self.client.line()
            if line is None:
                raise Mismatch(f"wanted {pattern!r}, the server closed the connection" + (f" after {seen}" if seen else ""))
            found = re.fullmatch(pattern, line, re.S)
            if found:
                self.vars.update({k: v for k, v in found.groupdict().items() if v is not None})
                return
            if not skip:
                raise Mismatch(f"wanted {pattern!r}, got {line!r}")
            seen.append(line)

    def directive(self, text):
        word, _, rest = self.replace(text).partition(" ")
        if word == "listener":
            self.listener = rest.strip()
        elif word == "connect":
            self.connect()
        elif word == "tls":
            self.flush()
            self.client.start_tls()
        elif word == "ctl":
            self.server.ctl(*rest.split())
        elif word == "set":
            name, _, value = rest.partition(" ")
            self.vars[name] = value
        elif word == "message":
            self.replace("$user")
            self.server.put_message(self.vars["user"], rest)
        elif word not in ("pipeline", "nosplit"):
            raise Mismatch(f"no directive '{word}'")

    def go(self):
        skip, pipelined = False, self.mode == "pipelined"
        steps = self.talk.steps
        if pipelined:       # every command goes out before the first answer but the greeting is read; barriers are kept
            steps = self.reorder(steps)
        for number, kind, text in steps:
            try:
                if kind == ">":
                    self.directive(text)
                    continue
                if not self.client:
                    self.connect()
                if kind == "C:":
                    self.pending += (self.replace(text) + "\r\n").encode()
                elif kind == "C=":
                    self.pending += unescape(self.replace(text))
                elif kind == "S...":
                    skip = True
                elif kind == "S!":
                    self.flush()
                    line = self.client.line()
                    if line is not None:
                        raise Mismatch(f"wanted the end of the connection, got {line!r}")
                else:
                    self.flush()
                    pattern = self.replace(text) if kind == "S:" else text
                    self.expect(glob_to_regex(pattern) if kind == "S:" else pattern, skip)
                    skip = False
            except Mismatch as why:
                raise Mismatch(f"{self.talk.path}:{number} ({self.mode}): {why}") from None
            except (OSError, ssl.SSLError) as why:
                raise Mismatch(f"{self.talk.path}:{number} ({self.mode}): {why}") from None
        self.flush()
        if self.client:
            self.client.close()

    @staticmethod
    def reorder(steps):
        """Between barriers (directives, and S! ) all C lines first, then all S lines; what comes before the first C line stays."""
        out, sends, reads = [], [], []

        def drain():
            out.extend(sends + reads)
            sends.clear()
            reads.clear()
        for step in steps:
            if step[1] in (">", "S!"):
                drain()
                out.append(step)
            elif step[1].startswith("C"):
                sends.append(step)
            elif sends:
                reads.append(step)
            else:
                out.append(step)
        drain()
        return out


def run_files(paths, server, listener_of, new_user, tls_listeners=()):
    """Runs conversations; prints a line each; gives (passed, failed)."""
    passed = failed = 0
    for path in paths:
        talk = Talk(path)
        for mode in talk.modes():
            try:
                Run(talk, mode, server, listener_of(path), new_user, tls_listeners).go()
                passed += 1
            except Mismatch as why:
                failed += 1
                print(f"FAILED {why}", flush=True)
    return passed, failed
