# SPDX-License-Identifier: GPL-3.0-or-later
"""Accept and deliver durably, side by side: Debian's Postfix with Dovecot LMTP, then Postbus, in the same run, as ratios.
Senders pipeline (RFC 2920), as servers do among each other; those of the last rows send one command at a time, and there a server that does nothing stands beside both.
Run as root through `make bench-delivery`. Rates count from the first MAIL to the last delivery; CPU is the servers' own (cpuacct), bytes and flushes are the disk's."""
import os, subprocess, sys, time
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "platform"))
import peers, postbus

LOAD = os.path.join(postbus.BUILD, "tests", "bench", "smtp_load")
CPU = peers.Cpu("postbus-bench")


def disk():
    """(bytes written, flushes) of all disks."""
    rows = [l.split() for l in open("/proc/diskstats")]
    rows = [r for r in rows if r[2][-1].isalpha() or r[2].startswith("nvme") and "p" not in r[2]]
    return sum(int(r[9]) for r in rows) * 512, sum(int(r[18]) for r in rows if len(r) > 18)


class PeerPair:
    name = "Postfix+Dovecot"

    def __init__(self, mailboxes):
        with CPU:
            self.dovecot = peers.Dovecot()
            self.postfix = peers.Postfix(f"virtual_mailbox_domains = demo.example\nvirtual_transport = lmtp:inet:127.0.0.1:{self.dovecot.ports['lmtp']}\n"
                                         "lmtp_destination_concurrency_limit = 20\n")
        self.port = self.postfix.port

    def idle(self):
        return self.postfix.queue_length() == 0

    def stop(self):
        self.postfix.stop()
        self.dovecot.stop()


class Ours:
    name = "Postbus"

    def __init__(self, mailboxes):
        with CPU:
            self.server = postbus.Server(config={"log": {"level": "warning"}})
        for i in range(mailboxes):
            self.server.ctl("mailbox", "create", f"u{i}@demo.example")
        self.port = self.server.ports["smtp"]

    def idle(self):
        lanes = self.server.ctl("queue", "counts")["lanes"]
        return not any(v for lane in lanes for v in lane.values() if isinstance(v, int))

    def stop(self):
        self.server.stop()
        self.server.remove()


class Nothing:
    """Takes everything and keeps nothing: what client, sockets and wake-ups take alone."""
    def __init__(self, mailboxes):
        self.process = subprocess.Popen([os.path.join(postbus.BUILD, "tests", "bench", "smtp_sink")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])

    def idle(self):
        return True

    def stop(self):
        self.process.kill()
        self.process.wait()


def measure(server, senders, messages, size, mailboxes, pipelined):
    os.sync()
    cpu, (written, flushes), start = CPU.used(), disk(), time.monotonic()
    words = [LOAD, str(server.port), str(senders), str(messages), str(size), str(mailboxes), "1000"] + ["pipelined"] * pipelined
    subprocess.run(words, check=True, stdout=subprocess.PIPE)
    while not server.idle():
        time.sleep(0.01)
    seconds = time.monotonic() - start
    cpu = CPU.used() - cpu
    os.sync()
    w, f = disk()
    return {"rate": messages / seconds, "cpu": cpu / messages, "written": (w - written) / messages / size, "flushes": (f - flushes) / messages}


def row(makes, senders, size, mailboxes, pipelined, quick):
    found = []
    for make in makes:
        count = (100 if senders == 1 else 300) if make == PeerPair else (1000 if senders == 1 else 4000)
        if size > 4096:
            count //= 2
        if quick:
            count //= 4
        server = make(mailboxes)
        try:
            measure(server, senders, max(count // 10, 10), size, mailboxes, pipelined)   # warm
            found.append(measure(server, senders, count, size, mailboxes, pipelined))
        finally:
            server.stop()
    a, b = found[:2]
    line = f"{size // 1024:3} KiB   {senders:7} {mailboxes:9} | "
    for r in (a, b):
        line += f"{r['rate']:7.0f} {r['cpu'] * 1e3:7.3f} {r['written']:5.1f} {r['flushes']:8.2f}   | "
    line += f"{b['rate'] / a['rate']:7.1f}   {a['cpu'] / b['cpu']:9.1f}"
    print(line + (f"   {found[2]['rate'] / a['rate']:7.1f}" if len(found) > 2 else ""), flush=True)


def main():
    quick = "--quick" in sys.argv
    print("mail       senders mailboxes |  Postfix+Dovecot                |  Postbus                        | rate ratio  CPU ratio")
    print("                             |   msg/s  ms CPU  B/B   flushes  |   msg/s  ms CPU  B/B   flushes  |")
    for size in (4096, 65536):
        for senders in (1, 8, 32):
            for mailboxes in (1, 100):
                row((PeerPair, Ours), senders, size, mailboxes, True, quick)
    print("One command at a time; the last figure is the rate ratio of a server that does nothing.")
    for size in (4096, 65536):
        for mailboxes in (1, 100):
            row((PeerPair, Ours, Nothing), 1, size, mailboxes, False, quick)


if __name__ == "__main__":
    main()
