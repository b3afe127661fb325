# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's Postfix and Dovecot in directories of their own, for benchmarks and as remote peers. Needs root (their daemons change users)."""
import os, pwd, shutil, signal, socket, subprocess, tempfile, time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"nothing listens on {port}")


class Cpu:
    """CPU seconds of the processes that began while it was entered, and of their children (cgroup v1, cpuacct)."""
    ROOT = "/sys/fs/cgroup/cpuacct"

    def __init__(self, name):
        self.group = f"{self.ROOT}/{name}"

    def __enter__(self):
        os.makedirs(self.group, exist_ok=True)
        open(f"{self.group}/tasks", "w").write(str(os.getpid()))
        return self

    def __exit__(self, *exc):
        open(f"{self.ROOT}/tasks", "w").write(str(os.getpid()))

    def remove(self):
        try:
            os.rmdir(self.group)
        except OSError:
            pass    # somebody is in it still

    def used(self):
        return int(open(f"{self.group}/cpuacct.usage").read()) / 1e9


class Dovecot:
    """IMAP, POP3 and LMTP over Maildir or mdbox; every user of any name has the password.
    stock: processes, flushes and the cache of passwords as Debian installs them (a process for each login), else as a busy site would set them."""

    def __init__(self, password="secret", format="maildir", cert=None, stock=False):
        self.dir = tempfile.mkdtemp(prefix="pb-dovecot-")
        os.chmod(self.dir, 0o755)
        self.ports = {name: free_port() for name in ("imap", "pop3", "lmtp")}
        if cert:
            self.ports.update(imaps=free_port(), pop3s=free_port())
        user = "vmail-bench"
        try:
            pwd.getpwnam(user)
        except KeyError:
            subprocess.run(["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", user], check=True)
        self.uid = pwd.getpwnam(user).pw_uid
        self.mail = os.path.join(self.dir, "mail")
        os.mkdir(self.mail)
        shutil.chown(self.mail, user, user)
        ssl = f"ssl = yes\nssl_cert = <{cert[0]}\nssl_key = <{cert[1]}\n" if cert else "ssl = no\n"

        busy = "  service_count = 0\n  process_min_avail = 2\n"

        def listen(name, tls):
            return "\n".join(f"  inet_listener {n} {{\n    address = 127.0.0.1\n    port = {self.ports.get(n, 0)}\n    {'ssl = yes' if n.endswith('s') else ''}\n  }}" for n in ([name, name + "s"]))
        open(os.path.join(self.dir, "dovecot.conf"), "w").write(f"""
base_dir = {self.dir}/run
state_dir = {self.dir}/state
log_path = {self.dir}/log
protocols = imap pop3 lmtp
listen = 127.0.0.1
{ssl}
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_cache_size = {0 if stock else '10M'}
mail_location = {format}:{self.mail}/%n
mail_uid = {user}
mail_gid = {user}
first_valid_uid = 1
mail_fsync = {'optimized' if stock else 'always'}
mail_max_userip_connections = 20000
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={user} home={self.mail}/%n allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
{listen('imap', cert)}
{'' if stock else busy + '  client_limit = 20000'}
}}
service pop3-login {{
{listen('pop3', cert)}
{'' if stock else busy}
}}
service imap {{
  process_limit = 12000
  service_count = {1 if stock else 100}
}}
service anvil {{
  client_limit = 40000
}}
service auth {{
  client_limit = 40000
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {self.ports['lmtp']}
  }}
  process_min_avail = 4
}}
protocol imap {{
  mail_max_userip_connections = 20000
}}
""")
        self.start()

    def start(self):
        self.process = subprocess.Popen(["dovecot", "-F", "-c", f"{self.dir}/dovecot.conf"], stderr=subprocess.DEVNULL)
        try:
            for port in self.ports.values():
                wait_port(port)
        except AssertionError as e:
            raise AssertionError(f"{e}: {open(self.dir + '/log').read()[-2000:]}")

    def kill(self):
        """SIGKILL to all of it, the master first, so that it starts none anew."""
        children = open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split()
        self.process.kill()
        self.process.wait()
        for pid in children:
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        for pid in children:
            while os.path.exists(f"/proc/{pid}") and open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z":
                time.sleep(0.01)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        shutil.rmtree(self.dir, ignore_errors=True)


class Postfix:
    """An instance of its own. extra: lines of main.cf. smtp port in .port"""

    def __init__(self, extra="", master_extra=""):
        self.dir = tempfile.mkdtemp(prefix="pb-postfix-")
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        conf, queue, data = (os.path.join(self.dir, d) for d in ("etc", "spool", "data"))
        for d in (conf, queue, data):
            os.mkdir(d)
        shutil.chown(data, "postfix", "postfix")
        open(os.path.join(conf, "main.cf"), "w").write(f"""
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
myhostname = peer.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_peername_lookup = no
maillog_file = {self.dir}/log
maillog_file_prefixes = {self.dir}
smtpd_delay_open_until_valid_rcpt = yes
{extra}
""")
        master = open("/etc/postfix/master.cf.proto").read() if os.path.exists("/etc/postfix/master.cf.proto") else open("/usr/share/postfix/master.cf.dist").read()
        lines = []
        for line in master.splitlines():
            if line.startswith("smtp ") and " inet" in line:
                line = f"127.0.0.1:{self.port} inet n - n - - smtpd"
            words = line.split()
            if len(words) >= 8 and not line.startswith((" ", "#")):
                words[4] = "n"      # no chroot
                line = " ".join(words)
            lines.append(line)
        open(os.path.join(conf, "master.cf"), "w").write("\n".join(lines) + "\n" + master_extra)
        self.conf = conf
        subprocess.run(["postfix", "-c", conf, "start"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_port(self.port)

    def queue_length(self):
        return sum(len(files) for name in ("incoming", "active", "deferred", "maildrop") for _, _, files in os.walk(os.path.join(self.dir, "spool", name)))

    def log(self):
        return open(os.path.join(self.dir, "log"), errors="replace").read()

    def stop(self):
        subprocess.run(["postfix", "-c", self.conf, "stop"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.dir, ignore_errors=True)
