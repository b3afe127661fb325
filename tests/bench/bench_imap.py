# SPDX-License-Identifier: GPL-3.0-or-later
"""IMAP and POP3 side by side: Debian's Dovecot (Maildir and mdbox) and Postbus, in the same run, turn by turn, as ratios.
Run as root through `make bench-imap`; words of items given as arguments run these alone (cold, logins, append, store, fetch...).
Times are the best of several turns: other work on the machine lengthens a turn, nothing shortens one. Both have TLS left out: it costs both the same."""
import os, subprocess, sys, time
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "platform"))
import peers, postbus

LOAD = os.path.join(postbus.BUILD, "tests", "bench", "imap_load")
LOGIN = os.path.join(postbus.BUILD, "tests", "bench", "login_load")
MESSAGES = int(os.environ.get("MESSAGES", 10000))
USERS = 10
LOGINS = 400    # in a turn
FORMATS = os.environ.get("FORMATS", "maildir mdbox").split()
CLEARTEXT = {"plugins": {"svc_imap": {"config": {"cleartext_login": True}}, "svc_pop3": {"config": {"cleartext_login": True}}}, "log": {"level": "warning"}}

# name, command, turns
READS = (
    ("FETCH FLAGS", "run FETCH 1:* FLAGS", 30),
    ("FETCH ENVELOPE", "run FETCH 1:* ENVELOPE", 15),
    ("FETCH 4 header fields", "run FETCH 1:* BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE)]", 15),
    ("FETCH all bodies", "run FETCH 1:* BODY.PEEK[]", 5),
    ("FETCH bodies one by one", f"each 1 {min(MESSAGES, 2000)} FETCH %u BODY.PEEK[]", 5),
    ("SEARCH flag", "run UID SEARCH FLAGGED", 30),
    ("SEARCH header", "run UID SEARCH SUBJECT ledger", 10),
    ("SEARCH text", "run UID SEARCH TEXT quicksilver", 3),
)
WRITES = (
    ("STORE one by one", (f"each 1 {min(MESSAGES, 500)} STORE %u +FLAGS (\\Answered)", f"each 1 {min(MESSAGES, 500)} STORE %u -FLAGS (\\Answered)"), 3),
    ("STORE in bulk", ("run STORE 1:* +FLAGS (\\Answered)", "run STORE 1:* -FLAGS (\\Answered)"), 4),
    ("STORE in bulk, silent", ("run STORE 1:* +FLAGS.SILENT (\\Answered)", "run STORE 1:* -FLAGS.SILENT (\\Answered)"), 4),
)


class Client:
    def __init__(self, server, user="u0@demo.example"):
        self.process = subprocess.Popen([LOAD, "session", str(server.imap), user, server.password], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def begin(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self):
        line = self.process.stdout.readline()
        assert line, "the client ended"
        return float(line.split()[0])

    def do(self, line):
        self.begin(line)
        return self.end()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Dovecot:
    filler = "multiappend"

    def __init__(self, format, stock=False):
        self.name = "stock" if stock else format
        self.cpu = peers.Cpu("postbus-bench-" + self.name)
        with self.cpu:
            self.server = peers.Dovecot(format=format, stock=stock)
        self.password = "secret"
        self.take_ports()

    def take_ports(self):
        self.imap, self.pop3 = self.server.ports["imap"], self.server.ports["pop3"]

    def restart(self, between):
        self.server.process.terminate()
        self.server.process.wait(20)
        between()
        with self.cpu:
            self.server.process = subprocess.Popen(["dovecot", "-F", "-c", f"{self.server.dir}/dovecot.conf"], stderr=subprocess.DEVNULL)
        peers.wait_port(self.imap)

    def close(self):
        self.server.stop()
        self.cpu.remove()


class Postbus:
    name = "postbus"
    filler = "append"

    def __init__(self):
        self.cpu = peers.Cpu("postbus-bench-postbus")
        with self.cpu:
            self.server = postbus.Server(config=CLEARTEXT, quick_passwords=False)
        self.password = postbus.PASSWORD
        for i in range(USERS):
            self.server.ctl("mailbox", "create", f"u{i}@demo.example")
            self.server.ctl("mailbox", "password", f"u{i}@demo.example", stdin=self.password + "\n")
        self.take_ports()

    def take_ports(self):
        self.imap, self.pop3 = self.server.ports["imap"], self.server.ports["pop3"]

    def restart(self, between):
        self.server.stop()
        between()
        with self.cpu:
            self.server.start()
        self.take_ports()

    def close(self):
        self.server.stop()
        self.server.remove()
        self.cpu.remove()


def fill(server):
    c = Client(server)
    for first in range(1, MESSAGES + 1, 1000):
        c.do(f"{server.filler} {first} {min(first + 999, MESSAGES)} INBOX")
    c.close()
    c = Client(server)
    c.do("run SELECT INBOX")
    c.do(f"run STORE 1:{MESSAGES // 20} +FLAGS.SILENT (\\Flagged)")
    c.close()
    for i in range(1, USERS):
        c = Client(server, f"u{i}@demo.example")
        c.do("append 1 1 INBOX")
        c.close()


def show(name, times, target=2.0):
    """One row: milliseconds of each, then how many times faster Postbus is."""
    ours = times[-1]
    ratios = [t / ours for t in times[:-1]]
    print(f"{name:34}" + "".join(f"{t * 1e3:12.2f}" for t in times) + "   " + "".join(f"{r:9.1f}" for r in ratios) + ("" if min(ratios) >= target else f"   under {target:g}"), flush=True)


def turns(servers, clients, lines, count):
    """Best time of each server; lines go round, so that each turn of a STORE has something to change."""
    best = [float("inf")] * len(servers)
    for line in lines:
        for c in clients:
            c.do(line)
    for turn in range(count):
        for line in lines:
            for k, c in enumerate(clients):
                best[k] = min(best[k], c.do(line))
    return best


def warm(servers, items):
    clients = [Client(s) for s in servers]
    for c in clients:
        c.do("run SELECT INBOX")
    for name, lines, count in items:
        lines = (lines,) if isinstance(lines, str) else lines
        show(name, turns(servers, clients, lines, count))
    for c in clients:
        c.close()


def drop_caches():
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("3\n")
    except OSError:
        pass    # not allowed here: cold is then the server alone


def cold(servers):
    """The first command after a start with nothing in memory, SELECT included."""
    for name, line, _ in READS:
        times = []
        for s in servers:
            best = float("inf")
            for _ in range(3):
                s.restart(drop_caches)
                c = Client(s)
                best = min(best, c.do("run SELECT INBOX") + c.do(line))
                c.close()
            times.append(best)
        show("cold " + name, times)


def append(servers):
    for sessions, each in ((1, 300), (8, 100)):
        best = [float("inf")] * len(servers)
        clients = [[Client(s, f"u1@demo.example") for k in range(sessions)] for s in servers]
        for turn in range(4):
            for k in range(len(servers)):
                begin = time.monotonic()
                for n, c in enumerate(clients[k]):
                    c.begin(f"append {1 + n * each} {(n + 1) * each} INBOX")
                for c in clients[k]:
                    c.end()
                best[k] = min(best[k], (time.monotonic() - begin) / (sessions * each))
        show(f"APPEND, {sessions} session{'s' * (sessions > 1)}, each message", best)
        for c in sum(clients, []):
            c.close()


def logins(servers):
    """Beside the two that are tuned for logins stands one as Debian installs it: a process for each login, no cache of passwords."""
    stock = Dovecot("maildir", stock=True)
    try:
        for i in range(USERS):
            c = Client(stock, f"u{i}@demo.example")
            c.do("append 1 1 INBOX")
            c.close()
        print(f"{'':34}" + "".join(f"{s.name:>12}" for s in [stock] + servers))
        logins_of([stock] + servers)
    finally:
        stock.close()


class Nobody:
    """A server that only has its words ready: what a login costs where the server does nothing."""

    def __init__(self, kind):
        self.process = subprocess.Popen([LOGIN, "nobody", kind], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()


def log_in(kind, port, password, count, clients):
    """Seconds by the clock, and of the client's CPU, for each login."""
    done = subprocess.run([LOGIN, kind, str(port), password, str(count), str(USERS), str(clients)], check=True, stdout=subprocess.PIPE, text=True)
    return [float(word) / count for word in done.stdout.split()]


def logins_of(servers):
    for kind, label in (("imap", "IMAP login"), ("pop3", "POP3 login, STAT, RETR")):
        with Nobody(kind) as nobody:
            for clients in (1, 8):
                logins_by(clients, kind, label, servers, nobody)


def logins_by(clients, kind, label, servers, nobody):
    rows = [[float("inf")] * 3 for s in servers]    # clock, the server's CPU, the client's
    alone = [float("inf")] * 2
    for turn in range(10):
        alone = [min(pair) for pair in zip(alone, log_in(kind, nobody.port, "x", LOGINS, clients))]
        for k, s in enumerate(servers):
            if s.name == "stock" and turn > 3:
                continue    # slow enough to be told from the others
            count = LOGINS // 4 if s.name == "stock" else LOGINS
            cpu = s.cpu.used()
            clock, own = log_in(kind, getattr(s, kind), s.password, count, clients)
            if turn:
                rows[k] = [min(pair) for pair in zip(rows[k], (clock, (s.cpu.used() - cpu) / count, own))]
    clock, cpu, own = ([r[i] for r in rows] for i in range(3))
    show(f"{label}, {clients} client{'s' * (clients > 1)}", clock, 10.0)
    show("    CPU of the server for each", cpu, 10.0)
    print(f"{'    CPU of the client for each':34}" + "".join(f"{t * 1e3:12.3f}" for t in own))
    print(f"    from a server that does nothing: {alone[0] * 1e3:.3f} by the clock, {alone[1] * 1e3:.3f} of the client's CPU", flush=True)


def main():
    only = sys.argv[1:]
    servers = []
    try:
        for format in FORMATS:
            servers.append(Dovecot(format))
        servers.append(Postbus())
        for s in servers:
            fill(s)
        print(f"{MESSAGES} messages of 4 KiB, ms{'':18}" + "".join(f"{s.name:>12}" for s in servers) + "   postbus is so many times as fast as each")

        def wanted(name):
            return not only or any(word.lower() in name.lower() for word in only)
        warm(servers, [i for i in READS + WRITES if wanted(i[0])])
        for name, run in (("logins", logins), ("append", append), ("cold", cold)):
            if wanted(name):
                run(servers)
    finally:
        for s in servers:
            s.close()


main()
