# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that the daemon does not survive: a plugin (crash_probe) ends it in its courier or at a hook, again and again, and it is started again as a
supervisor does. The message becomes a dead letter; everything else is delivered once, also what was in hand beside it."""
import os, re, shutil, smtplib, sys, tempfile, threading, time
import postbus
from postbus import Server, message, wait

LIMIT = 3
TARGETS = ("abort", "kill", "gate", "fine")


class Supervised(Server):
    """A daemon that is started again whenever it ends by itself."""

    def __init__(self):
        made = os.path.join(postbus.BUILD, ".libs", "crash_probe.so")
        if not os.path.exists(made):
            raise SystemExit(f"{made} is not built: make check builds it")
        self.where = tempfile.mkdtemp(prefix="pb-probe-")
        shutil.copy(made, self.where)
        shutil.copy(os.path.join(postbus.TOP, "kernel", "queue", "tests", "crash_probe.json"), self.where)
        root = os.environ.get("POSTBUS_BIN")
        others = os.path.join(os.path.dirname(root), "lib", "postbus", "plugins") if root else postbus.plugin_dir()
        self.deaths, self.ending, self.up = [], False, threading.Event()
        super().__init__(start=False, config={"plugin_path": [self.where, others], "queue": {"crashes_max": LIMIT, "crash_pause": "1s"}})
        self.probe = os.path.join(self.home, "probe")
        os.mkdir(self.probe)
        os.mkfifo(os.path.join(self.probe, "gate"))
        postbus.merge_file(self.file, {"plugins": {"crash_probe": {"config": {"dir": self.probe}}}})
        self.env["POSTBUSD"] = "/bin/false"     # between two lives nobody else is to have the home
        self.start()
        for target in TARGETS:
            self.ctl("address-map", "create", f"{target}@demo.example", "--to", f"crash_probe:{target}")
        self.up.set()
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()

    def watch(self):
        while True:
            code = self.process.wait()
            if self.ending:
                return
            self.up.clear()
            if code < 0:
                self.deaths.append(code)
            try:
                self.start()
            except AssertionError:          # it ended before it was ready
                continue
            self.up.set()

    def post(self, to, sender="someone@remote.example", subject="hello"):
        """Sends, again under another subject if the daemon ended meanwhile and nobody said 250. Gives id and subject."""
        for n in range(200):
            self.up.wait(120)
            try:
                return self.send(message(f"{subject} {n}"), sender, (f"{to}@demo.example",)), f"{subject} {n}"
            except (OSError, smtplib.SMTPException):
                time.sleep(0.05)    # its end is not noticed at once
        raise AssertionError("nobody takes mail")

    def poison(self, to, sender="poison@remote.example"):
        """The daemon may end before it says 250, so this is sent once, and found by its sender."""
        try:
            self.send(message("poison"), sender, (f"{to}@demo.example",))
        except (OSError, smtplib.SMTPException, AssertionError):
            pass
        return wait(lambda: self.asked("queue", "list", "--sender", sender).get("items"), "the poison in the queue")[0]["id"]

    def asked(self, *words):
        """An answer of a daemon that may end at any time; {} when it did."""
        self.up.wait(120)
        code, answer = self.ctl(*words, check=False)
        return answer if code == 0 else {}

    def dead(self):
        return self.asked("queue", "list", "--state", "dead").get("items", [])

    def events(self, id):
        return (self.asked("trace", id).get("messages") or [{"events": []}])[0]["events"]

    def crashes(self, id):
        return [e for e in self.events(id) if e["what"] == "crash"]

    def open_gate(self):
        return os.open(os.path.join(self.probe, "gate"), os.O_RDWR)

    def delivered(self, ids):
        """Are these there, and is nothing there twice?"""
        path = os.path.join(self.probe, "delivered")
        have = [line.split()[1] for line in open(path)] if os.path.exists(path) else []
        assert len(have) == len(set(have)), have
        return set(ids) <= set(have)

    def metric(self, name):
        return int(re.search(rf"^postbus_{name} (\d+)$", self.ctl("metrics", json_out=False), re.M).group(1))

    def __exit__(self, *exc):
        self.ending = True
        try:
            self.stop()
            self.watcher.join()
        finally:
            shutil.rmtree(self.where, ignore_errors=True)
            if not (exc[0] and os.environ.get("POSTBUS_KEEP")):
                self.remove()


def ends_as_a_dead_letter(s, id, lane, plugin):
    items = wait(s.dead, "a dead letter", 120)
    assert [(i["id"], i["lane"], i["state"]) for i in items] == [(id, lane, "dead")], items
    assert len(s.deaths) == LIMIT, s.deaths
    events = s.events(id)
    assert [(e["who"], e["text"].split(": ")[-1]) for e in s.crashes(id)] == [(plugin, f"{n} of {LIMIT}") for n in range(1, LIMIT + 1)], events
    last = [e for e in events if e["what"] == "dead"]
    assert len(last) == 1 and plugin in last[0]["text"], events
    assert [i["state"] for i in s.ctl("queue", "show", id)["items"]] == ["dead"]
    assert re.search(rf"event=queue.dead .*id={id} lane={lane}", s.log())
    assert s.metric("queue_poison_total") == 1


def arrived(s, subjects):
    have = wait(lambda: (lambda l: l if set(subjects) <= set(l) else None)(
        [re.search(rb"Subject: (.*)\r\n", m).group(1).decode() for m in s.messages()]), "all mail of others", 60)
    assert len(have) == len(set(have)), have


def test_a_courier_that_aborts():
    with Supervised() as s:
        innocent, _ = s.post("gate")
        s.wait_log("event=waiting")
        id = s.poison("abort")
        subjects = [s.post("alice", subject=f"meanwhile {n}")[1] for n in range(6)]
        fine = [s.post("fine")[0] for n in range(6)]
        ends_as_a_dead_letter(s, id, "crash_probe.outgoing", "crash_probe")
        # what waited at the gate all the time was never suspected: the thread that died had something else in hand
        assert s.crashes(innocent) == []
        gate = s.open_gate()
        arrived(s, subjects)
        wait(lambda: s.delivered([innocent, *fine]), "one delivery each")
        # an administrator who has mended the plugin lets it try again
        assert s.ctl("queue", "retry", "--lane", "crash_probe.outgoing")["items"] == 0
        with open(os.path.join(s.probe, "harmless"), "w"):
            pass
        assert s.ctl("queue", "retry", id)["items"] == 1
        wait(lambda: s.delivered([id]), "the poison's delivery")
        assert len(s.deaths) == LIMIT and s.dead() == []
        os.close(gate)


def test_a_hook_that_aborts():
    with Supervised() as s:
        id = s.poison("alice", "hook-abort@remote.example")
        subjects = [s.post("alice", subject=f"meanwhile {n}")[1] for n in range(6)]
        ends_as_a_dead_letter(s, id, "conn_smtp.inbound", "agent_mta")
        arrived(s, subjects)
        assert not any(b"Subject: poison" in m for m in s.messages())
        # the same again: it gets the same patience (and may end the daemon before that has answered)
        s.ctl("queue", "release", id, check=False)
        wait(lambda: len(s.deaths) == 2 * LIMIT and s.dead(), "a dead letter again", 120)


def test_who_was_merely_in_hand_survives():
    """A death that nobody saw coming (as when memory is out): all that was in hand is suspected, tried alone, and cleared."""
    with Supervised() as s:
        innocent = [s.post("gate")[0] for _ in range(2)]
        wait(lambda: len(re.findall("event=waiting", s.log())) == 2, "two in hand")
        id = s.poison("kill")
        wait(lambda: s.deaths, "a death")
        s.up.wait(120)
        for one in innocent:
            wait(lambda: [e["text"].split(": ")[-1] for e in s.crashes(one)] == [f"1 of {LIMIT}"], "a suspicion")
        # one of the suspects is in hand, no other goes near it
        wait(lambda: len(re.findall("event=waiting", s.log())) >= 3 or len(s.deaths) > 1, "the first suspect's turn")
        gate = s.open_gate()
        ends_as_a_dead_letter(s, id, "crash_probe.outgoing", "crash_probe")
        wait(lambda: s.delivered(innocent), "both, once")
        for one in innocent:
            assert len(s.crashes(one)) == 1, s.events(one)
        os.close(gate)


def test_the_count_survives_an_orderly_end():
    with Supervised() as s:
        id = s.poison("kill")
        wait(lambda: s.crashes(id), "the first crash")
        s.ending = True
        if s.stop() < 0:                    # it was its turn again before the end
            s.deaths.append(s.process.returncode)
        s.watcher.join()
        died = len(s.deaths)
        s.ending = False
        s.start(wait=False)                 # it may end before it is ready: the pause is over
        s.up.set()
        s.watcher = threading.Thread(target=s.watch)
        s.watcher.start()
        wait(s.dead, "a dead letter", 120)
        assert died >= 1 and len(s.deaths) == LIMIT, (died, s.deaths)


postbus.run(sys.modules[__name__])
