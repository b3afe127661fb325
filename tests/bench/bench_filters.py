# SPDX-License-Identifier: GPL-3.0-or-later
"""What delivery costs with everything on: the same load on two servers of the same kind, turn by turn. One is bare; the other has filters of the server, of the post
office and of every mailbox, a quota on every mailbox, and an autoresponder in every one. Prints the rate and the CPU of the second as parts of the first.
Run as root through `make bench-filters`."""
import os, statistics, sys
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "platform"))
import bench_delivery

MAILBOXES, MESSAGES, SIZE, SENDERS, ROUNDS = 100, 2000, 4096, 8, 5
SCRIPT = """require ["fileinto", "imap4flags", "relational", "comparator-i;ascii-numeric", "variables"];
if header :contains "subject" ["lottery", "casino", "invoice overdue"] { fileinto "Junk"; stop; }
if address :domain :is "from" ["lists.example.org", "news.example.net"] { fileinto "Archive"; stop; }
if header :matches "subject" "*[*]*" { set "tag" "${2}"; addflag "tagged"; }
if size :over 2M { addflag "large"; }
"""


def dress(server):
    path = os.path.join(server.home, "bench.sieve")
    with open(path, "w") as f:
        f.write(SCRIPT)
    for k in range(10):
        server.ctl("filter", "add", f"global {k}", "--when", f"subject contains nothing-like-this-{k}", "--when", f"from is *@bad-{k}.example", "--match", "any", "--do", "delete")
        server.ctl("filter", "add", f"office {k}", "--postoffice", "demo", "--when", f"header X-None contains {k}", "--do", "move Junk")
    server.ctl("policy", "set", "junk_score", "50")
    for i in range(MAILBOXES):
        address = f"u{i}@demo.example"
        server.ctl("script", "put", "own", path, "--activate", "--mailbox", address)
        server.ctl("mailbox", "set", address, "--quota-bytes", "10G", "--quota-messages", "1000000")
        server.ctl("policy", "set", "autoreply", '{"enabled": true, "subject": "Away", "text": "I am away.", "period_seconds": 604800}', "--mailbox", address)


class Dressed(bench_delivery.Ours):
    def idle(self):
        """But for the answers, which go to nowhere and wait."""
        lanes = self.server.ctl("queue", "counts")["lanes"]
        return not any(v for lane in lanes if lane["lane"] != "conn_smtp.outgoing" for v in lane.values() if isinstance(v, int))


def main():
    bare, full = bench_delivery.Ours(MAILBOXES), Dressed(MAILBOXES)
    try:
        dress(full.server)
        rates, cpus = [], []
        for k in range(ROUNDS + 1):
            rows = [bench_delivery.measure(s, SENDERS, MESSAGES, SIZE, MAILBOXES, 100) for s in ((bare, full) if k % 2 else (full, bare))]
            b, f = rows if k % 2 else rows[::-1]
            if k:           # the first round warms up, and sends the answers
                rates.append(f["rate"] / b["rate"])
                cpus.append(f["cpu"] / b["cpu"])
                print(f"round {k}: bare {b['rate']:.0f}/s {1e6 * b['cpu']:.0f} us, all on {f['rate']:.0f}/s {1e6 * f['cpu']:.0f} us", flush=True)
        print(f"all on: {100 * statistics.median(rates):.0f}% of the bare rate ({100 * min(rates):.0f}-{100 * max(rates):.0f}), {statistics.median(cpus):.2f} times the CPU")
    finally:
        bare.stop()
        full.stop()


if __name__ == "__main__":
    main()
