# SPDX-License-Identifier: GPL-3.0-or-later
"""Idle IMAP sessions: what each costs the daemon in memory, in the clear and under TLS, and what Dovecot pays (of fewer of them).
Run through `make bench-idle`. Counted is the growth of the proportional set size (PSS) of all of a server's processes; the kernel's own sockets are no part of it."""
import glob, os, resource, shutil, socket, subprocess, sys, tempfile, time
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "platform"))
import peers, postbus

SESSIONS = int(os.environ.get("SESSIONS", 10000))
DOVECOT_SESSIONS = min(SESSIONS, 300)


def descendants(pid):
    found = [pid]
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        try:
            for child in open(path).read().split():
                found += descendants(int(child))
        except OSError:
            pass
    return found


def pss(pid):
    """Bytes of a process and all its descendants."""
    total = 0
    for one in descendants(pid):
        try:
            for line in open(f"/proc/{one}/smaps_rollup"):
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            pass
    return total


def read_until(s, wanted, buffer=b""):
    while wanted not in buffer:
        data = s.recv(8192)
        assert data, buffer
        buffer += data
    return buffer


def idle(port, user, password, context):
    s = socket.create_connection(("127.0.0.1", port), 60)
    if context:
        s = context.wrap_socket(s)
    read_until(s, b"* OK")
    s.sendall(f'a LOGIN {user} "{password}"\r\n'.encode())
    read_until(s, b"a OK")
    s.sendall(b"b SELECT INBOX\r\n")
    read_until(s, b"b OK")
    s.sendall(b"c IDLE\r\n")
    read_until(s, b"+ ")
    return s


def settle(pid):
    """PSS once it has stopped to change."""
    last = -1
    for _ in range(100):
        time.sleep(0.3)
        now = pss(pid)
        if abs(now - last) < 65536:
            return now
        last = now
    return last


def measure(pid, port, users, password, context, count):
    for i in range(20):     # what is made once is made before it is counted
        idle(port, users[i % len(users)], password, context).close()
    before = settle(pid)
    sockets = [idle(port, users[i % len(users)], password, context) for i in range(count)]
    after = settle(pid)
    for s in sockets:
        s.sendall(b"DONE\r\n")
    for s in sockets:
        read_until(s, b"c OK")
        s.close()
    return (after - before) / count / 1024


def main():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4 * SESSIONS + 1000) if most != resource.RLIM_INFINITY else 4 * SESSIONS + 1000,) * 2)
    context = postbus.no_check()
    users = [f"u{i}@demo.example" for i in range(10)]
    config = {"plugins": {"svc_imap": {"config": {"cleartext_login": True}}}, "log": {"level": "warning"}, "limits": {"connections": SESSIONS + 1000}}
    with postbus.Server(config=config, quick_passwords=False) as server:
        for user in users:
            server.ctl("mailbox", "create", user)
            server.ctl("mailbox", "password", user, stdin=postbus.PASSWORD + "\n")
        clear = measure(server.process.pid, server.ports["imap"], users, postbus.PASSWORD, None, SESSIONS)
        print(f"Postbus, {SESSIONS} sessions in IDLE, in the clear: {clear:8.2f} KiB each (target 1)", flush=True)
        tls = measure(server.process.pid, server.ports["imaps"], users, postbus.PASSWORD, context, SESSIONS)
        print(f"Postbus, {SESSIONS} sessions in IDLE, under TLS:    {tls:8.2f} KiB each (target 24)", flush=True)
    pair = certificate()
    dovecot = peers.Dovecot(cert=pair)
    try:
        pid = dovecot.process.pid
        theirs = measure(pid, dovecot.ports["imap"], users, "secret", None, DOVECOT_SESSIONS)
        print(f"Dovecot, {DOVECOT_SESSIONS} sessions in IDLE, in the clear: {theirs:8.2f} KiB each: {theirs / max(clear, 0.01):.0f} times Postbus", flush=True)
        theirs = measure(pid, dovecot.ports["imaps"], users, "secret", context, DOVECOT_SESSIONS)
        print(f"Dovecot, {DOVECOT_SESSIONS} sessions in IDLE, under TLS:    {theirs:8.2f} KiB each: {theirs / max(tls, 0.01):.0f} times Postbus", flush=True)
    finally:
        dovecot.stop()
        shutil.rmtree(os.path.dirname(pair[0]), ignore_errors=True)


def certificate():
    where = tempfile.mkdtemp(prefix="pb-cert-")
    pair = os.path.join(where, "cert.pem"), os.path.join(where, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=peer.example", "-days", "2", "-keyout", pair[1], "-out", pair[0]],
                   check=True, stderr=subprocess.DEVNULL)
    return pair


main()
