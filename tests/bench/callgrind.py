# SPDX-License-Identifier: GPL-3.0-or-later
"""Instructions for each message on the ways of accepting and fetching, counted by valgrind's callgrind and set beside those in docs/benchmarks.md.
Run through `make bench-callgrind`. The counts are of the whole daemon, TLS of the fetches included, so they differ by some per cent from run to run."""
import glob, json, os, re, socket, subprocess, sys, tempfile
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "platform"))
import postbus

MESSAGES = 200
LOAD = os.path.join(postbus.BUILD, "tests", "bench", "smtp_load")
DOC = os.path.join(postbus.TOP, "docs", "benchmarks.md")


def is_empty(server):
    """Asked at the socket itself: postbusctl has every method described to it first, which would be counted too."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.path.join(server.home, "control.sock"))
        s.sendall(b'{"method": "queue.counts", "params": {}}\n')
        lanes = json.loads(s.makefile().readline())["result"]["lanes"]
    return not any(v for lane in lanes for v in lane.values() if isinstance(v, int))


def load(server, size, count):
    subprocess.run([LOAD, str(server.ports["smtp"]), "1", str(count), str(size), "1", "1000"], check=True, stdout=subprocess.PIPE)
    postbus.wait(lambda: is_empty(server), "an empty queue", 120)


def control(server, *words):
    subprocess.run(["callgrind_control", *words, str(server.process.pid)], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def count(server, out, work):
    """Instructions that the daemon executes during work."""
    control(server, "--zero")
    work()
    before = set(glob.glob(out + "*"))
    control(server, "--dump")
    fresh = postbus.wait(lambda: set(glob.glob(out + "*")) - before, "a dump of callgrind", 60)
    found = [re.search(r"^(?:summary|totals): (\d+)", open(name).read(), re.M) for name in fresh]
    return sum(int(m.group(1)) for m in found if m)


def known():
    """What docs/benchmarks.md says: name to instructions."""
    section = open(DOC).read().split("## Instructions", 1)[1].split("\n## ", 1)[0]
    return {m.group(1): int(m.group(2).replace(",", "")) for m in re.finditer(r"^\| ([^|]+?) \| ([\d,]+) \|", section, re.M)}


def measure(server, out):
    imap = lambda words: lambda: box.fetch("1:*", words)
    for size in (4096, 65536):
        load(server, size, 20)
        yield f"accept and deliver, {size // 1024} KiB", count(server, out, lambda: load(server, size, MESSAGES)) / MESSAGES
    box = server.imap("u0@demo.example")
    n = int(box.select("INBOX")[1][0])
    for words in ("(FLAGS)", "(ENVELOPE)", "(BODYSTRUCTURE)", "(RFC822.SIZE BODY.PEEK[HEADER.FIELDS (FROM SUBJECT)])", "(BODY.PEEK[])"):
        imap(words)()
        yield f"FETCH {words[1:-1]}", count(server, out, imap(words)) / n


def main():
    with tempfile.TemporaryDirectory() as where:
        out = os.path.join(where, "callgrind.")
        wrap = [os.path.join(postbus.BUILD, "libtool"), "--mode=execute", "valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}%p"]
        server = postbus.Server(config={"log": {"level": "warning"}}, wrap=wrap)
        try:
            server.ctl("mailbox", "create", "u0@demo.example")
            server.ctl("mailbox", "password", "u0@demo.example", stdin=postbus.PASSWORD + "\n")
            was = known()
            print(f"{'':<60} {'now':>12} {'recorded':>12}")
            for name, now in measure(server, out):
                old = was.get(name)
                print(f"{name:<60} {now:>12,.0f} {old or 0:>12,}" + (f" {now / old - 1:+8.1%}" if old else ""), flush=True)
        finally:
            server.stop()
            server.remove()


if __name__ == "__main__":
    main()
