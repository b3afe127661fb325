# SPDX-License-Identifier: GPL-3.0-or-later
"""An SMTP server that does as it is told: what another mail server may answer, and what it was sent. For tests of the sending side."""
import base64, socket, ssl, threading

CAPABILITIES = ("PIPELINING", "SIZE 50000000", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8")
DROP = object()         # close the connection instead of answering


class Session:
    def __init__(self):
        self.lines, self.messages, self.tls, self.mail, self.rcpts, self.stream = [], [], False, None, [], None


class Peer:
    """replies: verb -> a reply, DROP, or a function of (session, line) that gives one; DOT is the end of the data, CONNECT the greeting."""

    def __init__(self, replies=None, capabilities=CAPABILITIES, cert=None, address="127.0.0.1", port=0, forced=()):
        self.forced = forced        # verbs whose order counts even where they come out of sequence
        self.replies, self.capabilities, self.cert = replies or {}, list(capabilities), cert
        self.sessions, self.lock = [], threading.Lock()
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        self.socket.listen(50)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def messages(self):
        """(MAIL line, RCPT lines, bytes as received, still stuffed) of all sessions."""
        with self.lock:
            return [m for s in self.sessions for m in s.messages]

    def lines(self, verb):
        with self.lock:
            return [l for s in self.sessions for l in s.lines if l.upper().startswith(verb)]

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def answer(self, session, verb, line, default):
        reply = self.replies.get(verb, default)
        return reply(session, line) if callable(reply) else reply

    def serve(self, connection):
        session = Session()
        with self.lock:
            self.sessions.append(session)
        try:
            self.talk(connection, session)
        except (OSError, ValueError):
            pass
        finally:
            session.stream = None   # it keeps the connection open
            connection.close()

    def talk(self, connection, session):
        stream = session.stream = connection.makefile("rb")

        def say(reply):
            connection.sendall((reply + "\r\n").encode())
        reply = self.answer(session, "CONNECT", "", "220 peer.example ESMTP")
        if reply is DROP:
            return
        say(reply)
        while True:
            raw = stream.readline(100000)
            if not raw:
                return
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            verb = line.split(" ")[0].split(":")[0].upper()
            with self.lock:
                session.lines.append(line)
            default = {"EHLO": "\r\n".join(["250-peer.example"] + ["250-" + c for c in self.offered(session)] + ["250 HELP"]), "HELO": "250 peer.example",
                       "MAIL": "250 2.1.0 ok", "RCPT": "250 2.1.5 ok", "DATA": "354 go", "RSET": "250 2.0.0 ok", "QUIT": "221 2.0.0 bye",
                       "NOOP": "250 2.0.0 ok", "STARTTLS": "220 2.0.0 go", "AUTH": "235 2.7.0 ok"}.get(verb, "500 5.5.2 what?")
            if verb == "RCPT" and session.mail is None:
                default = "503 5.5.1 MAIL first"
            if verb == "DATA" and not session.rcpts:
                default = "554 5.5.1 no valid recipients"
            # an order for RCPT or DATA is not asked where it would have no meaning
            forced = verb in ("RCPT", "DATA") and default.startswith("5") and verb not in self.forced
            reply = default if forced else self.answer(session, verb, line, default)
            if reply is DROP:
                return
            if verb == "MAIL":
                session.mail, session.rcpts = line if reply.startswith("2") else None, []
            if verb == "RCPT" and reply.startswith("2"):
                session.rcpts.append(line)
            say(reply)
            if verb == "QUIT" or reply.startswith("421"):
                return
            if verb == "STARTTLS" and reply.startswith("220"):
                if not self.cert:
                    connection.sendall(b"this is no TLS\r\n" * 100)
                    return
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(*self.cert)
                connection = context.wrap_socket(connection, server_side=True)
                stream, session.tls = connection.makefile("rb"), True
            if verb == "DATA" and reply.startswith("354"):
                body = self.read_body(stream)
                if body is None:
                    return
                reply = self.answer(session, "DOT", session.rcpts[0] if session.rcpts else "", "250 2.0.0 taken")
                if reply is DROP:
                    with self.lock:
                        session.messages.append((session.mail, list(session.rcpts), body))
                    return
                if reply.startswith("2"):
                    with self.lock:
                        session.messages.append((session.mail, list(session.rcpts), body))
                say(reply)

    def offered(self, session):
        starttls = (self.cert or "STARTTLS" in self.replies) and not session.tls
        return self.capabilities + (["STARTTLS"] if starttls else []) + (["AUTH PLAIN LOGIN"] if session.tls else [])

    @staticmethod
    def read_body(stream):
        body = []
        while True:
            line = stream.readline(1000000)
            if not line:
                return None
            if line == b".\r\n":
                return b"".join(body)
            body.append(line)


def plain(line):
    """user and password of an AUTH PLAIN line."""
    return base64.b64decode(line.split(" ")[2]).decode().split("\0")[1:]
