# SPDX-License-Identifier: GPL-3.0-or-later
"""The second half of ./quickstart: home, daemon, round trip. python3 quickstart.py PREFIX yes|no"""
import imaplib, json, os, poplib, re, secrets, shutil, signal, smtplib, socket, ssl, subprocess, sys, tempfile, time

prefix, once = sys.argv[1], sys.argv[2] == "yes"
ctl, daemon = os.path.join(prefix, "bin/postbusctl"), os.path.join(prefix, "sbin/postbusd")


def free_base():
    """A port base whose eight ports are free."""
    for base in [2000] + [secrets.randbelow(400) * 100 + 10000 for _ in range(50)]:
        try:
            for port in (25, 110, 143, 465, 587, 993, 995, 4190):
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("127.0.0.1", base + port))
            return base
        except OSError:
            continue
    raise SystemExit("quickstart: no free ports found")


def fail(text):
    print(f"quickstart: {text}", file=sys.stderr)
    raise SystemExit(1)


def wait_ready(process, log):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if re.search(r"event=ready ", open(log, errors="replace").read()):
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    fail(f"postbusd did not come up:\n{open(log, errors='replace').read()}")


def wait_for(what, look):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    fail(f"{what} did not arrive within 30 s")


home = os.path.join(tempfile.mkdtemp(prefix="postbus-"), "home")
base, password = free_base(), secrets.token_urlsafe(9)
subprocess.run([ctl, "init", home, "--hostname", "mail.demo.example", "--port-base", str(base), "--demo", "--password", password], check=True,
               stdout=subprocess.DEVNULL)
log = os.path.join(home, "log")
process = subprocess.Popen([daemon, "-c", f"{home}/postbus.json"], stderr=open(log, "wb"), stdin=subprocess.DEVNULL)
code = 1
try:
    wait_ready(process, log)
    tls = ssl.create_default_context(cafile=f"{home}/tls/cert.pem")
    mark = secrets.token_hex(8)

    with smtplib.SMTP("localhost", base + 587, timeout=30) as s:
        s.starttls(context=tls)
        s.login("alice@demo.example", password)
        s.sendmail("alice@demo.example", ["bob@demo.example"],
                   f"From: Alice <alice@demo.example>\r\nTo: Bob <bob@demo.example>\r\nSubject: Hello {mark}\r\n\r\nThe first message of this Postbus.\r\n")
    print(f"   sent by submission (STARTTLS, AUTH) on port {base + 587}")

    def by_pop3():
        p = poplib.POP3("localhost", base + 110, timeout=30)
        try:
            p.stls(context=tls)
            p.user("bob@demo.example")
            p.pass_(password)
            for n in range(1, p.stat()[0] + 1):
                if any(mark.encode() in line for line in p.retr(n)[1]):
                    return True
        finally:
            p.quit()

    def by_imap():
        i = imaplib.IMAP4_SSL("localhost", base + 993, ssl_context=tls)
        try:
            i.login("bob@demo.example", password)
            i.select("INBOX", readonly=True)
            return i.search(None, "SUBJECT", mark)[1][0]
        finally:
            i.logout()

    wait_for("the message", by_pop3)
    print(f"   read by POP3 (STLS) on port {base + 110}")
    wait_for("the message", by_imap)
    print(f"   read by IMAP (TLS) on port {base + 993}")
    print(f"""
Postbus runs. Home: {home}
   SMTP       localhost:{base + 25}
   submission localhost:{base + 587} (STARTTLS), localhost:{base + 465} (TLS)
   POP3       localhost:{base + 110} (STLS), localhost:{base + 995} (TLS)
   IMAP       localhost:{base + 143} (STARTTLS), localhost:{base + 993} (TLS)
   filters    localhost:{base + 4190} (ManageSieve, STARTTLS)
   accounts   alice@demo.example and bob@demo.example, password {password}
   manage it  {ctl} -c {home}/postbus.json help
   its log    {log}""", flush=True)
    code = 0
    if not once:
        print("\nCtrl-C ends it.", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        code = process.wait()
except KeyboardInterrupt:
    pass
except (OSError, smtplib.SMTPException, imaplib.IMAP4.error, poplib.error_proto) as e:
    print(f"quickstart: {e}\n{open(log, errors='replace').read()[-3000:]}", file=sys.stderr)
finally:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    if process.wait(60) and code == 0:
        print(f"quickstart: postbusd ended with {process.returncode}", file=sys.stderr)
        code = 1
    if once or code:
        shutil.rmtree(os.path.dirname(home), ignore_errors=True)
sys.exit(code)
