# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of the daemon and of Debian's Dovecot, from whom it fetches, at random, each time while many messages are under way: they are to be
fetched and removed there, and are not removed yet. In the end every message is here once. Root. KILLS (100), SEED, and BACKLOG (120): so
many are to be fetched from each mailbox when a kill is near."""
import collections, os, random, re, statistics, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "..", "tests", "platform"), os.path.join(HERE, "..", "..", "..", "tests", "bench")]
import peers, postbus

KILLS, BACKLOG = int(os.environ.get("KILLS") or 100), int(os.environ.get("BACKLOG") or 120)
MANY = BACKLOG // 3         # a kill that finds less under way does not count
PASSWORD = "geheim"
ACCOUNTS = {"pop-never": ("pop3", "never"), "pop-always": ("pop3", "always"), "imap-never": ("imap", "never")}


class Box:
    """A mailbox there, into which mail is put as a delivery agent does, and what became of it."""
    def __init__(self, dovecot, s, user):
        self.dovecot, self.s, self.user, self.total = dovecot, s, user, 0
        self.protocol, self.leave = ACCOUNTS[user]
        self.there, self.here = os.path.join(dovecot.mail, user), f"{user}@demo.example"
        for sub in ("", "cur", "new", "tmp"):
            os.makedirs(os.path.join(self.there, sub))
            self.give(os.path.join(self.there, sub))
        s.ctl("mailbox", "create", self.here)
        s.ctl("mailbox", "password", self.here, stdin=postbus.PASSWORD + "\n")
        s.ctl("retrieve", "add", self.here, "127.0.0.1", "--id", user, "--protocol", self.protocol, "--port", dovecot.ports[self.protocol], "--tls", "none", "--user", user,
              "--leave", self.leave, "--password-stdin", stdin=PASSWORD + "\n")

    def give(self, path):
        os.chown(path, self.dovecot.uid, -1)

    def arrive(self, n):
        for _ in range(n):
            self.total += 1
            name = f"{1700000000 + self.total}.M{self.total}P1.soak"
            part = os.path.join(self.there, "tmp", name)
            with open(part, "w") as f:
                f.write(f"Return-Path: <a@x.example>\nFrom: a@x.example\nTo: b@y.example\nSubject: {self.total}\nMessage-ID: <{self.total}@x.example>\n\n" + "Hello.\n" * 50)
            self.give(part)
            os.rename(part, os.path.join(self.there, "new", name))

    def left(self):
        return sum(len(os.listdir(os.path.join(self.there, sub))) for sub in ("new", "cur"))

    def found(self):
        return self.s.call("mailbox.show", mailbox=self.here)["used_messages"]

    def done(self):
        return self.found() >= self.total and (self.leave == "always" or not self.left())

    def numbers(self):
        i = self.s.imap(self.here)
        i.select("INBOX", readonly=True)
        answer = i.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
        i.logout()
        return collections.Counter(int(re.search(rb"Subject: (\d+)", one[1]).group(1)) for one in answer if isinstance(one, tuple))


def soak(dice, dovecot, s):
    """Gives the boxes, which side was killed how often, and what was under way each time."""
    boxes, killed, under_way, idle = [Box(dovecot, s, user) for user in ACCOUNTS], collections.Counter(), [], 0
    while len(under_way) < KILLS:
        for box in boxes:
            box.arrive(max(0, BACKLOG - (box.left() if box.leave == "never" else box.total - box.found())) + dice.randrange(20))
        for box in boxes:
            s.ctl("retrieve", "run", box.user, "--wait", "0")
        time.sleep(dice.random() ** 2 * 0.6)        # any moment will do
        side = dice.choice(("daemon", "daemon", "dovecot", "both", "both"))
        if side != "dovecot":
            s.kill()
        if side != "daemon":
            dovecot.kill()
        left = sum(box.left() for box in boxes if box.leave == "never")
        if left >= MANY:
            under_way.append(left)
            killed[side] += 1
        idle += left < MANY
        if side != "daemon":
            dovecot.start()
        if side != "dovecot":
            s.start()
    return boxes, killed, under_way, idle


def test_nothing_is_lost_or_doubled_when_both_ends_are_killed():
    if os.geteuid() or not os.path.exists("/usr/sbin/dovecot"):
        raise postbus.Skip("Debian's dovecot-imapd and dovecot-pop3d, and root, are needed")
    seed = int(os.environ.get("SEED") or random.randrange(1 << 30))
    began = time.monotonic()
    print(f"SEED={seed} KILLS={KILLS} BACKLOG={BACKLOG}", flush=True)
    config = {"plugins": {"conn_popretr": {"config": {"interval": 1, "tick": 1, "backoff": 1, "backoff_max": 1, "timeout": 10, "per_host": 10}}}}
    dovecot = peers.Dovecot(password=PASSWORD, stock=True)
    try:
        with postbus.Server(config) as s:
            boxes, killed, under_way, idle = soak(random.Random(seed), dovecot, s)
            for box in boxes:
                try:
                    postbus.wait(box.done, f"all {box.total} messages of {box.user}", 60)
                except AssertionError as e:
                    print(f"{e}: here {box.found()}, left there {box.left()}; {s.ctl('retrieve', 'show', box.user)}", flush=True)
            numbers = {box.user: box.numbers() for box in boxes}
    finally:
        dovecot.stop()
    lost = {box.user: sorted(set(range(1, box.total + 1)) - set(numbers[box.user])) for box in boxes}
    doubled = {user: sorted(n for n, times in found.items() if times > 1) for user, found in numbers.items()}
    total = sum(box.total for box in boxes)
    print(f"{total} messages, {len(under_way)} kills {dict(killed)} with {min(under_way)} to {max(under_way)} messages under way there (median {statistics.median(under_way):.0f}), "
          f"{idle} more with less; lost {sum(map(len, lost.values()))}, doubled {sum(map(len, doubled.values()))}; {time.monotonic() - began:.0f} s", flush=True)
    assert not any(lost.values()) and not any(doubled.values()), (lost, doubled)


if __name__ == "__main__":
    postbus.run(sys.modules[__name__])
