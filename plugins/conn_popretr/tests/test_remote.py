# SPDX-License-Identifier: GPL-3.0-or-later
"""conn_popretr against real servers (Debian's Dovecot), under TLS, with tokens, and for whole domains."""
import base64, http.server, json, os, re, socketserver, ssl, subprocess, sys, tempfile, threading, urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "..", "tests", "platform"), os.path.join(HERE, "..", "..", "..", "tests", "bench")]
import postbus
from pop3_peer import Peer
from test_retrieve import FIVE, account, run, subjects

WHERE = tempfile.mkdtemp(prefix="pb-remote-")


def make():
    s = postbus.Server({"plugins": {"conn_popretr": {"config": {"timeout": 60, "run_max": 600, "settle_wait": 120, "per_host": 10}}}})
    certificate(s)
    return s


def certificate(s):
    """A key and a certificate for localhost, in the home, where the daemon may read them as authorities."""
    pem, key = os.path.join(s.home, "peer.pem"), os.path.join(s.home, "peer.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", pem], check=True, capture_output=True)
    return pem, key


def files(s):
    return os.path.join(s.home, "peer.pem"), os.path.join(s.home, "peer.key")


def server_context(s):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files(s))
    return context


# ---- TLS ----

def test_a_server_is_known_by_its_authority_or_by_its_pin(s):
    with Peer(context=server_context(s)) as peer:
        peer.fill("tls", 2)
        box = account(s, peer, "tls", tls="implicit")
        said = run(s, "tls")["error"]
        pin = re.search(r"its key is ([0-9a-f]{64})", said)
        assert pin and peer.logins == 0, said
        s.ctl("retrieve", "set", "tls", "--pin", "0" * 64)
        assert "not the pinned one" in run(s, "tls")["error"] and peer.logins == 0
        s.ctl("retrieve", "set", "tls", "--pin", pin.group(1))
        tested = s.ctl("retrieve", "test", "tls")
        assert tested["pin"] == pin.group(1) and tested["tls"].startswith("TLS"), tested
        assert run(s, "tls")["messages"] == 2
        s.ctl("retrieve", "set", "tls", "--pin", tested["certificate"])
        assert run(s, "tls") == {"messages": 0, "bytes": 0, "removed": 0, "error": ""}
        s.ctl("retrieve", "set", "tls", "--pin", "", "--ca", files(s)[0])
        peer.fill("tls", 1)
        assert run(s, "tls")["messages"] == 1 and subjects(s, box, 3) == ["1", "2", "3"]


# ---- Dovecot ----

def dovecot(s):
    if os.geteuid() or not os.path.exists("/usr/sbin/dovecot"):
        raise postbus.Skip("Debian's dovecot-imapd and dovecot-pop3d, and root, are needed")
    import peers
    if not hasattr(dovecot, "it"):
        dovecot.it = peers.Dovecot(password="geheim", cert=files(s))
    return dovecot.it


def fill(d, user, numbers):
    import smtplib
    lmtp = smtplib.LMTP("127.0.0.1", d.ports["lmtp"])
    for n in numbers:
        lmtp.sendmail("a@x.example", [user], f"From: a@x.example\r\nSubject: {n}\r\nMessage-ID: <{n}@x.example>\r\n\r\n.dot\r\n".encode())
    lmtp.quit()


class Port:
    def __init__(self, port):
        self.port = port


def test_dovecot_by_every_way(s):
    d = dovecot(s)
    ca = ("--ca", files(s)[0])
    for user, protocol, tls, port in (("dpop", "pop3", "none", "pop3"), ("dstls", "pop3", "starttls", "pop3"), ("dpops", "pop3", "implicit", "pop3s"),
                                      ("dimap", "imap", "none", "imap"), ("dstart", "imap", "starttls", "imap"), ("dimaps", "imap", "implicit", "imaps")):
        fill(d, user, range(1, 6))
        box = account(s, Port(d.ports[port]), user, *ca, protocol=protocol, tls=tls)
        first = run(s, user)
        assert first["messages"] == 5 and not first["error"] and run(s, user)["messages"] == 0, (user, first)
        fill(d, user, [6])
        s.ctl("retrieve", "set", user, "--leave", "never")
        last = run(s, user)
        assert (last["messages"], last["removed"], last["error"]) == (1, 6, ""), (user, last)
        assert subjects(s, box, 6) == FIVE + ["6"] and s.ctl("retrieve", "test", user)["messages"] == 0
        assert all(b"\r\n\r\n.dot\r\n" in m for m in s.messages(box))


def test_idle_tells_at_once(s):
    d = dovecot(s)
    fill(d, "didle", [1])
    box = account(s, Port(d.ports["imap"]), "didle", "--idle", "--interval", "1h", protocol="imap")
    s.ctl("retrieve", "resume", "didle")
    assert subjects(s, box, 1) == ["1"]
    for n in (2, 3):
        fill(d, "didle", [n])
        assert subjects(s, box, n) == FIVE[:n]
    s.ctl("retrieve", "pause", "didle")
    s.ctl("retrieve", "delete", "didle")


class Idler(socketserver.StreamRequestHandler):
    """An empty IMAP mailbox whose server ends IDLE at once, or tells of mail that is not there; the user's name says which."""
    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")
        self.wfile.flush()

    def handle(self):
        self.say("* OK ready")
        while True:
            tag, _, rest = self.rfile.readline().decode().rstrip("\r\n").partition(" ")
            word = rest.split(" ")[0].upper()
            if not tag or word == "LOGOUT":
                return
            if word == "LOGIN":
                self.user = rest.split('"')[1]
                self.server.logins[self.user] = self.server.logins.get(self.user, 0) + 1
            if word == "IDLE":
                self.say("+ idling")
                if self.user == "ends":
                    return
                self.say("* 1 EXISTS")
                continue
            if word in ("CAPABILITY", "SELECT"):
                self.say("* CAPABILITY IMAP4rev1 IDLE" if word == "CAPABILITY" else "* OK [UIDVALIDITY 1] here")
            self.say(f"{tag} OK")


def test_a_server_that_ends_idle_or_tells_lies_is_not_asked_without_end(s):
    peer = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Idler)
    peer.daemon_threads, peer.logins = True, {}
    threading.Thread(target=peer.serve_forever, daemon=True).start()
    where = Port(peer.server_address[1])
    for user, most in (("ends", 1), ("tells", 4)):
        account(s, where, user, "--idle", "--interval", "1h", protocol="imap")
        s.ctl("retrieve", "resume", user)
        postbus.wait(lambda: peer.logins.get(user, 0) >= most, user)
    account(s, where, "other", protocol="imap")
    for _ in range(5):                      # time enough for a hundred more
        run(s, "other")
    assert peer.logins == {"ends": 1, "tells": 4, "other": 5}, peer.logins
    for user in ("ends", "tells"):
        assert s.ctl("retrieve", "show", user)["error"] == ""
        s.ctl("retrieve", "pause", user)
    peer.shutdown()


# ---- tokens ----

class Tokens(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self.server.asked.append(form)
        good = form.get("refresh_token") == self.server.refresh and form.get("client_id") == "me" and form.get("client_secret") == "s&cret"
        self.server.refresh += "+" if good else ""
        answer = {"access_token": self.server.token, "expires_in": self.server.life, "refresh_token": self.server.refresh} if good else {"error": "invalid_grant"}
        body = json.dumps(answer).encode()
        self.send_response(200 if good else 400)
        if self.server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *args):
        pass


def endpoint(s):
    t = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tokens)
    t.socket = server_context(s).wrap_socket(t.socket, server_side=True)
    t.asked, t.refresh, t.token, t.life, t.chunked = [], "r1", "one", 3600, False
    threading.Thread(target=t.serve_forever, daemon=True).start()
    return t


def test_tokens_are_refreshed(s):
    t = endpoint(s)
    for user, method in (("bearer", "OAUTHBEARER"), ("xoauth2", "XOAUTH2")):
        t.refresh, t.token, t.chunked = "r1", "one", user == "bearer"
        with Peer(methods=(method,), token="one") as peer:
            peer.fill(user, 1)
            box = next(boxes)
            s.ctl("mailbox", "create", box)
            s.ctl("mailbox", "password", box, stdin=postbus.PASSWORD + "\n")
            s.ctl("retrieve", "add", box, "127.0.0.1", "--id", user, "--port", peer.port, "--tls", "none", "--user", user, "--paused", "--client-id", "me",
                  "--token-url", f"https://localhost:{t.server_port}/token", "--token-ca", files(s)[0], "--refresh-token-stdin", "--client-secret-stdin",
                  stdin="r1\ns&cret\n")
            before = len(t.asked)
            assert run(s, user)["messages"] == 1, s.ctl("retrieve", "show", user)
            assert run(s, user)["error"] == "" and len(t.asked) == before + 1 and peer.methods_used == [method] * 2
            peer.token = t.token = "two"            # the old one ended before its time
            peer.fill(user, 1)
            assert run(s, user)["messages"] == 1 and t.asked[-1]["refresh_token"] == "r1+" and len(t.asked) == before + 2
            peer.token, t.refresh = "three", "other"
            assert "invalid_grant" in run(s, user)["error"]
            assert subjects(s, box, 2) == ["1", "2"]
    t.shutdown()


# ---- domains ----

class Domain(socketserver.StreamRequestHandler):
    """RFC 1985 and 2645, the server's side."""
    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")
        self.wfile.flush()

    def read(self):
        line = self.rfile.readline().decode().rstrip("\r\n")
        self.server.heard.append(line)
        return line

    def handle(self):
        self.say("220 peer ESMTP")
        while True:
            line = self.read()
            word = line.split(" ")[0].upper()
            if word == "EHLO":
                self.say("250-peer\r\n250-ETRN\r\n250-ATRN\r\n250 AUTH PLAIN")
            elif word == "AUTH":
                good = base64.b64decode(line.split(" ")[2]) == b"\0dom\0geheim"
                self.say("235 ok" if good else "535 no")
            elif word == "ETRN":
                self.say("250 queuing started" if line.endswith("demo.example") else "459 not allowed")
            elif word == "ATRN" and self.server.empty:
                self.say("453 nothing for you")
            elif word == "ATRN":
                self.say("250 turning")
                return self.send()
            else:
                self.say("221 bye")
                return

    def command(self, line):
        self.say(line)
        while True:
            got = self.read()
            if got[3:4] != "-":
                return got

    def send(self):
        out = self.server.replies
        out.append(self.read())
        for line in ("EHLO peer", "MAIL FROM:<a@x.example>", "RCPT TO:<alice@demo.example>", "RCPT TO:<nobody@demo.example>", "RCPT TO:<a@outside.example>", "DATA",
                     "Subject: turned\r\n\r\n..dot\r\n.", "NONSENSE", "QUIT"):
            out.append(self.command(line))


def test_mail_of_whole_domains(s):
    peer = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Domain)
    peer.daemon_threads, peer.heard, peer.replies, peer.empty = True, [], [], False
    threading.Thread(target=peer.serve_forever, daemon=True).start()
    where = Port(peer.server_address[1])

    def add(name, protocol, *options, stdin=""):
        s.ctl("retrieve", "add", "alice@demo.example", "127.0.0.1", "--id", name, "--protocol", protocol, "--port", where.port, "--tls", "none", "--paused", *options, stdin=stdin)
    add("etrn", "etrn", "--domains", "demo.example")
    assert run(s, "etrn")["error"] == "" and "ETRN demo.example" in peer.heard
    add("etrn2", "etrn", "--domains", "demo.example,other.example")
    assert "ETRN other.example" in run(s, "etrn2")["error"]
    add("atrn", "atrn", "--domains", "demo.example", "--user", "dom", "--password-stdin", stdin="geheim\n")
    before = len(s.messages("alice@demo.example"))
    assert run(s, "atrn")["messages"] == 1, s.ctl("retrieve", "show", "atrn")
    assert [r[:3] for r in peer.replies] == ["220", "250", "250", "250", "550", "550", "354", "250", "500", "221"], peer.replies
    assert any(b"Subject: turned\r\n\r\n.dot\r\n" in m for m in s.wait_messages(before + 1, "alice@demo.example"))
    peer.empty = True
    assert run(s, "atrn") == {"messages": 0, "bytes": 0, "removed": 0, "error": ""} and s.ctl("retrieve", "test", "atrn")["login"] == "PLAIN"
    peer.shutdown()


# ---- the fake server beside the tree ----

GOOD = "ok noTOP noUIDL noCAPA biguidl dupuidl badsize nodot lf huge chgid nul long slow".split()


def test_every_mode_of_the_fake_server(s):
    fake = os.path.join(postbus.SHARED, "peers", "fake-pop3d.py")
    if not os.path.exists(fake):
        raise postbus.Skip("the fake POP3 server is not beside this tree")
    port = Port(postbus.free_port())
    process = subprocess.Popen([sys.executable, fake, str(port.port), WHERE])
    try:
        postbus.wait(lambda: can_connect(port.port), "the fake server")
        s.ctl("config", "set", "conn_popretr", "per_host", "30")
        modes = GOOD + "dropretr dropquit err3 lock temp many".split()
        box = {mode: account(s, port, mode, *(("--leave", "always" if mode == "slow" else "never"))) for mode in modes}
        for mode in modes:
            s.ctl("retrieve", "run", mode, "--wait", "0")
        for mode in modes[::-1]:
            want = {"dropretr": 4, "err3": 4, "lock": 0, "temp": 0, "many": 3000}.get(mode, 5)
            last = run(s, mode) if mode != "slow" else None
            total = postbus.wait(lambda: (lambda a: a if a["last_run"] and a["state"] != "running" else None)(s.ctl("retrieve", "show", mode)), mode, 120)
            assert total["messages"] == want, (mode, last, total)
            assert not last or bool(last["error"]) == (mode in ("dropretr", "dropquit", "err3", "lock", "temp")), (mode, last)
            if want and want < 3000:
                expected = ["pop 1", "pop 2", "pop 3", "pop 4", "pop 5"] if want == 5 else ["pop 1", "pop 2", "pop 4", "pop 5"]
                found = postbus.wait(lambda: (lambda m: m if len(m) >= want else None)(s.messages(box[mode])), mode)
                assert sorted(re.search(rb"^Subject: (.*?)\r$", m, re.M).group(1).decode() for m in found) == expected, mode
    finally:
        process.kill()


def can_connect(port):
    import socket
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


boxes = iter(f"token{n}@demo.example" for n in range(100))

if __name__ == "__main__":
    try:
        postbus.run(sys.modules[__name__], make)
    finally:
        if hasattr(dovecot, "it"):
            dovecot.it.stop()
