# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills postbusd at random moments under load, over and over in the same homes: what was acknowledged is there exactly once, the rest at most once.
It was seen to fail: without conn_postoffice's delivery token messages came twice; without pb_queue_accept's wait for the flush accepted ones were gone.

  crash.py [--kills 200] [--homes 2] [--seconds N] [--seed N] [--keep]

kill -9 leaves what the operating system was given; a power cut, which does not, is tests/crash/powercut_shim.c's.
"""
import argparse, collections, imaplib, os, random, re, smtplib, socket, ssl, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "platform"))
import postbus
from postbus import PASSWORD, Server, no_check, wait

BOXES = {name: f"{name}@demo.example" for name in ("alice", "bob", "carol", "dave")}
STAFF = ("alice", "bob", "carol")
UNKNOWN, ACCEPTED, REFUSED = "unknown", "accepted", "refused"
LOST = (OSError, EOFError, ssl.SSLError, smtplib.SMTPException, imaplib.IMAP4.error, imaplib.IMAP4.abort)
LOOK_EVERY, FULL_EVERY = 4, 40
NAME = re.compile(rb"X-Crash: ([\w.-]+)", re.I)


class Letter:
    """What was sent, to which mailboxes, what the server said; uid: what an APPEND was told."""

    def __init__(self, name, boxes):
        self.name, self.boxes, self.state, self.uid = name, boxes, UNKNOWN, None


class Home:
    """A home, its daemon, those who send to it, and what was seen in its mailboxes."""

    def __init__(self, number, args):
        self.number, self.args, self.random = number, args, random.Random(args.seed * 1000 + number)
        self.server = Server(config={"store": {"cache": "8M"}, "plugins": {
            "conn_postoffice": {"config": {"retry": ["1s"]}}, "agent_mta": {"config": {"retry": ["1s"]}}}})
        self.lock = threading.Lock()
        self.letters, self.faults, self.kills, self.early = [], [], 0, 0
        self.seen = {box: {} for box in BOXES}      # mailbox: UID: name of the letter
        self.validity, self.next = {}, {}
        self.up, self.end, self.slowest = threading.Event(), False, 0
        for box in "carol", "dave":
            self.server.ctl("mailbox", "create", BOXES[box])
            self.server.ctl("mailbox", "password", BOXES[box], stdin=PASSWORD + "\n")
        self.server.ctl("group", "create", "staff@demo.example", *(word for name in STAFF for word in ("--members", BOXES[name])))
        self.up.set()

    def fault(self, text):
        with self.lock:
            self.faults.append(f"home {self.number}, kill {self.kills}: {text}")

    # ---- senders ----

    def letter(self, who, boxes):
        with self.lock:
            one = Letter(f"h{self.number}-{who}-{len(self.letters)}", boxes)
            self.letters.append(one)
        return one

    def text(self, one, rng):
        size = rng.choice((50, 50, 50, 700, 700, 9000, 9000, 300000))
        body = (f"{one.name} " * (size // (len(one.name) + 1) + 1))
        lines = "\r\n".join(body[i:i + 70] for i in range(0, len(body), 70))
        return (f"From: alice@demo.example\r\nTo: undisclosed:;\r\nSubject: {one.name}\r\nX-Crash: {one.name}\r\n"
                f"Message-ID: <{one.name}@crash.example>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\n{lines}\r\n").encode()

    def connect(self, listener):
        c = smtplib.SMTP("127.0.0.1", self.server.ports[listener], local_hostname="client.example", timeout=20)
        if listener == "submission":
            c.starttls(context=no_check())
            c.login(BOXES["alice"], PASSWORD)
        c.ehlo_or_helo_if_needed()
        return c

    def send(self, c, who, rng, sender):
        """One message; what the answer to its last dot says of it is written down before anything else is done."""
        choice = rng.random()
        if choice < 0.3:
            to, boxes = ["staff@demo.example"], set(STAFF)
        elif choice < 0.5:
            to, boxes = ["staff@demo.example", BOXES["alice"], BOXES["dave"]], set(BOXES)
        else:
            boxes = set(rng.sample(sorted(BOXES), rng.choice((1, 1, 2, 4))))
            to = [BOXES[b] for b in boxes]
        one = self.letter(who, boxes)
        one.state = REFUSED         # until the last dot is on its way
        code, text = c.mail(sender)
        for address in to:
            if code == 250:
                code, text = c.rcpt(address)
        if code == 250:
            code, text = c.docmd("DATA")
        if code != 354:
            raise smtplib.SMTPResponseException(code, text)
        one.state = UNKNOWN
        c.send(self.text(one, rng) + b".\r\n")
        code, text = c.getreply()
        if code != -1:
            one.state = ACCEPTED if code == 250 else REFUSED
        if code not in (250, -1, 421, 451):
            self.fault(f"{one.name} was answered {code} {text}")

    def sender(self, who, listener):
        rng = random.Random(f"{self.args.seed} {self.number} {who}")
        while not self.end:
            self.up.wait(1)
            c = None
            try:
                c = self.connect(listener)
                for _ in range(rng.randint(1, 30)):
                    if self.end:
                        break
                    self.send(c, who, rng, BOXES["alice"] if listener == "submission" else "someone@remote.example")
                c.quit()
            except LOST:
                time.sleep(0.005)
            finally:
                if c:
                    c.close()

    def appender(self):
        """IMAP's way in: what OK says is there, and under the UID that was told."""
        rng = random.Random(f"{self.args.seed} {self.number} append")
        while not self.end:
            self.up.wait(1)
            i = None
            try:
                i = self.imap("dave")
                for _ in range(rng.randint(1, 30)):
                    if self.end:
                        break
                    one = self.letter("append", {"dave"})
                    kind, data = i.append("INBOX", None, None, self.text(one, rng))
                    one.state = ACCEPTED if kind == "OK" else REFUSED
                    told = re.search(rb"APPENDUID (\d+) (\d+)", data[0] or b"")
                    one.uid = int(told.group(2)) if told else None
                i.logout()
            except LOST:
                time.sleep(0.005)
            finally:
                hang_up(i)

    # ---- readers ----

    def imap(self, box):
        i = imaplib.IMAP4_SSL("127.0.0.1", self.server.ports["imaps"], ssl_context=no_check(), timeout=20)
        i.login(BOXES[box], PASSWORD)
        return i

    def note(self, box, uid, name):
        with self.lock:
            known = self.seen[box].setdefault(uid, name)
        if known != name:
            self.fault(f"{box}: UID {uid} was {known}, is {name}")

    def read(self, box, i, first):
        """Reads names from UID first on, and holds them against what was seen before."""
        kind, data = i.select("INBOX", readonly=True)
        if kind != "OK":
            raise imaplib.IMAP4.error(f"SELECT: {data}")
        validity, after = (int(i.response(word)[1][0]) for word in ("UIDVALIDITY", "UIDNEXT"))
        if self.validity.setdefault(box, validity) != validity:
            self.fault(f"{box}: UIDVALIDITY was {self.validity[box]}, is {validity}")
        kind, rows = i.uid("FETCH", f"{first}:*", "(BODY.PEEK[HEADER.FIELDS (X-CRASH)])")
        if kind != "OK":
            raise imaplib.IMAP4.error(f"FETCH: {rows}")
        found = {}
        for row in rows:
            if not isinstance(row, tuple):
                continue
            uid, name = int(re.search(rb"UID (\d+)", row[0]).group(1)), NAME.search(row[1])
            if uid < first:
                continue        # n:* holds the last message in any case
            if found and uid <= max(found):
                self.fault(f"{box}: UID {uid} stands after {max(found)}")
            found[uid] = name.group(1).decode() if name else f"a message that nobody sent: {row[1][:100]}"
            self.note(box, uid, found[uid])
        return found, after

    def watcher(self):
        """Reads along while others send: a UID that anybody has seen keeps its message through every crash."""
        rng = random.Random(f"{self.args.seed} {self.number} watch")
        while not self.end:
            self.up.wait(1)
            box, i = rng.choice(sorted(BOXES)), None
            try:
                i = self.imap(box)
                for _ in range(30):
                    if self.end:
                        break
                    with self.lock:
                        first = max(self.seen[box], default=0) + 1
                    self.read(box, i, first)
                i.logout()
            except LOST:
                time.sleep(0.005)
            finally:
                hang_up(i)

    # ---- checks ----

    def check(self, full):
        """After a start: nothing that was seen of late is gone; full: nothing at all, and each letter is where it belongs, as often as it should be."""
        for box in BOXES if full else self.random.sample(sorted(BOXES), 1):
            i = self.imap(box)
            with self.lock:
                before = dict(self.seen[box])
                letters = [(one, one.uid) for one in self.letters]      # as it is before the look
            first = 1 if full else max(sorted(before)[-20:][:1], default=1)
            found, after = self.read(box, i, first)
            i.logout()
            for uid in before:
                if uid >= first and uid not in found:
                    self.fault(f"{box}: UID {uid}, {before[uid]}, was seen and is gone")
            if after <= max(found, default=0) or after < self.next.get(box, 1):
                self.fault(f"{box}: UIDNEXT is {after}, was {self.next.get(box)}, last UID {max(found, default=0)}")
            self.next[box] = after
            if full:
                self.check_letters(box, letters, found)

    def check_letters(self, box, letters, found):
        times = collections.Counter(found.values())
        for one, uid in letters:
            n, wanted = times.pop(one.name, 0), box in one.boxes
            if n > wanted or one.state == REFUSED and n:
                self.fault(f"{box}: {one.name}, {one.state}, is there {n} times")
            elif wanted and uid and found.get(uid) != one.name:
                self.fault(f"{box}: {one.name} is not at UID {uid}, which APPEND told")
            elif self.end and wanted and not n and one.state == ACCEPTED:
                self.fault(f"{box}: {one.name} was accepted and is not there")
        for name in set(times) - {one.name for one in self.letters}:
            self.fault(f"{box}: {name}")

    def verify(self):
        answer = self.server.ctl("store", "verify")
        if not answer["ok"]:
            self.fault(f"store verify: {answer}")

    # ---- kills ----

    def one_kill(self):
        s, rng = self.server, self.random
        time.sleep(rng.random() ** 2 * 0.25)
        self.up.clear()
        s.kill()
        self.kills += 1
        while rng.random() < 0.15:      # also while it is on its way up
            s.start(wait=False)
            time.sleep(rng.random() * 0.2)
            s.kill()
            self.kills += 1
            self.early += 1
        begin = time.monotonic()
        s.start()
        self.slowest = max(self.slowest, time.monotonic() - begin)
        self.up.set()

    def go_on(self, begin):
        if self.faults:
            return False
        if self.args.seconds:
            return time.monotonic() - begin < self.args.seconds
        return self.kills < self.args.kills / self.args.homes

    def run(self):
        begin, turn = time.monotonic(), 0
        threads = [threading.Thread(target=self.sender, args=(f"s{k}", listener)) for k, listener in enumerate(("smtp", "smtp", "submission"))]
        threads += [threading.Thread(target=self.appender), threading.Thread(target=self.watcher)]
        for t in threads:
            t.start()
        try:
            while self.go_on(begin):
                self.one_kill()
                turn += 1
                if turn % LOOK_EVERY == 0:
                    self.check(turn % FULL_EVERY == 0)
                if turn % FULL_EVERY == 0:
                    self.verify()
        except Exception as e:
            self.fault(f"{type(e).__name__}: {e}")
        finally:
            self.end = True
            self.up.set()
            for t in threads:
                t.join()
        try:
            self.last_look()
        except Exception as e:
            self.fault(f"{type(e).__name__}: {e}")

    def last_look(self):
        s = self.server
        if s.process.poll() is not None:
            self.fault(f"postbusd ended by itself with {s.process.returncode}")
            return
        wait(lambda: not s.ctl("queue", "list")["items"], "an empty queue", 60)
        self.check(True)
        self.verify()
        if s.stop():
            self.fault(f"postbusd ended with {s.process.returncode}")
        s.start()
        self.check(True)
        s.stop()
        for line in re.findall(r".*level=error.*", s.log())[:5]:
            self.fault(line)


def hang_up(i):
    try:
        if i:
            i.shutdown()
    except OSError:
        pass


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--kills", type=int, default=200)
    p.add_argument("--homes", type=int, default=2)
    p.add_argument("--seconds", type=float, default=0, help="go on for so long, whatever the kills")
    p.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    p.add_argument("--keep", action="store_true", help="keep the homes; those with faults are kept anyway")
    args = p.parse_args()
    print(f"seed {args.seed}", flush=True)
    begin = time.monotonic()
    homes = [Home(n, args) for n in range(args.homes)]
    threads = [threading.Thread(target=home.run) for home in homes]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    faults = [fault for home in homes for fault in home.faults]
    states = collections.Counter(one.state for home in homes for one in home.letters)
    kills = sum(home.kills for home in homes)
    print(f"{kills} kills, {sum(home.early for home in homes)} of them during a start; {states[ACCEPTED]} messages accepted, {states[UNKNOWN]} unanswered, "
          f"{states[REFUSED]} not taken; slowest start {max(home.slowest for home in homes):.2f} s; {time.monotonic() - begin:.0f} s")
    for home in homes:
        if home.faults or args.keep:
            print(f"home {home.number} is kept: {home.server.home}")
            home.server.kill()
        else:
            home.server.remove()
    for fault in faults[:40]:
        print("FAILED", fault)
    if not faults and states[ACCEPTED] < kills:
        faults = [f"only {states[ACCEPTED]} messages went in: no load"]
        print("FAILED", faults[0])
    print(f"{len(faults)} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
