#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching a mailbox over POP3: conn_popretr, fetchmail and getmail6 from Debian, side by side, from Debian's Dovecot (root).

    bench_popretr.py [MESSAGES [BYTES]]        10,000 messages of 2 KiB; fetchmail delivers by SMTP into a mailbox of the same Postbus, getmail into a Maildir

Each as its manual has it: what was delivered is removed there (fetchmail's and getmail's way of old), one run, one connection, no pauses. KEEP=1: all leave the
messages there. Every program begins with a full mailbox and an empty memory of what it knows; a second run, with nothing new, is measured too. One that is not
through after CAP seconds (900) is ended, and rates are compared instead."""
import os, shutil, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "platform")]
import peers, postbus

MESSAGES = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
BYTES = int(sys.argv[2]) if len(sys.argv) > 2 else 2048
KEEP, CAP = bool(os.environ.get("KEEP")), int(os.environ.get("CAP") or 900)
USER, PASSWORD = "bench", "secret"


def fill(dovecot):
    """Straight into the Maildir: how it came there is not measured. Its index is made for the first who comes, which is none of them."""
    where = os.path.join(dovecot.mail, USER)
    shutil.rmtree(where, ignore_errors=True)
    for sub in ("", "cur", "new", "tmp"):
        os.makedirs(os.path.join(where, sub))
    text = ("x" * 70 + "\n") * max(1, (BYTES - 200) // 71)
    for n in range(MESSAGES):
        with open(os.path.join(where, "new", f"{1700000000 + n}.M{n}P1.bench"), "w") as f:
            f.write(f"Return-Path: <a@remote.example>\nFrom: a@remote.example\nTo: alice@demo.example\nSubject: {n}\nMessage-ID: <{n}@remote.example>\n"
                    f"Date: Mon, 1 Jan 2024 00:00:00 +0000\n\n{text}")
    subprocess.run(["chown", "-R", "vmail-bench:vmail-bench", dovecot.mail], check=True)
    listed = subprocess.run(["curl", "-s", f"pop3://{USER}:{PASSWORD}@127.0.0.1:{dovecot.ports['pop3']}/"], stdout=subprocess.PIPE, check=True).stdout
    assert len(listed.splitlines()) == MESSAGES, listed[-200:]


def left(dovecot):
    return sum(len(os.listdir(os.path.join(dovecot.mail, USER, sub))) for sub in ("new", "cur"))


def until(count, begin, end):
    """All arrived, and the program has ended; or the time is over. One that gives up before is begun again, as cron would; gives how often it was."""
    process, begun = begin(), 1
    while time.monotonic() < end:
        if process and process.poll() is None:
            time.sleep(0.1)
        elif count() >= MESSAGES:
            return begun
        elif process and process.poll():
            process, begun = begin(), begun + 1
        else:
            time.sleep(0.05)        # the last deliveries
    if process and process.poll() is None:
        process.kill()
        process.wait()
    return begun


def timed(name, dovecot, begin, count):
    """Gives its messages a second."""
    fill(dovecot)
    began = time.monotonic()
    begun = until(count, begin, began + CAP)
    took, found = time.monotonic() - began, count()
    there = left(dovecot)
    again = ""
    if found == MESSAGES:
        began = time.monotonic()
        process = begin()
        if process:
            process.wait()
        again = f"   nothing new: {time.monotonic() - began:6.2f} s"
    print(f"{name:10} {took:7.2f} s  {found / took:8.1f} messages/s{again}   {found} arrived, {there} left there" + ("" if found == MESSAGES else f"; ended after {CAP} s") +
          ("" if begun == 1 else f"; it gave up {begun - 1} times and was begun again"), flush=True)
    if count() > MESSAGES or (found < MESSAGES and took < CAP) or (found == MESSAGES and there != (MESSAGES if KEEP else 0)):
        raise SystemExit(f"{name}: {count()} of {MESSAGES} messages arrived, {there} are left there")
    return found / took


def files(box):
    return lambda: sum(len(os.listdir(os.path.join(box, sub))) for sub in ("new", "cur"))


def maildir(where):
    for sub in ("", "new", "cur", "tmp"):
        os.makedirs(os.path.join(where, sub))
    return where


def used(s, address):
    """Messages that came since."""
    def now():
        return s.call("mailbox.show", mailbox=address)["used_messages"]
    before = now()
    return lambda: now() - before


def fetchmail(port, where, s):
    """By SMTP, as it does where nobody says otherwise: into a mailbox of the same Postbus."""
    rc = os.path.join(where, "fetchmailrc")
    with open(rc, "w") as f:
        f.write(f'poll 127.0.0.1 protocol POP3 service {port} {"uidl" if KEEP else ""} user "{USER}" password "{PASSWORD}" is root here {"keep" if KEEP else "nokeep"} '
                f'sslproto "" smtphost "127.0.0.1/{s.ports["smtp"]}" smtpname "bob@demo.example"\n')
    os.chmod(rc, 0o600)
    command = ["fetchmail", "-f", rc, "-i", os.path.join(where, "fm.ids"), "--silent", "--pidfile", os.path.join(where, "fm.pid")]

    class Fetchmail(subprocess.Popen):
        def poll(self):
            return 0 if super().poll() == 1 else super().poll()         # 1: there was no mail; 0: it was fetched
    return lambda: Fetchmail(command, env=dict(os.environ, FETCHMAILHOME=where), stderr=subprocess.DEVNULL), used(s, "bob@demo.example")


def getmail(port, where):
    box, conf = maildir(os.path.join(where, "gm")), os.path.join(where, "getmail")
    os.mkdir(conf)
    with open(os.path.join(conf, "getmailrc"), "w") as f:
        f.write(f"[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = {port}\nusername = {USER}\npassword = {PASSWORD}\n"
                f"[destination]\ntype = Maildir\npath = {box}/\n[options]\nread_all = false\ndelete = {'false' if KEEP else 'true'}\nverbose = 0\n")
    subprocess.run(["chown", "-R", "nobody", where], check=True)
    os.chmod(where, 0o755)
    return lambda: subprocess.Popen(["runuser", "-u", "nobody", "--", "getmail", "--getmaildir", conf, "--quiet"]), files(box)


def ours(port, s):
    s.ctl("retrieve", "add", "alice@demo.example", "127.0.0.1", "--id", "bench", "--port", port, "--tls", "none", "--user", USER, "--paused", "--leave",
          "always" if KEEP else "never", "--password-stdin", stdin=PASSWORD + "\n")
    return lambda: print(s.ctl("retrieve", "run", "bench")["error"], end=""), used(s, "alice@demo.example")


def main():
    where = tempfile.mkdtemp(prefix="pb-bench-popretr-")
    dovecot = peers.Dovecot(password=PASSWORD, stock=True)
    rates = {}
    try:
        port = dovecot.ports["pop3"]
        print(f"{MESSAGES} messages of {BYTES} bytes over POP3 from Dovecot, which {'stay' if KEEP else 'are removed'} there; load before: {os.getloadavg()[0]:.1f}")
        with postbus.Server() as s:
            rates["Postbus"] = timed("Postbus", dovecot, *ours(port, s))
            if shutil.which("fetchmail"):
                rates["fetchmail"] = timed("fetchmail", dovecot, *fetchmail(port, where, s))
        if shutil.which("getmail"):
            rates["getmail6"] = timed("getmail6", dovecot, *getmail(port, where))
        for name in rates:
            if name != "Postbus":
                print(f"Postbus is {rates['Postbus'] / rates[name]:.1f} times as fast as {name}")
        print(f"load behind: {os.getloadavg()[0]:.1f}")
    finally:
        dovecot.stop()
        shutil.rmtree(where, ignore_errors=True)


if __name__ == "__main__":
    main()
