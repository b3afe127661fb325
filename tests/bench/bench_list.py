# SPDX-License-Identifier: GPL-3.0-or-later
"""List expansion, from the post to the last delivery, side by side: Debian's mlmmj and Mailman 3, then Postbus, in the same run, as ratios.
Run as root through `make bench-list`; needs the packages mlmmj and mailman3, and says which of them cannot run here. All deliver over SMTP to the same sink, which
answers at once and takes what it is offered. Members are at 20 domains. Rows: one return path for all; one for each member (VERP); a text for each member.
Sizes: MEMBERS="1000 10000" in the environment; ROUNDS=3, of which the best counts for each; WHO="mlmmj Postbus", MODES="VERP" leave out the others."""
import os, pwd, shutil, subprocess, sys, tempfile, time
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "platform"))
import peers, postbus

DOMAINS = 20
LIST = "dev@demo.example"
POST = "From: Poster <poster@demo.example>\r\nTo: dev@demo.example\r\nSubject: a post\r\nMessage-ID: <{0}@demo.example>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\n" + \
    ("A line of text that is about as long as lines of mail are.\r\n" * 60)
SHARED, VERP, PERSONAL = MODES = ("one return path", "VERP", "personalised")


def address(i):
    return f"m{i}@d{i % DOMAINS}.example"


class Sink:
    """smtp_sink of this directory: takes mail and counts who got it."""

    def __init__(self):
        self.process = subprocess.Popen([os.path.join(postbus.BUILD, "tests", "bench", "smtp_sink")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.line()[1])

    def line(self):
        words = self.process.stdout.readline().split()
        assert words, "smtp_sink ended"
        return words

    def say(self, words):
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()

    def count(self):
        """(members served, deliveries to them, most to one, personal deliveries, deliveries before the first of these)"""
        self.say("count")
        return [int(w) for w in self.line()[1:]]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(20)


class Mlmmj:
    name = "mlmmj"
    modes = (SHARED, VERP)
    program = shutil.which("mlmmj-receive")     # it wants to be called with its whole path
    missing = None if program else "mlmmj is not installed"

    def __init__(self, sink, members, mode):
        self.top = tempfile.mkdtemp(prefix="pb-mlmmj-")
        self.dir = os.path.join(self.top, "dev")
        for name in ("incoming", "queue", "queue/discarded", "archive", "text", "subconf", "unsubconf", "bounce", "control", "moderation", "subscribers.d", "digesters.d",
                     "nomailsubs.d", "requeue"):
            os.makedirs(os.path.join(self.dir, name))
        control = {"listaddress": LIST, "owner": "owner@demo.example", "relayhost": "127.0.0.1", "smtpport": str(sink.port), "noarchive": ""}
        if mode == SHARED:
            control.update(verp="", maxverprecips="100")
        for name, text in control.items():
            open(os.path.join(self.dir, "control", name), "w").write(text + "\n" if text else "")
        open(os.path.join(self.dir, "index"), "w").close()
        files = {}
        for i in range(members):
            files.setdefault(address(i)[0], []).append(address(i))
        for letter, lines in files.items():
            open(os.path.join(self.dir, "subscribers.d", letter), "w").write("\n".join(lines) + "\n")

    def post(self, n):
        # what an alias does
        front = f"Return-Path: <poster@demo.example>\nDelivered-To: {LIST}\n"
        subprocess.run([self.program, "-L", self.dir], input=(front + POST.format(n).replace("\r\n", "\n")).encode(), check=True)

    def stop(self):
        while subprocess.run(["pgrep", "-f", self.dir], stdout=subprocess.DEVNULL).returncode == 0:
            time.sleep(0.05)
        shutil.rmtree(self.top, ignore_errors=True)


class Mailman:
    name = "Mailman 3"
    modes = MODES
    program = next((p for p in ("/usr/lib/mailman3/bin/mailman", "/usr/bin/mailman") if os.path.exists(p)), None)
    missing = None if program else "mailman3 is not installed"

    def __init__(self, sink, members, mode):
        self.dir = tempfile.mkdtemp(prefix="pb-mailman-")
        os.chmod(self.dir, 0o755)
        self.lmtp, rest = postbus.free_port(), postbus.free_port()
        self.user = pwd.getpwnam("list")
        self.config = os.path.join(self.dir, "mailman.cfg")
        open(self.config, "w").write(f"""[mailman]
site_owner: owner@demo.example
layout: bench
[paths.bench]
var_dir: {self.dir}/var
bin_dir: {os.path.dirname(self.program)}
[mta]
incoming: mailman.mta.null.NullMTA
outgoing: mailman.mta.deliver.deliver
lmtp_host: 127.0.0.1
lmtp_port: {self.lmtp}
smtp_host: 127.0.0.1
smtp_port: {sink.port}
max_recipients: 100
max_sessions_per_connection: 0
verp_personalized_deliveries: {'yes' if mode != SHARED else 'no'}
verp_delivery_interval: {0 if mode == SHARED else 1}
[webservice]
hostname: 127.0.0.1
port: {rest}
admin_user: bench
admin_pass: bench
[runner.in]
sleep_time: 0.05s
[runner.pipeline]
sleep_time: 0.05s
[runner.out]
sleep_time: 0.05s
[runner.lmtp]
sleep_time: 0.05s
""")
        shutil.chown(self.dir, self.user.pw_uid, self.user.pw_gid)
        self.run("create", LIST)
        names = os.path.join(self.dir, "members")
        open(names, "w").write("".join(address(i) + "\n" for i in range(members)))
        script = os.path.join(self.dir, "bench_fill.py")
        open(script, "w").write(f"""
from mailman.interfaces.action import Action
from mailman.interfaces.archiver import ArchivePolicy
from mailman.interfaces.member import MemberRole
from mailman.interfaces.mailinglist import Personalization
from mailman.interfaces.usermanager import IUserManager
from zope.component import getUtility
from mailman.database.transaction import transaction
def bench_fill(mlist):
    with transaction():
        mlist.default_nonmember_action = Action.accept
        mlist.archive_policy = ArchivePolicy.never
        mlist.digests_enabled = False
        mlist.personalize = Personalization.{'individual' if mode == PERSONAL else 'none'}
        users = getUtility(IUserManager)
        for line in open({names!r}):
            mlist.subscribe(users.create_address(line.strip()), MemberRole.member, send_welcome_message=False)
""")
        self.run("shell", "-l", LIST, "-r", "bench_fill")
        self.run("start")
        peers.wait_port(self.lmtp, 120)

    def command(self, words):
        return ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups", self.program, "-C", self.config, *words]

    def run(self, *words):
        with tempfile.TemporaryFile("w+") as said:      # what it starts would keep a pipe open
            done = subprocess.run(self.command(words), env=dict(os.environ, PYTHONPATH=self.dir, HOME=self.dir), cwd=self.dir, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
            said.seek(0)
            text = said.read()
        if done.returncode or "Traceback" in text:
            raise OSError(f"mailman {' '.join(words)}: {text[-1500:]}")

    def post(self, n):
        import smtplib
        with smtplib.LMTP("127.0.0.1", self.lmtp) as s:
            s.sendmail("poster@demo.example", [LIST], POST.format(n))

    def stop(self):
        try:
            self.run("stop")
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)


class Ours:
    name = "Postbus"
    modes = MODES
    missing = None

    def __init__(self, sink, members, mode):
        self.server = postbus.Server(config={"log": {"level": "warning"}, "plugins": {"conn_smtp": {"config": {"smart_host": f"[127.0.0.1]:{sink.port}", "smart_host_tls": "none"}}}})
        self.server.call("list.create", list=LIST, posting="anyone")
        self.server.call("list.set", list=LIST, setting="verp", value=["0" if mode == SHARED else "1"])
        if mode == PERSONAL:
            self.server.call("list.set", list=LIST, setting="personal", value=["yes"])
            self.server.call("list.set", list=LIST, setting="footer_text", value=["for {address}"])
        for first in range(0, members, 1000):
            self.server.call("list.member.add", list=LIST, addresses=[address(i) for i in range(first, min(first + 1000, members))])

    def post(self, n):
        self.server.send(POST.format(n), sender="poster@demo.example", to=(LIST,))

    def stop(self):
        try:
            self.server.stop()
        finally:
            self.server.remove()


def measure(make, sink, members, mode, rounds):
    """(seconds, transactions) of the best round."""
    server, best = make(sink, members, mode), None
    try:
        for n in range(rounds):
            sink.say(f"expect {members}")
            start = time.monotonic()
            server.post(n)
            word, end, deliveries, transactions, _ = sink.line()
            assert word == "served", word
            assert int(deliveries) == members, f"{server.name} made {deliveries} deliveries to {members} members"
            row = (float(end) - start, int(transactions))
            best = min(best or row, row)
    finally:
        server.stop()
    return best


def main():
    who, only = os.environ.get("WHO", "mlmmj Mailman Postbus").split(), os.environ.get("MODES")
    sizes = [int(w) for w in os.environ.get("MEMBERS", "1000 10000").split()]
    rounds, sink = int(os.environ.get("ROUNDS", "3")), Sink()
    print("members  mode              who         seconds  members/s  transactions   Postbus is faster by")
    for members in sizes:
        for mode in MODES:
            rows = []
            for make in (m for m in (Mlmmj, Mailman, Ours) if m.name.split()[0] in who and (not only or mode in only.split(","))):
                if make.missing or mode not in make.modes:
                    print(f"{members:7}  {mode:16}  {make.name:10}  {make.missing or 'has nothing like it'}", flush=True)
                    continue
                try:
                    rows.append((make.name, *measure(make, sink, members, mode, rounds)))
                except (OSError, AssertionError) as e:
                    if make is Ours:
                        raise
                    make.missing = f"cannot be started here: {e}"
                    print(f"{members:7}  {mode:16}  {make.name:10}  {make.missing}", flush=True)
            ours = rows[-1][1] if rows and rows[-1][0] == Ours.name else None
            for name, seconds, transactions in rows:
                ratio = "" if name == Ours.name or not ours else f"{seconds / ours:8.1f} times"
                print(f"{members:7}  {mode:16}  {name:10}  {seconds:7.3f}  {members / seconds:9.0f}  {transactions:12}   {ratio}", flush=True)
    sink.stop()


if __name__ == "__main__":
    main()
