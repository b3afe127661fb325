# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the bytes go that are written for a message: of the whole device, of the process, and to which files. On a file system of its own, so that nobody
else's writes are among them, and a machine that does other work meanwhile changes little. Run as root through `make bench-bytes`.
Words choose rows: bench_bytes.py 1 8x100 files (senders, senders x mailboxes; the table of files by strace). SIZE, MESSAGES, JOURNAL=1 (ext4 with one) and
BODY=base64 (mail of which nothing repeats) choose more."""
import collections, glob, os, re, shutil, subprocess, sys, tempfile, time
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "platform"))
import postbus

LOAD = os.path.join(postbus.BUILD, "tests", "bench", "smtp_load")
SIZE = int(os.environ.get("SIZE", 4096))
MESSAGES = int(os.environ.get("MESSAGES", 0))
KINDS = (("journal", r"/store/journal$"), ("segments", r"/seg/.*\.seg$"), ("facts", r"/seg/.*\.facts$"), ("log of the index", r"/db/log\.\d+$"),
         ("pages of the index", r"/db/(rows|refs)\.db$"), ("timeline", r"/timeline/"), ("the daemon's log", r"/log$"))
CALL = re.compile(r"(\w+)\(\d+<([^>]*)>.* = (\d+)")


class Disk:
    """An ext4 in a file, mounted."""

    def __init__(self):
        self.at = tempfile.mkdtemp(prefix="pb-bytes-")
        self.image, self.dir = os.path.join(self.at, "image"), os.path.join(self.at, "mnt")
        os.mkdir(self.dir)
        with open(self.image, "wb") as f:
            f.truncate(1 << 30)
        subprocess.run(["mkfs.ext4", "-q"] + ([] if os.environ.get("JOURNAL") else ["-O", "^has_journal"]) + [self.image], check=True)
        subprocess.run(["mount", "-o", "loop", self.image, self.dir], check=True)
        self.device = re.search(rf"^(\S+) {self.dir} ", open("/proc/mounts").read(), re.M).group(1)

    def counts(self):
        """(bytes written, flushes), all that is dirty written before."""
        subprocess.run(["sync", "-f", self.dir], check=True)
        row = open(f"/sys/block/{os.path.basename(self.device)}/stat").read().split()
        return int(row[6]) * 512, int(row[15])

    def remove(self):
        subprocess.run(["umount", self.dir], check=True)
        shutil.rmtree(self.at)


def process_bytes(pid):
    return int(re.search(r"^write_bytes: (\d+)", open(f"/proc/{pid}/io").read(), re.M).group(1))


def load(server, senders, messages, mailboxes):
    subprocess.run([LOAD, str(server.ports["smtp"]), str(senders), str(messages), str(SIZE), str(mailboxes), "1000"], check=True, stdout=subprocess.PIPE)
    postbus.wait(lambda: not any(v for lane in server.ctl("queue", "counts")["lanes"] for v in lane.values() if isinstance(v, int)), "an empty queue", 60)


def kind_of(path):
    return next((k for k, where in KINDS if re.search(where, path)), "other: " + os.path.basename(path) if path.startswith("/") else None)


def by_file(traces, messages):
    bytes_, calls = collections.Counter(), collections.Counter()
    for trace in traces:
        for line in open(trace, errors="replace"):
            m = CALL.match(line)
            kind = m and kind_of(m.group(2))
            if kind:
                bytes_[kind] += int(m.group(3))
                calls[kind] += 1
    for kind, n in bytes_.most_common(12):
        print(f"    {kind:20} {n / messages:8.0f} bytes a message, {n / messages / SIZE:5.2f} of a byte of mail, in {calls[kind] / messages:5.2f} writes", flush=True)
    print(f"    {'together':20} {sum(bytes_.values()) / messages:8.0f} bytes a message, {sum(bytes_.values()) / messages / SIZE:5.2f} of a byte of mail")


def row(senders, mailboxes, files):
    disk, server = Disk(), None
    messages = MESSAGES or 6000      # the journal goes around more than once, and what is brought home then is among it
    home = os.path.join(disk.dir, "home")
    try:
        server = postbus.Server(config={"log": {"level": "warning"}}, home=home)
        for i in range(mailboxes):
            server.ctl("mailbox", "create", f"u{i}@demo.example")
        load(server, senders, messages // 10, mailboxes)
        tracer, trace = None, os.path.join(disk.at, "trace")
        if files:
            tracer = subprocess.Popen(["strace", "-ff", "-y", "-q", "-s", "0", "-e", "trace=write,pwrite64,writev,pwritev", "-e", "signal=none", "-o", trace,
                                       "-p", str(server.process.pid)])
            postbus.wait(lambda: "TracerPid:\t0" not in open(f"/proc/{server.process.pid}/status").read(), "strace", 10)
            time.sleep(0.5)
        (written, flushes), own = disk.counts(), process_bytes(server.process.pid)
        load(server, senders, messages, mailboxes)
        w, f = disk.counts()
        own = process_bytes(server.process.pid) - own
        print(f"{SIZE // 1024:3} KiB  {senders:3} senders {mailboxes:4} mailboxes: {(w - written) / messages / SIZE:5.2f} bytes for a byte of mail "
              f"(the process {own / messages / SIZE:5.2f}), {(f - flushes) / messages:5.2f} flushes for a message", flush=True)
        if tracer:
            tracer.terminate()
            tracer.wait()
            by_file(glob.glob(trace + ".*"), messages)
    finally:
        if server:
            server.stop()
        disk.remove()


def main():
    words = [w for w in sys.argv[1:] if w != "files"] or ["1", "1x100", "8", "8x100", "32", "32x100"]
    for word in words:
        senders, _, mailboxes = word.partition("x")
        row(int(senders), int(mailboxes or 1), "files" in sys.argv)


if __name__ == "__main__":
    main()
