# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of the daemon, and connections of the other server that are cut, at random moments of fetching and removing: in the end every message is here once, and
nothing was removed there that is not here, also where the server has no ids, or others in each session. KILLS in the environment says how often: a few in make check, 100 in make soak-retrieve."""
import collections, os, random, re, socket, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "..", "tests", "platform")]
import postbus
from pop3_peer import PASSWORD, Peer, Session

KILLS = int(os.environ.get("KILLS") or 6)
USERS = [("leave-never", "never"), ("leave-always", "always"), ("no-ids", "never"), ("other-ids", "never")]


class Cut(Session):
    """Remembers its connection, so that it can be cut."""
    def setup(self):
        self.server.open.add(self.request)
        super().setup()

    def finish(self):
        self.server.open.discard(self.request)
        try:
            super().finish()
        except OSError:
            pass


def cut_all(peer):
    for one in list(peer.server.open):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def numbers(s, box):
    return [int(re.search(rb"^Subject: (\d+)\r$", m, re.M).group(1)) for m in s.messages(box)]


def count(s, box):
    i = s.imap(box)
    n = int(i.select("INBOX", readonly=True)[1][0])
    i.logout()
    return n


def test_nothing_is_doubled_or_lost():
    seed = int(os.environ.get("SEED") or random.randrange(1 << 30))
    print(f"SEED={seed} KILLS={KILLS}", flush=True)
    dice, total, killed = random.Random(seed), collections.Counter(), collections.Counter()
    config = {"plugins": {"conn_popretr": {"config": {"interval": 1, "tick": 1, "backoff": 1, "backoff_max": 1, "timeout": 10, "per_host": 10}}}}
    with Peer({"no-ids": {"nouidl"}, "other-ids": {"change"}}, handler=Cut) as peer, postbus.Server(config) as s:
        peer.server.open = set()
        boxes = {}
        for user, leave in USERS:
            boxes[user] = f"{user}@demo.example"
            s.ctl("mailbox", "create", boxes[user])
            s.ctl("mailbox", "password", boxes[user], stdin=postbus.PASSWORD + "\n")
            s.ctl("retrieve", "add", boxes[user], "127.0.0.1", "--id", user, "--port", peer.port, "--tls", "none", "--user", user, "--leave", leave, "--password-stdin",
                  stdin=PASSWORD + "\n")
        for _ in range(KILLS):
            for user, _ in USERS:
                n = dice.randrange(1, 1 + max(60, 600 // KILLS))
                peer.more(user, total[user], n)
                total[user] += n
            time.sleep(dice.random() * 0.9)         # any moment will do
            side = dice.choice(("daemon", "peer", "daemon", "both"))
            killed[side] += 1
            if side != "daemon":
                cut_all(peer)
            if side != "peer":
                s.kill()
                s.start()
        for user, leave in USERS:
            def whole():
                return count(s, boxes[user]) >= total[user] and (leave == "always" or not peer.boxes[user])
            try:
                postbus.wait(whole, f"all {total[user]} messages of {user}", 120)
            except AssertionError as e:
                here, there = set(numbers(s, boxes[user])), {int(uid[2:]) for uid, _ in peer.boxes[user]}
                raise AssertionError(f"{e}: missing here {sorted(set(range(1, total[user] + 1)) - here)[:20]}, left there {len(there)} {sorted(there)[:20]}, "
                                     f"{s.ctl('retrieve', 'show', user)}")
            found = collections.Counter(numbers(s, boxes[user]))
            assert sorted(found) == list(range(1, total[user] + 1)), (user, set(range(1, total[user] + 1)) - set(found))
            twice = [n for n, times in found.items() if times > 1]
            assert not twice, (user, twice)
        print(f"{sum(total.values())} messages, killed {dict(killed)}, {peer.sessions} sessions", flush=True)


if __name__ == "__main__":
    postbus.run(sys.modules[__name__])
