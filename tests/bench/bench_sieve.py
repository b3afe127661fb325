# SPDX-License-Identifier: GPL-3.0-or-later
"""Sieve beside Debian's Pigeonhole, and what 200 rules from words cost: processor time for each message, so that other work of the machine counts little.

Both sides read the same messages of 8 KiB from files and run the same script, compiled once, in one process: Pigeonhole's sieve-filter over a Maildir, try_sieve over the directory. A run
over one message is taken off a run over many, so that starting and compiling do not count. "with reading" is the whole way from the file to the outcome; "script alone" is that less the
same with a script that only keeps. Rounds go turn by turn, the best of each counts. MESSAGES and ROUNDS in the environment."""
import os, re, shutil, subprocess, sys, tempfile

TOP = os.environ.get("srcdir") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("builddir") or "."
TRY = os.path.join(BUILD, "sieve", "tests", "try_sieve")
WORDS = os.path.join(BUILD, "plugins", "agent_filter", "tests", "try_words")
MESSAGES, ROUNDS = int(os.environ.get("MESSAGES") or 2000), int(os.environ.get("ROUNDS") or 5)
ENVELOPE = ["carl@good.example", "ann@demo.example"]

# Conditions of rules; none holds for the message, so that all rules are looked at.
PLAIN = ["subject contains offer{0}", "from is *@bad{0}.example", "to is list{0}@demo.example", "header X-Campaign{0} exists", "to-or-cc contains team{0}", "sender ends with @news{0}.example",
         "header X-Mailer is Bulk{0}*", "size over {0}M", "subject begins with [list{0}]", "recipient is person{0}@demo.example", "attachment name is *.e{0}", "cc ends with @cc{0}.example"]
OWN = ["client address is 10.{0}.0.0/16", "spf is fail", "has attachment", "any header contains spam-{0}", "spam score over {0}"]
DEEDS = ["move Junk", "copy Archive", "stop", "redirect other@demo.example", "reject no"]
OWN_DEEDS = ["mark as spam", "quarantine", "set priority low"]


def rules(conditions, deeds, n=200):
    """Every second rule has two conditions, all of which have to hold."""
    lines = []
    for i in range(n):
        said = [conditions[(i + k * 5) % len(conditions)].format(i + 1) for k in range(1 + i % 2)]
        lines.append("\t".join(["all", *said, "=>", deeds[i % len(deeds)]]) + "\n")
    done = subprocess.run([WORDS], input="".join(lines), stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0
    return done.stdout


def message(size=8192):
    head = "".join(f"Received: from host{i}.example (host{i}.example [192.0.2.{i}])\r\n\tby mail.demo.example with ESMTPS id abc{i}\r\n\tfor <ann@demo.example>; Wed, 4 Mar 2026 05:06:{i:02d} +0100\r\n"
                   for i in range(4))
    head += "DKIM-Signature: v=1; a=rsa-sha256; d=good.example; s=s1; h=from:to:subject;\r\n\tb=" + "A" * 240 + "\r\n"
    head += ("From: =?utf-8?q?J=C3=BCrgen?= Carl <carl@good.example>\r\nTo: ann@demo.example, bob@demo.example\r\nCc: \"Team, A\" <team@demo.example>\r\n"
             "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= and minutes of the meeting\r\nDate: Wed, 4 Mar 2026 05:06:07 +0100\r\nMessage-ID: <1@good.example>\r\nX-Mailer: Mutt\r\n"
             "MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n")
    body = "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + "The minutes of our meeting follow, line by line, with all that was said.\r\n" * 40 + "--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    line = "<p>The minutes of our meeting follow, line by line.</p>\r\n"
    return head + body + line * ((size - len(head) - len(body)) // len(line)) + "--b--\r\n"


SCRIPTS = {
    "keep": "keep;\n",
    "three rules": 'require ["fileinto"];\nif header :contains "subject" "lottery" { fileinto "Junk"; }\nif address :is "from" "boss@demo.example" { fileinto "Boss"; }\n'
                   'if anyof (header :matches "X-Mailer" "Bulk*", size :over 10M) { discard; }\n',
    "variables": 'require ["variables", "fileinto"];\nif header :matches "subject" "* minutes of *" { set :lower "a" "${2}"; }\nif string :is "${a}" "the rest" { fileinto "Rest"; }\n',
    "regex": 'require ["regex", "fileinto"];\nif header :regex "subject" "^\\\\[(list|bulk)-[0-9]+\\\\]" { fileinto "Lists"; }\nif header :regex "received" "from .*\\\\.invalid" { fileinto "Junk"; }\n',
    "body": 'require ["fileinto", "body"];\n' + "".join(f'if body :text :contains "lottery {i}" {{ fileinto "Junk"; }}\n' for i in range(5)),
}


def cpu(command):
    """Processor seconds of a program that must succeed."""
    child = os.posix_spawn(shutil.which(command[0]) or command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)])
    _, status, used = os.wait4(child, 0)
    assert status == 0, command
    return used.ru_utime + used.ru_stime


class Pigeonhole:
    def __init__(self, where):
        self.where = where

    def home(self, n):
        return os.path.join(self.where, f"home{n}")

    def fill(self, n, text):
        for folder in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(self.home(n), "mail", folder))
        for i in range(n):
            with open(os.path.join(self.home(n), "mail", "cur", f"1700000000.M{i}.host:2,"), "w", newline="") as f:
                f.write(text)
        with open(os.path.join(self.where, f"dovecot{n}.conf"), "w") as f:
            f.write(f"mail_location = maildir:{self.home(n)}/mail\nmail_home = {self.home(n)}\nmail_uid = nobody\nmail_gid = nogroup\nfirst_valid_uid = 1\nlog_path = /dev/null\nssl = no\n")

    def run(self, n, script):
        return cpu(["runuser", "-u", "nobody", "--", "env", "USER=nobody", f"HOME={self.home(n)}", "sieve-filter", "-c", os.path.join(self.where, f"dovecot{n}.conf"), "-e", script, "INBOX"])


def ours(where, n, script):
    return cpu([TRY, script, os.path.join(where, "m.eml"), *ENVELOPE, "--each", os.path.join(where, f"home{n}", "mail", "cur")])


def own_rules(where):
    """The aim of its own: 200 rules with all kinds of words, in one process on one message, whose facts are at hand as they are in a store."""
    script = os.path.join(where, "own.sieve")
    with open(script, "w") as f:
        f.write(rules(PLAIN + OWN, DEEDS + OWN_DEEDS))
    best = 1e9
    for _ in range(ROUNDS):
        said = subprocess.run([TRY, script, os.path.join(where, "m.eml"), *ENVELOPE, "--times", "5000"], stdout=subprocess.PIPE, text=True).stdout
        best = min(best, float(re.search(r"each [\d.]+ us, ([\d.]+) us", said).group(1)))
    print(f"200 rules from words, 8 KiB message: {best:.1f} us of the processor for each (aim: under 100)")


def compare(where):
    peer = Pigeonhole(where)
    peer.fill(1, message())
    peer.fill(MESSAGES, message())
    scripts = dict(SCRIPTS, **{"200 rules": rules(PLAIN, DEEDS)})
    for name, text in scripts.items():
        with open(os.path.join(where, name.replace(" ", "-") + ".sieve"), "w") as f:
            f.write(text)
    subprocess.run(["chown", "-R", "nobody", where], check=True)
    os.chmod(where, 0o755)
    best = {}
    for _ in range(ROUNDS):
        for name in scripts:
            path = os.path.join(where, name.replace(" ", "-") + ".sieve")
            for side, run in (("theirs", peer.run), ("ours", lambda n, script: ours(where, n, script))):
                for n in (1, MESSAGES):
                    key = (side, name, n)
                    best[key] = min(best.get(key, 1e9), run(n, path))
    each = {(side, name): (best[side, name, MESSAGES] - best[side, name, 1]) / (MESSAGES - 1) * 1e6 for side in ("theirs", "ours") for name in scripts}
    print(f"{'script':12} {'with reading: theirs':>21} {'ours':>8} {'times':>6}   {'script alone: theirs':>21} {'ours':>8} {'times':>6}")
    for name in scripts:
        whole = [each[side, name] for side in ("theirs", "ours")]
        alone = [each[side, name] - each[side, "keep"] for side in ("theirs", "ours")]
        print(f"{name:12} {whole[0]:18.1f} us {whole[1]:5.1f} us {whole[0] / whole[1]:6.1f}", end="")
        print("" if name == "keep" else f"   {alone[0]:18.1f} us {alone[1]:5.1f} us {alone[0] / max(alone[1], 0.1):6.1f}")


def main():
    where = tempfile.mkdtemp(prefix="pb-sieve-")
    try:
        with open(os.path.join(where, "m.eml"), "w", newline="") as f:
            f.write(message())
        own_rules(where)
        if shutil.which("sieve-filter") and os.getuid() == 0:
            compare(where)
        else:
            print("no sieve-filter (Debian's dovecot-sieve), or not root: nothing to compare with")
    finally:
        shutil.rmtree(where)


main()
