# SPDX-License-Identifier: Apache-2.0
"""Conversations: a .talk file is one behaviour of a line protocol, as text.

    # what it shows
    > listener smtp            which listener (default: the plugin's first)
    > pipeline                 legal to send all commands at once: it is run that way too
    > nosplit                  not run byte by byte (long bodies)
    > tls                      from here on the client speaks TLS
    > connect                  a new connection (the old one is closed)
    > ctl WORD...              a postbusctl command
    > until WORD...            the same, asked again until the O| line behind it is there
    > refused WORD...          a postbusctl command that fails
    > message TEXT             puts a small message with that subject into $user's INBOX first
    > set NAME VALUE           a variable
    C: EHLO client.example     a line, sent with CRLF; $name is replaced, $$ is a dollar
    C= raw \\r\\n \\0 \\x41      bytes as written, with escapes, no line end
    S: 250-*                   one line from the server; * matches anything, {name} captures a word
    S~ ^250 .*$                the same as a regular expression (named groups are captured)
    S...                       any lines up to the one that the next S line matches
    S!                         the server closes the connection

Mail goes by whole messages, for plugins that answer it by mail:

    > user NAME [DOMAIN]       one more mailbox, whose address is $NAME
    > file NAME                a file, whose path is $NAME
    F| keep;                   its lines; one that begins with #! is a program
    M: FROM TO                 a message is sent by SMTP; FROM may be <>
    M: FROM TO login           the same with FROM's login
    M| Subject: help           its lines: fields, a blank line, text; From, To, Date and Message-ID are made where they are not given. Its queue id is $queued
    L: WHO [SUBJECT]           the next message that comes into this mailbox; with a subject the next one that has it, for letters that come at the same time
    L: WHO/FOLDER [SUBJECT]    the same for a folder; INBOX, where none is named
    L| Subject: Re: *          one of its lines, behind the line of the L| before; fields are decoded and unfolded, a part begins with its type: [text/plain]. The first line are
                               its flags in their order, such as FLAGS (\\Seen work)
    N| *token*                 none of its lines
    L! WHO                     no message more comes, when all is done
    O| members: 1              as L|, but a line of what the last > ctl printed, or > refused said

Every run has its own mailbox: $user (address), $password, and $unique, a word that no other run has. Each file is run whole, split at every byte, and pipelined
where it says so; one that has no lines of a connection is run once.
"""
import base64, email, email.policy, email.utils, os, re, shlex, shutil, socket, ssl, sys, tempfile, time, uuid

MODES = ("whole", "split", "pipelined")
KINDS = ("S...", "S!", "C:", "C=", "S:", "S~", "M:", "M|", "L:", "L|", "L!", "N|", "O|", "F|", ">")
PATIENCE = 20 * float(os.environ.get("POSTBUS_PATIENCE") or 1)


class Mismatch(Exception):
    pass


class Talk:
    def __init__(self, path):
        self.path, self.steps = path, []
        for number, line in enumerate(open(path, encoding="utf-8", newline="\n"), 1):
            line = line.rstrip("\n")
            if line.strip() and not line.startswith("#"):
                kind = next((k for k in KINDS if line.startswith(k)), None)
                if not kind:
                    raise SystemExit(f"{path}:{number}: a line begins with # or one of {' '.join(KINDS)}")
                rest = line[len(kind):]
                self.steps.append((number, kind, rest[1:] if rest.startswith(" ") else rest))
        words = [s.split() for n, k, s in self.steps if k == ">"]
        talks = any(k[0] in "CS" for n, k, s in self.steps)
        self.mail = any(k[0] in "MLO" for n, k, s in self.steps)
        self.listeners = {w[1] for w in words if w[0] == "listener"}
        self.pipeline = ["pipeline"] in words
        self.split = talks and ["nosplit"] not in words

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
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
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


def lines_of(message):
    """A message as L| sees it."""
    lines = [f"{name}: {' '.join(str(value).split())}" for name, value in message.items()] + [""]
    if message.get_content_maintype() == "text":
        return lines + message.get_content().splitlines()
    for part in message.get_payload() if isinstance(message.get_payload(), list) else []:
        lines += [f"[{part.get_content_type()}]"] + lines_of(part)
    return lines


class Mail:
    """Mailboxes of a run: each letter is looked at once, in the order in which they came."""

    def __init__(self, server):
        self.server, self.boxes, self.seen = server, {}, set()

    def send(self, sender, to, lines, login):
        blank = lines.index("") if "" in lines else len(lines)
        given = {line.split(":")[0].lower() for line in lines[:blank]}
        made = [("From", sender or "MAILER-DAEMON@elsewhere.example"), ("To", to), ("Date", email.utils.formatdate()), ("Message-ID", f"<{uuid.uuid4().hex}@talk.example>")]
        text = "".join(f"{line}\r\n" for line in [f"{name}: {value}" for name, value in made if name.lower() not in given] + lines + ([] if "" in lines else [""]))
        return self.server.submit(text, user=sender, to=(to,)) if login else self.server.send(text, sender=sender, to=(to,))

    def letters(self, who):
        """UID, flags and message of each that was not looked at; who: ADDRESS or ADDRESS/FOLDER."""
        address, _, folder = who.partition("/")
        box = self.boxes[who] = self.boxes.get(who) or self.server.imap(address)
        if box.state != "SELECTED" and box.select(f'"{folder or "INBOX"}"', readonly=True)[0] != "OK":
            return []           # it is not made yet
        box.noop()
        rows = [row for row in box.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])")[1] if isinstance(row, tuple)]
        found = sorted((int(re.search(rb"UID (\d+)", row[0]).group(1)), re.search(rb"FLAGS \((.*?)\)", row[0]).group(1).decode(), row[1]) for row in rows)
        return [(uid, flags, email.message_from_bytes(raw, policy=email.policy.default)) for uid, flags, raw in found if (who, uid) not in self.seen]

    def next(self, who, subject, seconds=PATIENCE):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for uid, flags, letter in self.letters(who):
                if not subject or re.fullmatch(glob_to_regex(subject), " ".join(str(letter["Subject"]).split())):
                    self.seen.add((who, uid))
                    return [f"FLAGS ({' '.join(sorted(set(flags.split()) - {chr(92) + 'Recent'}))})"] + lines_of(letter)
            time.sleep(0.02)
        raise Mismatch(f"{who} gets no letter" + (f" with the subject {subject!r}" if subject else ""))

    def no_more(self, who):
        self.server.wait_settled()
        found = self.letters(who)
        if found:
            raise Mismatch(f"{who} gets a letter:\n" + "\n".join(lines_of(found[0][2])))

    def close(self):
        for box in self.boxes.values():
            box.logout()


class Run:
    """One talk in one mode. server: .ports, .ctl(*words, stdin=, json_out=), .password, for mail also .send, .submit, .imap and .wait_settled; new_user(domain):
    makes a mailbox and gives its address; domain is left out, or one of this server."""

    def __init__(self, talk, mode, server, listener, new_user, tls_listeners=()):
        self.talk, self.mode, self.server, self.listener, self.tls_listeners = talk, mode, server, listener, tls_listeners
        self.new_user, self.client, self.pending = new_user, None, b""
        self.vars = {"password": server.password, "unique": uuid.uuid4().hex[:12]}
        self.mail, self.message, self.letter, self.lines, self.printed = Mail(server), None, [], [], []
        self.again, self.home = None, None

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

    def ask(self, words):
        self.printed = self.server.ctl(*words, **({"json_out": False} if self.talk.mail else {}))
        self.printed = self.printed.splitlines() if isinstance(self.printed, str) else []

    def directive(self, text):
        word, _, rest = self.replace(text).partition(" ")
        if word == "listener":
            self.listener = rest.strip()
        elif word == "connect":
            self.connect()
        elif word == "tls":
            self.flush()
            self.client.start_tls()
        elif word in ("ctl", "until"):
            self.ask(shlex.split(rest))
            self.again = shlex.split(rest) if word == "until" else None
        elif word == "refused":
            code, said = self.server.ctl(*shlex.split(rest), check=False, json_out=False)
            if code == 0:
                raise Mismatch("it is done")
            self.printed, self.again = said.splitlines(), None
        elif word == "user":
            name, *domain = rest.split()
            self.vars[name] = self.new_user(*domain)
        elif word == "file":
            self.home = self.home or tempfile.mkdtemp(prefix="pb-talk-")
            self.vars[rest.strip()] = self.file = os.path.join(self.home, rest.strip())
            open(self.file, "w").close()
        elif word == "set":
            name, _, value = rest.partition(" ")
            self.vars[name] = value
        elif word == "message":
            self.replace("$user")
            self.server.put_message(self.vars["user"], rest)
        elif word not in ("pipeline", "nosplit"):
            raise Mismatch(f"no directive '{word}'")

    def mail_step(self, kind, text):
        text = self.replace(text)
        if kind == "M:":
            sender, to, *more = text.split()
            self.message = ("" if sender == "<>" else sender, to, [], more == ["login"])
        elif kind == "M|":
            self.message[2].append(text)
        elif kind == "L:":
            self.letter = self.mail.next(*text.partition(" ")[::2])
            self.lines = list(self.letter)
        elif kind == "L!":
            self.mail.no_more(text)
        elif kind == "N|":
            if any(re.fullmatch(glob_to_regex(text), line) for line in self.letter):
                raise Mismatch(f"there is a line {text!r} in\n" + "\n".join(self.letter))
        elif kind == "F|":
            with open(self.file, "a", encoding="utf-8") as f:
                f.write(text + "\n")
            if text.startswith("#!"):
                os.chmod(self.file, 0o700)
        else:
            end = time.monotonic() + PATIENCE
            while True:
                lines = self.printed if kind == "O|" else self.lines
                found = next((n for n, line in enumerate(lines) if re.fullmatch(glob_to_regex(text), line)), None)
                if found is not None or kind == "L|" or not self.again or time.monotonic() > end:
                    break
                time.sleep(0.02)
                self.ask(self.again)
            if found is None:
                raise Mismatch(f"there is no line {text!r} among\n" + "\n".join(lines))
            self.vars.update({k: v for k, v in re.fullmatch(glob_to_regex(text), lines[found]).groupdict().items() if v is not None})
            del lines[:found + 1]
            self.again = self.again if kind == "L|" else None

    def go(self):
        try:
            self.run_steps()
        finally:
            self.mail.close()
            if self.home:
                shutil.rmtree(self.home)

    def run_steps(self):
        skip, pipelined = False, self.mode == "pipelined"
        steps = self.talk.steps
        if pipelined:       # every command goes out before the first answer but the greeting is read; barriers are kept
            steps = self.reorder(steps)
        for number, kind, text in steps:
            try:
                if kind != "M|" and self.message:
                    self.vars["queued"] = self.mail.send(*self.message)
                    self.message = None
                if kind[0] in "MLNOF":
                    self.mail_step(kind, text)
                    continue
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
            except (OSError, ssl.SSLError, AssertionError) as why:
                raise Mismatch(f"{self.talk.path}:{number} ({self.mode}): {why}") from None
        self.flush()
        if self.client:
            self.client.close()

    @staticmethod
    def reorder(steps):
        """Between barriers (directives, mail and S!) all C lines first, then all S lines; what comes before the first C line stays."""
        out, sends, reads = [], [], []

        def drain():
            out.extend(sends + reads)
            sends.clear()
            reads.clear()
        for step in steps:
            if step[1] in (">", "S!") or step[1][0] in "MLNOF":
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
        if not hasattr(server, "send") and (talk.mail or not talk.listeners <= set(server.ports)):
            print(f"skip {path}: it needs a whole server")
            continue
        for mode in talk.modes():
            try:
                Run(talk, mode, server, listener_of(path), new_user, tls_listeners).go()
                passed += 1
            except Mismatch as why:
                failed += 1
                print(f"FAILED {why}", flush=True)
    return passed, failed
