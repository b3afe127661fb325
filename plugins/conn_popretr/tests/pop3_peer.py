# SPDX-License-Identifier: GPL-3.0-or-later
"""A POP3 server for tests of retrieval that can lie in every way that was thought of. Each user is a box of its own; deletions count at QUIT, as RFC 1939 wants.

A lie is a word in Peer(lies={"user": {"word", ...}}):
    nocapa noauth notop nouidl nopipe (and resets the connection of who does it anyway)   dup (ids of 1 and 2 are equal)   change (ids are new in each session)
    shuffle (UIDL in another order)   ghost (UIDL names a message that LIST does not)   empty (an id of no characters)   size (LIST is wrong)   cut (closes inside
    message 3)   drip (hangs inside message 3)   crawl (says one byte after the other of message 3 until `hold` is set)   refuse (-ERR for message 3)   endless (message 3 never ends)   forget (QUIT removes nothing)   drop (closes at QUIT)
    bare (line ends are LF)   smuggle (message 2 has a dot alone between bare line ends, and commands behind it)   garbage (an answer that is none)   backwards (LIST)
    inuse temp denied (at login)   mute (no greeting)   stop-ID (says nothing to RETR of the message with this id until `hold` is set)
    stls (offers it, and says more in the clear than its answer)   noproof (SCRAM ends without the server's)"""
import base64, hashlib, hmac, os, socket, socketserver, threading

PASSWORD = "geheim"
STAMP = b"<1896.697170952@dbc.mtview.ca.us>"


def message(n, extra=b"", text=b"Hello.\r\n"):
    return b"Return-Path: <a@x.example>\r\n" + extra + (b"From: a@x.example\r\nTo: b@y.example\r\nSubject: %d\r\nMessage-ID: <%d@x.example>\r\n\r\n" % (n, n)) + text


class Session(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write((line if isinstance(line, bytes) else line.encode()) + self.eol)
        self.wfile.flush()

    def many(self, lines):
        self.wfile.write(b"+OK" + self.eol + b"".join(one + self.eol for one in lines) + b"." + self.eol)
        self.wfile.flush()

    def lie(self, word):
        return word in self.server.peer.lies.get(self.user, self.server.peer.lies.get("*", ()))

    def handle(self):
        self.peer, self.user, self.eol, self.gone = self.server.peer, "*", b"\r\n", set()
        self.peer.sessions += 1
        try:
            self.talk()
        except (OSError, EOFError):
            pass
        finally:
            self.peer.ended += 1

    def read(self):
        line = self.rfile.readline(20000)
        if not line.endswith(b"\n"):
            raise EOFError
        return line.rstrip(b"\r\n").decode("latin-1")

    def talk(self):
        if self.lie("mute"):
            self.peer.hold.wait(600)
            return
        self.say(b"+OK ready " + (STAMP if self.peer.apop else b""))
        while True:
            line = self.read()
            self.peer.heard.append(line)
            word, _, rest = line.partition(" ")
            if self.lie("nopipe") and self.piped():
                return
            if not getattr(self, "before_" + word.lower(), self.wrong)(rest):
                break
        self.user_known()
        while True:
            line = self.read()
            self.peer.heard.append(line)
            word, _, rest = line.partition(" ")
            if self.lie("nopipe") and self.piped():
                return
            if getattr(self, "do_" + word.lower(), self.wrong)(rest) == "end":
                return

    def piped(self):
        """Has the client said more than one line?"""
        self.connection.setblocking(False)
        try:
            return bool(self.rfile.peek())
        except (BlockingIOError, OSError):
            return False
        finally:
            self.connection.setblocking(True)

    def wrong(self, rest):
        self.say("-ERR what?")
        return True

    # ---- login: false when it is done ----

    def before_capa(self, rest):
        if self.lie("nocapa"):
            return self.wrong(rest)
        caps = [b"TOP", b"UIDL", b"RESP-CODES", b"PIPELINING"] + [b"STLS"] * self.lie("stls") + ([b"USER"] if "USER" in self.peer.methods else [])
        sasl = [m.encode() for m in self.peer.methods if m != "USER"]
        self.many(caps + ([b"SASL " + b" ".join(sasl)] if sasl else []))
        return True

    def before_stls(self, rest):
        self.wfile.write(b"+OK go on\r\n+OK and this is in the clear\r\n")
        self.wfile.flush()
        return True

    def before_user(self, rest):
        self.user = rest
        self.say("+OK")
        return True

    def before_quit(self, rest):
        self.say("+OK")
        raise EOFError

    def before_pass(self, rest):
        return self.enter(rest == PASSWORD)

    def before_apop(self, rest):
        self.user, _, digest = rest.partition(" ")
        return self.enter(digest == hashlib.md5(STAMP + PASSWORD.encode()).hexdigest())

    def enter(self, right):
        self.peer.logins += 1
        for word, code in (("inuse", "IN-USE"), ("temp", "SYS/TEMP"), ("denied", "AUTH")):
            if self.lie(word):
                self.say(f"-ERR [{code}] no")
                return True
        self.say("+OK" if right else "-ERR [AUTH] no")
        return not right

    def ask(self, challenge):
        self.say(b"+ " + base64.b64encode(challenge))
        return base64.b64decode(self.read())

    def before_auth(self, rest):
        name, _, first = rest.partition(" ")
        self.peer.methods_used.append(name)
        first = base64.b64decode(first) if first else self.ask(b"")
        if name == "PLAIN":
            zero, self.user, password = first.decode().split("\0")
            return self.enter(password == PASSWORD)
        if name.startswith("SCRAM-"):
            return self.enter(self.scram(name, first.decode()))
        self.user = first.decode().split("\1")[0].partition("=")[2].rstrip(",") if name == "XOAUTH2" else first.decode().split(",")[1][2:]
        token = first.decode().split("auth=Bearer ")[1].split("\1")[0]
        if token != self.peer.token:
            self.ask(b'{"status":"invalid_token"}')
            return self.enter(False)
        return self.enter(True)

    def scram(self, name, first):
        """RFC 5802, the server's side."""
        algorithm = "sha256" if name.endswith("256") else "sha1"
        bare = first[3:]
        self.user, nonce = bare.split(",")[0][2:], bare.split("r=")[1] + "server"
        salt = b"salt of the peer"
        server_first = f"r={nonce},s={base64.b64encode(salt).decode()},i=4096"
        final = self.ask(server_first.encode()).decode()
        without, _, proof = final.rpartition(",p=")
        salted = hashlib.pbkdf2_hmac(algorithm, PASSWORD.encode(), salt, 4096)
        text = f"{bare},{server_first},{without}".encode()
        key = hmac.new(salted, b"Client Key", algorithm).digest()
        signature = hmac.new(hashlib.new(algorithm, key).digest(), text, algorithm).digest()
        if bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature)) != key:
            return False
        verifier = hmac.new(hmac.new(salted, b"Server Key", algorithm).digest(), text, algorithm).digest()
        if "liar" in self.peer.lies.get("*", ()):
            verifier = os.urandom(len(verifier))
        if "noproof" in self.peer.lies.get("*", ()):
            return True
        self.ask(b"v=" + base64.b64encode(verifier))
        return True

    # ---- the box ----

    def user_known(self):
        self.box = self.peer.boxes.setdefault(self.user, [])
        self.seen = list(self.box)
        self.turn = self.peer.turns[self.user] = self.peer.turns.get(self.user, 0) + 1
        if self.lie("bare"):
            self.eol = b"\n"

    def live(self):
        return [k for k in range(1, len(self.seen) + 1) if k not in self.gone]

    def body(self, k):
        text = self.seen[k - 1][1]
        return text.replace(b"\r\n", b"\n") if self.lie("bare") else text

    def uid(self, k):
        uid = self.seen[k - 1][0]
        if self.lie("dup") and k <= 2:
            return b"twice"
        if self.lie("empty") and k == 2:
            return b""
        return uid.encode() + (b".%d" % self.turn if self.lie("change") else b"")

    def do_capa(self, rest):
        self.before_capa(rest)

    def do_list(self, rest):
        if self.lie("garbage"):
            self.say("1 2 3 what a day")
            return
        lines = [b"%d %d" % (k, 1 if self.lie("size") else len(self.body(k))) for k in self.live()]
        self.many(reversed(lines) if self.lie("backwards") else lines)

    def do_uidl(self, rest):
        if self.lie("nouidl"):
            return self.wrong(rest)
        lines = [b"%d %s" % (k, self.uid(k)) for k in self.live()] + ([b"77 ghost"] if self.lie("ghost") else [])
        self.many(reversed(lines) if self.lie("shuffle") else lines)

    def stuffed(self, text):
        lines = text.split(self.eol)
        return self.eol.join(b"." + one if one.startswith(b".") else one for one in lines)

    def do_retr(self, rest):
        k = int(rest)
        third = k in self.live() and self.seen[k - 1][0] == "id3"
        if k not in self.live() or (self.lie("refuse") and third):
            self.say("-ERR no such message")
            return
        if self.lie("stop-" + self.seen[k - 1][0]):
            self.peer.hold.wait(600)
            return "end"
        self.peer.retrieved.append((self.user, self.seen[k - 1][0]))
        text = self.stuffed(self.body(k))
        if third and (self.lie("cut") or self.lie("drip")):
            self.wfile.write(b"+OK\r\n" + text[:len(text) // 2])
            self.wfile.flush()
            if self.lie("drip"):
                self.peer.hold.wait(600)
            return "end"
        if third and self.lie("crawl"):
            self.wfile.write(b"+OK\r\n")
            while not self.peer.hold.wait(0.1):
                self.wfile.write(b"x")
                self.wfile.flush()
            return "end"
        if third and self.lie("endless"):
            self.wfile.write(b"+OK\r\n" + text)
            while True:
                self.wfile.write(b"and so on\r\n" * 10000)
        self.wfile.write(b"+OK" + self.eol + text + (b"" if text.endswith(self.eol) else self.eol) + b"." + self.eol)
        self.wfile.flush()

    def do_top(self, rest):
        if self.lie("notop"):
            return self.wrong(rest)
        head = self.body(int(rest.split()[0])).partition(self.eol * 2)[0]
        self.wfile.write(b"+OK" + self.eol + self.stuffed(head) + self.eol * 2 + b"." + self.eol)
        self.wfile.flush()

    def do_dele(self, rest):
        self.gone.add(int(rest))
        self.say("+OK")

    def do_noop(self, rest):
        self.say("+OK")

    def do_quit(self, rest):
        if self.lie("drop"):
            return "end"
        if not self.lie("forget"):
            for k in self.gone:
                self.box.remove(self.seen[k - 1])
        self.say("+OK")
        return "end"


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


class Peer:
    def __init__(self, lies=None, methods=("USER",), apop=False, token="", context=None, handler=Session):
        self.lies, self.methods, self.apop, self.token = lies or {}, methods, apop, token
        self.boxes, self.turns, self.heard, self.retrieved, self.methods_used = {}, {}, [], [], []
        self.sessions = self.ended = self.logins = 0
        self.hold = threading.Event()
        self.server = Server(("127.0.0.1", 0), handler)
        self.server.peer = self
        self.port = self.server.server_address[1]
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def fill(self, user, n=5, make=message):
        """n messages more."""
        box = self.boxes.setdefault(user, [])
        first = len(box) + 1
        box.extend((f"id{k}", make(k)) for k in range(first, first + n))

    def more(self, user, before, n):
        """n messages behind those that there have been."""
        self.boxes.setdefault(user, []).extend((f"id{k}", message(k)) for k in range(before + 1, before + n + 1))

    def close(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
