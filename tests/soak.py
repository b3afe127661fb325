# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail for as long as SOAK_SECONDS says (600): senders, readers by IMAP and POP3, idle sessions, kill -9 now and then; never part of make check.

At the end every acknowledged message is in its mailbox exactly once, the store verifies, and the daemon's memory did not grow from the middle on.
"""
import os, random, re, sys, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "platform"))
import postbus

SECONDS = int(os.environ.get("SOAK_SECONDS", "600"))
SENDERS = 4


class Soak:
    def __init__(self, server):
        self.server, self.end = server, time.monotonic() + SECONDS
        self.acknowledged, self.lock, self.counts = set(), threading.Lock(), {}

    def going(self):
        return time.monotonic() < self.end

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def sender(self, k):
        draw, n = random.Random(k), 0
        while self.going():
            n += 1
            mark = f"soak-{k}-{n}"
            try:
                self.server.send(postbus.message(mark, "x" * 70 + "\r\n" + "text\r\n" * draw.randrange(2000)))
                with self.lock:
                    self.acknowledged.add(mark)
                self.count("sent")
            except Exception:
                self.count("send failed")
                time.sleep(0.1)

    def reader(self, k):
        draw = random.Random(100 + k)
        while self.going():
            try:
                i = self.server.imap()
                i.select("INBOX")
                i.search(None, "TEXT", f"soak-{draw.randrange(SENDERS)}-{draw.randrange(500)}")
                i.fetch("1:*", "(UID FLAGS ENVELOPE)")
                i.store("1:5", "+FLAGS", f"(k{draw.randrange(20)})")
                i.logout()
                p = self.server.pop3()
                p.uidl()
                p.top(1, 5)
                p.quit()
                self.count("read")
            except Exception:
                self.count("read failed")
                time.sleep(0.2)

    def killer(self):
        while self.going():
            time.sleep(min(60, SECONDS / 5))
            if self.going():
                self.server.kill()
                self.server.start()
                self.count("killed")

    def run(self):
        threads = [threading.Thread(target=self.sender, args=(k,)) for k in range(SENDERS)] + [threading.Thread(target=self.reader, args=(k,)) for k in range(2)]
        if "--no-kill" not in sys.argv:
            threads.append(threading.Thread(target=self.killer))
        sizes = []
        for t in threads:
            t.start()
        while self.going():
            time.sleep(5)
            try:
                sizes.append(int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{self.server.process.pid}/status").read()).group(1)))
            except (OSError, AttributeError):
                pass
        for t in threads:
            t.join()
        return sizes


def main():
    server = postbus.Server()
    failed = []
    try:
        soak = Soak(server)
        sizes = soak.run()
        print(soak.counts, f"memory {sizes[0] // 1024} to {max(sizes) // 1024} MiB" if sizes else "")
        postbus.wait(lambda: not server.ctl("queue", "list").get("items"), "an empty queue", 120)
        have = {}
        for body in server.messages():
            mark = re.search(rb"Subject: (soak-\d+-\d+)", body).group(1).decode()
            have[mark] = have.get(mark, 0) + 1
        lost = sorted(soak.acknowledged - set(have))
        doubled = sorted(m for m, n in have.items() if n > 1)
        if lost:
            failed.append(f"{len(lost)} acknowledged messages are not there: {lost[:5]}")
        if doubled:
            failed.append(f"{len(doubled)} messages are there more than once: {doubled[:5]}")
        if server.stop():
            failed.append("the daemon did not end with 0")
        code, text = server.ctl("store", "verify", check=False, json_out=False)
        if code:
            failed.append(f"store verify: {text}")
    finally:
        if server.process.poll() is None:
            server.kill()
        server.remove()
    for line in failed:
        print("FAILED " + line)
    print(f"{0 if failed else 1} passed, {len(failed)} failed, 0 skipped")
    sys.exit(1 if failed else 0)


main()
