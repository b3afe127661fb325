# SPDX-License-Identifier: GPL-3.0-or-later
"""Postfix as the other server, in both directions. Needs Debian's postfix package and root (its master changes users); skipped elsewhere."""
import glob, os, pwd, re, shutil, smtplib, socket, subprocess, sys, tempfile, textwrap
import postbus
from postbus import Server, Skip, message, wait

ME = "alice@demo.example"
state = {}

MAIN = """
compatibility_level = 3.6
myhostname = postfix.remote.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
queue_directory = {dir}/queue
data_directory = {dir}/data
maillog_file = {dir}/maillog
maillog_file_prefixes = {dir}
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = remote.example
virtual_mailbox_base = {dir}/mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
transport_maps = inline:{{ demo.example=smtp:[127.0.0.1]:{port} }}
smtpd_tls_cert_file = {home}/tls/cert.pem
smtpd_tls_key_file = {home}/tls/key.pem
smtpd_tls_security_level = may
smtp_tls_security_level = {tls}
smtpd_recipient_restrictions = check_recipient_access inline:{{ refused@remote.example=REJECT }}, permit_mynetworks, reject
smtputf8_enable = yes
# Longer than a program of Postfix may hold a message after its failure: one that is still held when its time comes is left for minutes.
minimal_backoff_time = 5s
maximal_backoff_time = 6s
fast_flush_domains =
queue_run_delay = 1s
"""

MASTER = """
{port}    inet n - n - - smtpd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
proxymap  unix - - n - - proxymap
smtp      unix - - n - - smtp
error     unix - - n - - error
retry     unix - - n - - error
virtual   unix - n n - - virtual
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


def make():
    state["port"] = postbus.free_port()
    config = {"routes": {"remote.example": f"127.0.0.1:{state['port']}"}, "retry_ladder": ["2s"]}
    server = Server(config={"plugins": {"conn_smtp": {"config": config}}})
    start_postfix(server)
    return server


def start_postfix(server):
    if not shutil.which("postfix", path="/usr/sbin:/usr/bin") or os.geteuid():
        return
    owner = pwd.getpwnam("postfix")
    where = state["dir"] = tempfile.mkdtemp(prefix="pb-postfix-")
    os.chmod(where, 0o755)
    for name, user in (("etc", None), ("queue", None), ("data", owner), ("mail", owner)):
        os.mkdir(os.path.join(where, name), 0o755)
        if user:
            os.chown(os.path.join(where, name), user.pw_uid, user.pw_gid)
    values = dict(dir=where, uid=owner.pw_uid, gid=owner.pw_gid, port=server.ports["smtp"], home=server.home, tls="encrypt")
    with open(os.path.join(where, "etc", "main.cf"), "w") as f:
        f.write(MAIN.format(**values))
    with open(os.path.join(where, "etc", "master.cf"), "w") as f:
        f.write(textwrap.dedent(MASTER.format(port=state["port"])).lstrip())
    done = postfix("start")
    if done.returncode:
        raise AssertionError(f"postfix does not start: {done.stdout}")
    wait(answers, f"postfix at {state['port']}")


def postfix(word):
    return subprocess.run(["/usr/sbin/postfix", "-c", os.path.join(state["dir"], "etc"), word], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)


def answers():
    try:
        with socket.create_connection(("127.0.0.1", state["port"]), 5) as s:
            return s.recv(100).startswith(b"220")
    except OSError:
        return False


def needs_postfix():
    if "dir" not in state:
        raise Skip("Debian's postfix, and root, are needed")


def mail_at_postfix(user, what):
    def look():
        for path in glob.glob(os.path.join(state["dir"], "mail", "all", "new", "*")):     # what is in tmp is not whole yet
            text = open(path, "rb").read()
            if what in text:
                return text
    return wait(look, f"{what!r} at postfix\n{maillog()[-2000:]}", 120)


def maillog():
    path = os.path.join(state["dir"], "maillog")
    return open(path, errors="replace").read() if os.path.exists(path) else ""


def test_to_postfix(s):
    needs_postfix()
    id = s.submit(message("to postfix", "line\r\n.\r\n..\r\nlast\r\n", sender=ME, to="u@remote.example"), to=["u@remote.example"])
    text = mail_at_postfix("u", b"to postfix")
    assert b"with ESMTPS id" in text and b"\nline\n.\n..\nlast\n" in text, text
    wait(lambda: "delivered" in s.ctl("trace", id, json_out=False), "the settlement")


def test_many_to_postfix(s):
    needs_postfix()
    to = [f"many{i}@remote.example" for i in range(150)]
    s.submit(message("many to postfix", sender=ME, to=to[0]), to=to)
    wait(lambda: len(re.findall(r"to=<many\d+@remote.example>, relay=virtual.*status=sent", maillog())) >= 150, "150 deliveries", 120)


def test_a_refusal_of_postfix(s):
    needs_postfix()
    s.submit(message("refused", sender=ME, to="refused@remote.example"), to=["refused@remote.example"])
    wait(lambda: any(b"554 5.7.1" in m and b"refused@remote.example" in m for m in s.messages(ME)), "the report")


def send_through_postfix(to, text, sender="remote@remote.example", options=()):
    with smtplib.SMTP("127.0.0.1", state["port"], local_hostname="client.example", timeout=120) as c:
        c.sendmail(sender, to, text, options)


def test_from_postfix(s):
    needs_postfix()
    body = "text\r\n.\r\n" + "\u00fcber\r\n"
    send_through_postfix([ME, "bob@demo.example"], message("from postfix", body), options=["BODY=8BITMIME"])
    for user in (ME, "bob@demo.example"):
        found = wait(lambda: next((m for m in s.messages(user) if b"from postfix" in m), None), f"mail of {user}\n{maillog()[-2000:]}", 120)
        assert b"with ESMTPS" in found and b"by postfix.remote.example" in found and found.endswith(body.encode()), found


def test_many_from_postfix(s):
    needs_postfix()
    for i in range(30):
        send_through_postfix([ME], message(f"burst {i:02}", "x" * 70 + "\r\n" * 10))
    wait(lambda: len({m for m in re.findall(rb"Subject: (burst \d\d)", b"".join(s.messages(ME)))}) == 30, f"30 messages\n{maillog()[-2000:]}", 120)
    assert sum(b"Subject: burst" in m for m in s.messages(ME)) == 30


def test_postfix_hears_who_is_unknown(s):
    needs_postfix()
    send_through_postfix(["nobody@demo.example"], message("to nobody"))
    text = mail_at_postfix("remote", b"Final-Recipient: rfc822; nobody@demo.example")
    assert b"550 5.1.1 no such user here" in text, text


def test_dsn_from_end_to_end(s):
    needs_postfix()
    with s.smtp("submission") as c:
        c.starttls(context=postbus.no_check())
        c.login(ME, postbus.PASSWORD)
        c.sendmail(ME, ["dsn@remote.example"], message("dsn", sender=ME), ["ENVID=through+2Bpostfix"], ["NOTIFY=SUCCESS"])
    # Postfix delivered it and reports that to us
    found = wait(lambda: next((m for m in s.messages(ME) if b"through+postfix" in m), None), f"the report\n{maillog()[-2000:]}", 120)
    assert b"Action: delivered" in found and b"Reporting-MTA: dns; postfix.remote.example" in found, found


def submit(s, to, text, options=(), rcpt=()):
    with s.smtp("submission") as c:
        c.starttls(context=postbus.no_check())
        c.login(ME, postbus.PASSWORD)
        c.sendmail(ME, to, text, options, rcpt)


def mine(s, what, user=ME):
    """The one message of a user that has these bytes."""
    found = wait(lambda: [m for m in s.messages(user) if what in m], f"{what!r} of {user}\n{maillog()[-2000:]}", 120)
    assert len(found) == 1, found
    return found[0]


def test_eight_bits_reach_postfix_as_they_are(s):
    needs_postfix()
    body = "".join(f"Stra\u00dfe {i} \u2603\r\n" for i in range(300))
    submit(s, ["eight@remote.example"], message("eight bits", body, sender=ME, to="eight@remote.example"), ["BODY=8BITMIME"])
    text = mail_at_postfix("eight", b"Subject: eight bits")
    assert text.endswith(body.replace("\r\n", "\n").encode()) and b"Content-Transfer-Encoding" not in text, text[:1000]


def test_utf8_addresses_both_ways(s):
    needs_postfix()
    there, here = "j\u00f6rg@remote.example", "j\u00f6rg@demo.example"
    submit(s, [there], message("Gr\u00fc\u00dfe hin", sender=ME, to=there), ["SMTPUTF8", "BODY=8BITMIME"])
    text = mail_at_postfix("utf8", "Subject: Gr\u00fc\u00dfe hin\n".encode())
    assert b"with UTF8SMTPS id" in text and f"Delivered-To: {there}\n".encode() in text and f"To: {there}\n".encode() in text, text
    s.ctl("mailbox", "create", here)
    s.ctl("mailbox", "password", here, stdin=postbus.PASSWORD + "\n")
    send_through_postfix([here], message("Gr\u00fc\u00dfe her", sender=there, to=here), sender=there, options=["SMTPUTF8", "BODY=8BITMIME"])
    wait(lambda: s.ctl("mailbox", "show", here)["used_messages"] == 1, f"the mail of {here}\n{maillog()[-2000:]}", 120)
    i = s.imap(None)
    i.authenticate("PLAIN", lambda _: f"\0{here}\0{postbus.PASSWORD}".encode())
    i.select("INBOX", readonly=True)
    text = i.fetch("1", "(BODY.PEEK[])")[1][0][1]
    i.logout()
    assert b"by mail.demo.example with UTF8SMTPS" in text and f"Return-Path: <{there}>\r\nDelivered-To: {here}\r\n".encode() in text, text
    assert "Subject: Gr\u00fc\u00dfe her\r\n".encode() in text, text


def test_a_big_message_both_ways(s):
    needs_postfix()
    body = "".join(f"{i:08} {'x' * 60}\r\n" for i in range(100000))
    submit(s, ["big@remote.example"], message("big there", body, sender=ME, to="big@remote.example"))
    assert mail_at_postfix("big", b"Subject: big there").endswith(b"\n\n" + body.replace("\r\n", "\n").encode())
    send_through_postfix(["bob@demo.example"], message("big here", body, to="bob@demo.example"))
    assert mine(s, b"Subject: big here", "bob@demo.example").endswith(b"\r\n\r\n" + body.encode())


def test_what_is_too_big_for_postfix_is_not_even_sent(s):
    needs_postfix()
    body = ("y" * 76 + "\r\n") * 140000     # its message_size_limit is 10240000
    submit(s, ["big@remote.example"], message("too big there", body, sender=ME, to="big@remote.example"))
    report = mine(s, b"too big there")
    assert re.search(rb"Status: 5\.(3\.4|2\.3)", report) and b"Action: failed" in report, report[:3000]
    assert "message size" not in maillog()


def test_a_success_report_of_ours_goes_to_the_sender_at_postfix(s):
    needs_postfix()
    with smtplib.SMTP("127.0.0.1", state["port"], local_hostname="client.example", timeout=120) as c:
        c.sendmail("asks@remote.example", [ME], message("tell me"), ["ENVID=asked+2Bfor"], ["NOTIFY=SUCCESS", "ORCPT=rfc822;Alice+2BX@demo.example"])
    text = mail_at_postfix("asks", b"Original-Envelope-Id: asked+for")
    assert b"Action: delivered" in text and b"Reporting-MTA: dns; mail.demo.example" in text, text
    assert re.search(rb"Original-Recipient: rfc822; ?Alice\+X@demo\.example", text) and text.startswith(b"Return-Path: <>"), text


try:
    postbus.run(sys.modules[__name__], make)
finally:
    if "dir" in state:
        postfix("stop")
        shutil.rmtree(state["dir"], ignore_errors=True)
