# SPDX-License-Identifier: GPL-3.0-or-later
"""svc_lmtp through the running daemon: Python's smtplib.LMTP, Debian's Postfix handing mail over (needs root), who may connect, what the replies promise."""
import os, pwd, re, shutil, smtplib, socket, subprocess, sys, tempfile, textwrap
import postbus
from postbus import Server, Skip, message, wait

ME, BOB = "alice@demo.example", "bob@demo.example"
state = {}

MAIN = """
compatibility_level = 3.6
myhostname = front.remote.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
queue_directory = {dir}/queue
data_directory = {dir}/data
maillog_file = {dir}/maillog
maillog_file_prefixes = {dir}
mynetworks = 127.0.0.0/8
relay_domains = demo.example
virtual_mailbox_domains = remote.example
virtual_mailbox_base = {dir}/mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
transport_maps = inline:{{ demo.example=lmtp:inet:127.0.0.1:{port} }}
lmtp_destination_recipient_limit = 50
smtpd_recipient_restrictions = permit_mynetworks, reject
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
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
proxymap  unix - - n - - proxymap
lmtp      unix - - n - - lmtp
error     unix - - n - - error
retry     unix - - n - - error
virtual   unix - n n - - virtual
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


def make():
    return Server(config={"plugins": {"svc_lmtp": {"listen": {"lmtp": {"enabled": True, "port": postbus.free_port()}}}}})


class Lmtp(smtplib.LMTP):
    """Python's client reads one reply behind the data; LMTP has one for each recipient."""

    def hand_over(self, to, text, sender="x@remote.example", options=()):
        """Gives the last (code, words) of each recipient, in their order."""
        self.ehlo()
        assert self.mail(sender, options)[0] == 250
        replies = [self.rcpt(one) for one in to]
        taken = [i for i, reply in enumerate(replies) if reply[0] == 250]
        if taken:
            self.putcmd("data")
            assert self.getreply()[0] == 354
            self.send(re.sub(rb"(?m)^\.", b"..", text) + b".\r\n")
            for i in taken:
                replies[i] = self.getreply()
        else:
            self.rset()
        return replies


def lmtp(s):
    return Lmtp("127.0.0.1", s.ports["lmtp"], local_hostname="front.example")


def statuses(replies):
    return [text.split()[0].decode() for code, text in replies]


def one(s, user, what):
    found = wait(lambda: [m for m in s.messages(user) if what in m], f"{what!r} of {user}")
    assert len(found) == 1, found
    return found[0]


def test_the_listener_is_not_bound_unless_it_is_enabled():
    with Server() as s:
        shown = s.ctl("plugin", "show", "svc_lmtp")
        assert "lmtp" not in s.ports and shown["state"] == "running" and not shown["listeners"], shown


def test_smtplib_hands_a_message_over(s):
    with lmtp(s) as c:
        refused = c.sendmail("x@remote.example", [ME, "nobody@demo.example", "a@elsewhere.example"], message("by smtplib", "line\r\n.\r\n..\r\nlast\r\n"))
        assert set(refused) == {"nobody@demo.example", "a@elsewhere.example"} and refused["nobody@demo.example"][0] == 550, refused
        assert refused["a@elsewhere.example"][1].startswith(b"5.7.1"), refused
        c.sendmail("x@remote.example", [BOB], message("the next"))
    text = one(s, ME, b"Subject: by smtplib")
    assert b"with LMTP id" in text and b"from front.example" in text and text.startswith(b"Return-Path: <x@remote.example>") and text.endswith(b"\r\nline\r\n.\r\n..\r\nlast\r\n"), text
    one(s, BOB, b"Subject: the next")


def test_one_message_is_one_item_with_a_trace(s):
    with lmtp(s) as c:
        replies = c.hand_over([ME, BOB, ME], b"Subject: one item\r\n\r\ntext\r\n")
    ids = {re.fullmatch(rb"2\.0\.0 queued as (\w+)", text).group(1).decode() for code, text in replies}
    assert len(replies) == 3 and len(ids) == 1, replies
    wait(lambda: s.ctl("trace", *ids, json_out=False).count("delivered to mailbox") == 2, "two deliveries")
    one(s, ME, b"Subject: one item")


def test_what_was_answered_250_is_there_after_a_kill(s):
    c = lmtp(s)
    assert statuses(c.hand_over([ME, BOB], message("before the kill"))) == ["2.0.0"] * 2
    s.kill()
    c.close()
    s.start()
    for user in (ME, BOB):
        one(s, user, b"Subject: before the kill")


def test_a_disabled_mailbox_a_full_one_and_one_that_redirects(s):
    for name, words in (("off", ["--enabled=no"]), ("full", ["--quota-messages", "1"]), ("leaves", ["--quota-messages", "1", "--redirect", BOB, "--redirect-keep=no"])):
        s.ctl("mailbox", "create", f"{name}@demo.example")
        if name != "off":
            s.send(message("the first"), to=[f"{name}@demo.example"])
            wait(lambda: s.ctl("mailbox", "show", f"{name}@demo.example")["used_messages"] == 1, "the first message")
        s.ctl("mailbox", "set", f"{name}@demo.example", *words)
    with lmtp(s) as c:
        replies = c.hand_over(["off@demo.example", "full@demo.example", "leaves@demo.example"], message("second"))
    assert statuses(replies) == ["5.2.1", "5.2.2", "2.0.0"], replies
    one(s, BOB, b"Subject: second")
    s.ctl("policy", "set", "quota_full", "hold", "--mailbox", "full@demo.example")
    with lmtp(s) as c:
        assert statuses(c.hand_over(["full@demo.example"], message("to be held"))) == ["2.0.0"]


def test_who_takes_mail_from_some_only_refuses_others(s):
    s.ctl("mailbox", "create", "inside@demo.example")
    s.ctl("policy", "set", "receive_from", "server", "--mailbox", "inside@demo.example")
    s.ctl("group", "create", "friends@demo.example", "--members", ME, "--senders", "friend@remote.example")
    for sender, group in (("x@remote.example", "5.7.1"), ("friend@remote.example", "2.0.0"), (ME, "5.7.1")):
        with lmtp(s) as c:
            replies = c.hand_over(["inside@demo.example", "friends@demo.example", BOB], message("for friends"), sender)
        assert statuses(replies) == ["5.7.1", group, "2.0.0"], (sender, replies)


def test_groups_maps_and_subaddresses_are_local(s):
    s.ctl("group", "create", "all@demo.example")
    s.ctl("group", "add", "all@demo.example", ME, BOB)
    s.ctl("address-map", "create", "sales@demo.example", "--to", BOB)
    with lmtp(s) as c:
        assert statuses(c.hand_over(["all@demo.example", "sales@demo.example", "alice+tag@demo.example"], message("to the many"))) == ["2.0.0"] * 3
    wait(lambda: all(any(b"Subject: to the many" in m for m in s.messages(u)) for u in (ME, BOB)), "the copies")


def test_too_big_and_too_many_hops(s):
    s.ctl("config", "set", "svc_lmtp", "size_max", "65536")
    try:
        with lmtp(s) as c:
            c.ehlo()
            assert c.esmtp_features["size"] == "65536"
            assert c.mail("x@remote.example", ["SIZE=70000"])[0] == 552
            assert statuses(c.hand_over([ME, BOB], b"Subject: big\r\n\r\n" + (b"x" * 70 + b"\r\n") * 1100)) == ["5.3.4"] * 2
            assert statuses(c.hand_over([ME], b"Received: from a by b\r\n" * 101 + b"Subject: loop\r\n\r\n")) == ["5.4.6"]
            assert statuses(c.hand_over([ME], b"X: " + b"y" * 60000 + b"\r\n\r\n")) == ["2.0.0"]
    finally:
        s.ctl("config", "set", "svc_lmtp", "size_max", "50M")


def test_only_clients_are_served():
    listen = {"enabled": True, "address": ["127.0.0.1"]}
    with Server(config={"plugins": {"svc_lmtp": {"listen": {"lmtp": listen}, "config": {"clients": ["192.0.2.0/24", "127.0.0.2"]}}}}) as s:
        with socket.create_connection(("127.0.0.1", s.ports["lmtp"])) as c:
            said = c.makefile("rb").read()
        assert said.startswith(b"554 5.7.1 ") and said.count(b"\r\n") == 1, said
        with socket.create_connection(("127.0.0.1", s.ports["lmtp"]), source_address=("127.0.0.2", 0)) as c:
            assert c.recv(100).startswith(b"220 ")
        s.wait_log(r"event=client\.refused .*client=127\.0\.0\.1")
        code, text = s.ctl("config", "set", "svc_lmtp", "clients", '["nonsense"]', check=False)
        assert code == 6 and "is no network" in str(text), (code, text)


def test_a_unix_socket_serves_whoever_reaches_it():
    with Server(start=False) as s:
        path = os.path.join(s.home, "lmtp.sock")
        postbus.merge_file(s.file, {"plugins": {"svc_lmtp": {"listen": {"lmtp": {"enabled": True, "address": [path]}}, "config": {"clients": []}}}})
        s.start()
        with smtplib.LMTP(path) as c:
            c.sendmail("x@remote.example", [ME], message("over a socket"))
        text = one(s, ME, b"Subject: over a socket")
        assert re.search(rb"Received: from \S+\r\n\tby mail\.demo\.example with LMTP id", text), text


# ---- Postfix in front ----

def start_postfix(s):
    if not shutil.which("postfix", path="/usr/sbin:/usr/bin") or os.geteuid():
        raise Skip("Debian's postfix, and root, are needed")
    if "dir" in state:
        return
    owner = pwd.getpwnam("postfix")
    where = state["dir"] = tempfile.mkdtemp(prefix="pb-postfix-")
    state["port"] = postbus.free_port()
    os.chmod(where, 0o755)
    for name, user in (("etc", None), ("queue", None), ("data", owner), ("mail", owner)):
        os.mkdir(os.path.join(where, name), 0o755)
        if user:
            os.chown(os.path.join(where, name), user.pw_uid, user.pw_gid)
    with open(os.path.join(where, "etc", "main.cf"), "w") as f:
        f.write(MAIN.format(dir=where, uid=owner.pw_uid, gid=owner.pw_gid, port=s.ports["lmtp"]))
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
        with socket.create_connection(("127.0.0.1", state["port"]), 5) as c:
            return c.recv(100).startswith(b"220")
    except OSError:
        return False


def maillog():
    path = os.path.join(state["dir"], "maillog")
    return open(path, errors="replace").read() if os.path.exists(path) else ""


def through_postfix(to, text, sender="remote@remote.example", options=()):
    with smtplib.SMTP("127.0.0.1", state["port"], local_hostname="client.example", timeout=120) as c:
        c.sendmail(sender, to, text, options)


def test_postfix_hands_mail_over(s):
    start_postfix(s)
    s.ctl("mailbox", "create", "m\u00fcller@demo.example")
    body = "text\r\n.\r\n" + "\u00fcber\r\n"
    through_postfix([ME, BOB], message("from postfix", body), options=["BODY=8BITMIME"])
    for user in (ME, BOB):
        text = one(s, user, b"Subject: from postfix")
        assert b"with LMTP id" in text and b"by front.remote.example (Postfix)" in text and text.endswith(body.encode()), (text, maillog()[-2000:])
    through_postfix(["m\u00fcller@demo.example"], message("utf8"), options=["SMTPUTF8", "BODY=8BITMIME"])
    wait(lambda: s.ctl("mailbox", "show", "m\u00fcller@demo.example")["used_messages"] == 1, f"mail in UTF-8\n{maillog()[-2000:]}")


def test_postfix_hears_of_each_recipient(s):
    start_postfix(s)
    s.ctl("mailbox", "create", "tiny@demo.example", "--quota-bytes", "2000")
    through_postfix([ME, "nobody@demo.example", "tiny@demo.example"], message("mixed", "y" * 60 + "\r\n" + "x" * 70 + "\r\n" + ("z" * 70 + "\r\n") * 40))
    one(s, ME, b"Subject: mixed")
    wait(lambda: re.search(r"to=<alice@demo\.example>, relay=127\.0\.0\.1.*dsn=2\.0\.0, status=sent \(250 2\.0\.0 queued as", maillog()), f"alice\n{maillog()[-3000:]}")
    wait(lambda: re.search(r"to=<nobody@demo\.example>.*dsn=5\.1\.1, status=bounced", maillog()), f"nobody\n{maillog()[-3000:]}")
    wait(lambda: re.search(r"to=<tiny@demo\.example>.*dsn=5\.2\.2, status=bounced", maillog()), f"tiny\n{maillog()[-3000:]}")


def test_postfix_waits_while_the_server_is_away(s):
    start_postfix(s)
    s.stop()
    through_postfix([ME], message("patience"))
    wait(lambda: re.search(r"to=<alice@demo\.example>.*status=deferred", maillog()), f"a deferral\n{maillog()[-2000:]}")
    s.start()
    one(s, ME, b"Subject: patience")


try:
    postbus.run(sys.modules[__name__], make)
finally:
    if "dir" in state:
        postfix("stop")
        shutil.rmtree(state["dir"], ignore_errors=True)
