# SPDX-License-Identifier: GPL-3.0-or-later
"""A Postbus in a temporary home for platform tests: made, started, used through its real ports, stopped.

A test is a Python file whose test_* functions each take a Server; run() runs them all and ends with "N passed, N failed".
Programs are found through POSTBUS_BIN (a bin directory beside sbin), else in the build tree.
"""
import atexit, json, os, random, re, shutil, signal, socket, subprocess, sys, tempfile, time, traceback
import homes

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.environ.get("srcdir") or os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("builddir") or os.path.join(TOP, "build")
SHARED = os.environ.get("POSTBUS_SHARED") or os.path.join(os.path.dirname(TOP), "shared")
PASSWORD = "correct horse"
# The sanitizer runs of tests/local.mk set it: how many times longer than usual something may take before it counts as never coming.
PATIENCE = float(os.environ.get("POSTBUS_PATIENCE") or 1)
SANITIZER = os.environ.get("POSTBUS_SANITIZER", "")
# For tests whose mail leaves the house and is looked at in the queue: nobody listens there, and no name is looked up.
NOWHERE = {"plugins": {"conn_smtp": {"config": {"smart_host": "127.0.0.1:1"}}}}
# What libtool leaves at the top of the build tree are scripts that set this and run the program; they take longer than postbusctl does.
if not os.environ.get("POSTBUS_BIN"):
    os.environ["LD_LIBRARY_PATH"] = os.path.join(BUILD, ".libs")
# A sanitizer's program goes on after most reports, so each log is looked through when its daemon has ended.
REPORT = re.compile(r"^.*(?:WARNING: ThreadSanitizer|ERROR: (?:Address|Leak)Sanitizer|: runtime error: ).*$", re.M)


def program(name):
    """The path of an installed or freshly built program."""
    root = os.environ.get("POSTBUS_BIN")
    places = [os.path.join(root, name), os.path.join(os.path.dirname(root), "sbin", name)] if root else [os.path.join(BUILD, ".libs", name)]
    for place in places + [os.path.join(BUILD, name)]:
        if os.access(place, os.X_OK):
            return place
    raise SystemExit(f"{name} is not built: looked in {places or BUILD}")


def tool():
    """postbusctl for what tests have it do, and what of the environment is its own. What a sanitizer says of it is looked for where all of it is called; elsewhere
    another build's (POSTBUS_TOOLS, its .libs) does the same in a tenth of the time."""
    if os.path.basename(sys.argv[0]) == "test_admin.py":
        return program("postbusctl"), {}
    if not os.environ.get("POSTBUS_TOOLS"):
        return program("postbusctl"), {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    # libtool's script gives the daemon that postbusctl starts (--offline) its own libraries
    return os.path.join(os.environ["POSTBUS_TOOLS"], "postbusctl"), {"LD_LIBRARY_PATH": os.environ["POSTBUS_TOOLS"], "POSTBUSD": os.path.join(BUILD, "postbusd")}


class Skip(Exception):
    """Raised by a test that cannot run here; says why."""


left_out = []


def leave_out(what):
    """For a test that goes on without one of its assertions: it counts as skipped beside the test itself."""
    left_out.append(what)
    print(f"skip one assertion: {what}", flush=True)


def with_lines(frame, copies):
    """A confined daemon cannot read its own symbols: function and line of a frame that has none. copies: objects of plugins by the names of what was loaded."""
    path = copies.get(frame.group(1)) or os.path.join(BUILD, ".libs", frame.group(1))
    if not os.path.exists(path) or not shutil.which("addr2line"):
        return frame.group(0)
    said = subprocess.run(["addr2line", "-fpsi", "-e", path, hex(int(frame.group(2), 16) - 1)], stdout=subprocess.PIPE, text=True).stdout
    return frame.group(0) if "??" in said else said.strip().replace("\n", " ")


def no_report(text, where):
    """An AssertionError with what a sanitizer found, if it found something."""
    found = REPORT.search(text)
    if found:
        lines = [line for line in text[found.start():].splitlines() if not line.startswith("time=")]
        copies = {number: path for path, number in re.findall(r"event=plugin\.loaded .*object=(\S+) copy=/proc/\d+/fd/(\d+)", text)}
        report = re.sub(r"<null> <null> \((\S+)\+(0x[0-9a-f]+)\)", lambda frame: with_lines(frame, copies), "\n".join(lines)[:20000])
        raise AssertionError(f"{where}: {len(REPORT.findall(text))} sanitizer reports:\n{report}")


class Server:
    """One home and its daemon. config: keys laid over postbus.json (a dict, merged deeply). Ports are any free ones. quick_passwords: hashes that cost nearly
    nothing; with the usual ones a tenth of all that the tests take would be yescrypt."""

    def __init__(self, config=None, demo=True, start=True, home=None, wrap=(), quick_passwords=True):
        self.own_home = home is None
        self.quick_passwords = quick_passwords
        self.strangers = False          # True: plugins of the test, which may do wrong
        self.home = home or tempfile.mkdtemp(prefix="pb-")
        self.file = os.path.join(self.home, "postbus.json")
        self.process, self.ports, self.wrap, self.looked_through = None, {}, list(wrap), 0
        self.log_path = os.path.join(self.home, "log")
        self.control = None             # call()'s connection
        self.env = dict(os.environ, POSTBUSD=program("postbusd"))
        if not os.environ.get("POSTBUS_BIN"):
            self.env["POSTBUS_PLUGIN_PATH"] = plugin_dir()
        if not os.path.exists(self.file):
            self.init(config or {}, demo)
        if start:
            self.start()

    def make_home(self, where, demo):
        def must(*words, stdin=None):
            done = subprocess.run([program("postbusctl"), *words], env=self.env, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode:
                raise AssertionError(f"{' '.join(words)} failed: {done.stdout}")

        must("init", where, "--hostname", "mail.demo.example", "--port-base", "1", *(["--demo", "--password", PASSWORD] if demo else []))
        if self.quick_passwords:
            file = os.path.join(where, "postbus.json")
            merge_file(file, {"plugins": {"agent_directory": {"config": {"hash_cost": 1}}}})
            for user in ("alice", "bob") if demo else ():
                must("-c", file, "mailbox", "password", user + "@demo.example", stdin=PASSWORD + "\n")

    def init(self, config, demo):
        if os.environ.get("POSTBUS_BIN"):
            self.make_home(self.home, demo)
        else:
            kind = ("demo" if demo else "bare") + ("" if self.quick_passwords else "-usual")
            built = [os.path.join(where, name) for where in (os.path.join(BUILD, ".libs"), plugin_dir()) for name in os.listdir(where) if re.search(r"^postbus|\.so$|\.json$", name)]
            homes.copy(os.path.join(BUILD, "homes"), kind, [os.path.abspath(__file__)] + built, lambda where: self.make_home(where, demo), self.home)
        doc = json.load(open(self.file))
        doc["port_base"] = 0
        doc.setdefault("plugins", {})
        for plugin, listeners in listeners_of_manifests().items():
            listen = doc["plugins"].setdefault(plugin, {}).setdefault("listen", {})
            for name in listeners:
                listen.setdefault(name, {})["port"] = 0
        merge(doc, config)
        with open(self.file, "w") as f:
            json.dump(doc, f, indent=1)

    def start(self, wait=True):
        self.control = None
        log = open(self.log_path, "ab")
        begin = os.path.getsize(self.log_path)
        self.process = subprocess.Popen(self.wrap + [program("postbusd"), "-c", self.file], env=self.env, stderr=log, stdout=log, stdin=subprocess.DEVNULL)
        if wait:
            self.wait_ready(begin)
        return self

    def wait_ready(self, begin=0, seconds=120):
        end = time.monotonic() + seconds * PATIENCE
        while time.monotonic() < end:
            with open(self.log_path, "rb") as log:
                log.seek(begin)
                text = log.read().decode(errors="replace")
            found = re.search(r"event=ready (.*)\n", text)
            if found:
                self.ports = {k: int(v) for k, v in re.findall(r"([\w-]+)=\S*?:(\d+)(?=\s|$)", found.group(1))}
                return
            if self.process.poll() is not None:
                self.look_through_log()
                raise AssertionError(f"postbusd ended with {self.process.returncode}:\n{text[-3000:]}")
            time.sleep(0.01)
        raise AssertionError(f"postbusd is not ready after {seconds} s:\n{text[-3000:]}")

    def log(self):
        return open(self.log_path, errors="replace").read()

    def wait_log(self, pattern, seconds=60):
        """Waits until the log has a line that matches; gives the match."""
        return wait(lambda: re.search(pattern, self.log()), f"log line {pattern!r}", seconds)

    def stop(self):
        """SIGTERM; gives the exit code."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(120 * PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"postbusd did not end within {120 * PATIENCE} s of SIGTERM")
        self.look_through_log()
        return self.process.returncode if self.process else None

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.look_through_log()

    def look_through_log(self):
        if os.path.exists(self.log_path):
            with open(self.log_path, errors="replace") as log:
                log.seek(self.looked_through)
                text = log.read()
                self.looked_through = log.tell()
            wrong = re.search(r"event=result\.wrong .*", text)
            if wrong and not self.strangers:
                raise AssertionError(f"a method gave what its manifest does not say: {wrong.group(0)}")
            no_report(text, "postbusd")

    def states(self):
        """Of the plugins, by their names."""
        return {p["name"]: p["state"] for p in self.ctl("plugin", "list")["plugins"]}

    def ctl(self, *words, stdin=None, check=True, json_out=True):
        """postbusctl --json ...; gives the parsed answer. check=False: (exit code, answer or text)."""
        path, its_own = tool()
        command = [path, "-c", self.file] + (["--json"] if json_out else []) + [str(w) for w in words]
        done = subprocess.run(command, env=dict(self.env, **its_own), input=stdin if stdin is not None else "", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        no_report(done.stderr, f"postbusctl {' '.join(map(str, words))}")
        try:
            answer = json.loads(done.stdout) if json_out and done.stdout.strip() else done.stdout
        except ValueError:
            answer = done.stdout
        if not check:
            return done.returncode, answer if answer else done.stderr
        if done.returncode:
            raise AssertionError(f"postbusctl {' '.join(map(str, words))}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return answer

    def call(self, method, **params):
        """A method through the control socket, without a postbusctl for each: for what is asked many times. Gives its result."""
        if not self.control:
            peer = socket.socket(socket.AF_UNIX)
            peer.connect(os.path.join(self.home, "control.sock"))
            self.control = peer.makefile("rwb")
            peer.close()                # the file keeps it open
        self.control.write(json.dumps({"method": method, "params": params}).encode() + b"\n")
        self.control.flush()
        answer = json.loads(self.control.readline())
        if "error" in answer:
            raise AssertionError(f"{method} {params}: {answer['error']}")
        return answer["result"]

    def remove(self):
        if self.own_home:
            shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        try:
            self.stop()
        finally:
            if exc[0] is None or not os.environ.get("POSTBUS_KEEP"):
                self.remove()

    # ---- mail ----

    def smtp(self, listener="smtp"):
        import smtplib
        return smtplib.SMTP("127.0.0.1", self.ports[listener], local_hostname="client.example", timeout=120 * PATIENCE)

    def send(self, message, sender="someone@remote.example", to=("alice@demo.example",)):
        """By SMTP to the MX port, from outside; gives the queue id."""
        with self.smtp() as s:
            s.ehlo()
            code, text = s.mail(sender)
            assert code == 250, (code, text)
            for one in to:
                code, text = s.rcpt(one)
                assert code == 250, (code, text)
            code, text = s.data(message if isinstance(message, bytes) else message.encode())
            assert code == 250, (code, text)
            return re.search(rb"queued as (\w+)", text).group(1).decode()

    def submit(self, message, user="alice@demo.example", to=("bob@demo.example",), sender=None):
        """By submission with STARTTLS and AUTH; gives the queue id."""
        with self.smtp("submission") as s:
            s.starttls(context=no_check())
            s.login(user, PASSWORD)
            s.ehlo_or_helo_if_needed()
            code, text = s.mail(sender or user)
            assert code == 250, (code, text)
            for one in to:
                code, text = s.rcpt(one)
                assert code == 250, (code, text)
            code, text = s.data(message if isinstance(message, bytes) else message.encode())
            assert code == 250, (code, text)
            return re.search(rb"queued as (\w+)", text).group(1).decode()

    def imap(self, user="alice@demo.example", password=PASSWORD):
        import imaplib
        i = imaplib.IMAP4_SSL("127.0.0.1", self.ports["imaps"], ssl_context=no_check())
        if user:
            i.login(user, password)
        return i

    def pop3(self, user="alice@demo.example", password=PASSWORD):
        import poplib
        p = poplib.POP3_SSL("127.0.0.1", self.ports["pop3s"], context=no_check(), timeout=120 * PATIENCE)
        if user:
            p.user(user)
            p.pass_(password)
        return p

    def messages(self, user="alice@demo.example", folder="INBOX"):
        """All message bodies in a folder, as bytes; none where it is not made yet."""
        i = self.imap(user)
        try:
            kind, data = i.select(f'"{folder}"', readonly=True)
            if b"[NONEXISTENT]" in data[0]:
                return []
            assert kind == "OK", data
            if data[0] == b"0":
                return []
            kind, rows = i.fetch("1:*", "(BODY.PEEK[])")
            assert kind == "OK", rows
            return [row[1] for row in rows if isinstance(row, tuple)]
        finally:
            i.logout()

    def wait_settled(self):
        """Waits until whatever is still in the queue is on its way out of the house."""
        wait(lambda: all(item["lane"] == "conn_smtp.outgoing" for item in self.call("queue.list")["items"]), "the queue is worked off")

    def wait_messages(self, n, user="alice@demo.example", folder="INBOX", seconds=60):
        return wait(lambda: (lambda m: m if len(m) >= n else None)(self.messages(user, folder)), f"{n} messages of {user}", seconds)


def path_with(room, probe):
    """The plugin path, with a plugin before it that plugins/ROOM/tests has for tests alone."""
    made = os.path.join(BUILD, ".libs", probe + ".so")
    if not os.path.exists(made):
        raise SystemExit(f"{made} is not built: make check builds it")
    where = tempfile.mkdtemp(prefix="pb-probe-")
    atexit.register(shutil.rmtree, where, True)
    shutil.copy(made, where)
    shutil.copy(os.path.join(TOP, "plugins", room, "tests", probe + ".json"), where)
    root = os.environ.get("POSTBUS_BIN")
    return [where, os.path.join(os.path.dirname(root), "lib", "postbus", "plugins") if root else plugin_dir()]


def plugin_dir():
    """Build tree: manifests and objects side by side in one directory (a plugin is found by its manifest, the object lies beside it)."""
    where = os.path.join(BUILD, "plugin-dir")
    os.makedirs(where, exist_ok=True)
    for name in os.listdir(os.path.join(TOP, "plugins")):
        manifest = os.path.join(TOP, "plugins", name, name + ".json")
        made = os.path.join(BUILD, ".libs", name + ".so")
        if not (os.path.exists(manifest) and os.path.exists(made)):
            continue
        for source in (manifest, made):
            target = os.path.join(where, os.path.basename(source))
            if os.path.exists(target) and os.stat(target).st_mtime_ns == os.stat(source).st_mtime_ns:
                continue
            part = f"{target}.{os.getpid()}"
            shutil.copy2(source, part)
            os.rename(part, target)
    return where


def listeners_of_manifests():
    found = {}
    for name in os.listdir(os.path.join(TOP, "plugins")):
        path = os.path.join(TOP, "plugins", name, name + ".json")
        if os.path.exists(path):
            found[name] = [l["name"] for l in json.load(open(path)).get("listens", [])]
    return {k: v for k, v in found.items() if v}


def merge(into, over):
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def merge_file(path, over):
    doc = json.load(open(path))
    merge(doc, over)
    with open(path, "w") as f:
        json.dump(doc, f, indent=1)


def no_check():
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)       # the default one reads all authorities of the system, which takes longer than a handshake
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def wait(condition, what, seconds=60):
    """Polls until condition() is true and gives its value; an AssertionError names what never came. A question that costs much is asked less often, for it holds
    up the answer. The last one is asked when the time is over: this process may have been the one that did not get on."""
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        value = condition()
        if value:
            return value
        if asked >= end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(min(max(0.02, time.monotonic() - asked), 0.5))


def free_port(span=1):
    """A port with span - 1 free ones behind it, none of those that the system gives to who asks for any (ip_local_port_range): other tests ask for many."""
    while True:
        port = random.randrange(15000, 32000)
        try:
            taken = []
            for k in range(span):
                s = socket.socket()
                taken.append(s)
                s.bind(("127.0.0.1", port + k))
            return port
        except (OSError, OverflowError):
            pass
        finally:
            for s in taken:
                s.close()


def message(subject="hello", text="Hello.\r\n", sender="someone@remote.example", to="alice@demo.example"):
    return (f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <{time.time_ns()}@remote.example>\r\n"
            f"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\n{text}").encode()


def run(module, make=Server):
    """Runs every test_* function of a module with one shared Server (or none if it takes no parameter); ends the program."""
    passed = failed = skipped = 0
    server = None
    only = sys.argv[1:]
    tests = [(n, f) for n, f in vars(module).items() if n.startswith("test_") and (not only or n in only)]
    for name, test in tests:
        try:
            if test.__code__.co_argcount:
                server = server or make()
                test(server)
            else:
                test()
            passed += 1
            print(f"ok {name}", flush=True)
        except Skip as why:
            skipped += 1
            print(f"skip {name}: {why}", flush=True)
        except BaseException as e:
            failed += 1
            print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
            if isinstance(e, KeyboardInterrupt):
                break
    code = 0
    if server:
        try:
            code = server.stop()
            if code:
                failed += 1
                print(f"FAILED: postbusd ended with {code}")
        except AssertionError as e:
            failed += 1
            print(f"FAILED: {e}")
        if failed:
            print(server.log()[-6000:])
        server.remove()
    print(f"{passed} passed, {failed} failed, {skipped + len(left_out)} skipped")
    sys.exit(1 if failed else 77 if skipped and not passed else 0)
