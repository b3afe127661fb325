# SPDX-License-Identifier: GPL-3.0-or-later
"""Trouble from outside: a full disk, peers that are slow, endless, silent or too many; each gets a clear answer, memory stays bounded, others are served."""
import imaplib, json, os, re, shutil, smtplib, socket, subprocess, sys, tempfile, time
import postbus
from postbus import PASSWORD, Server, message, wait

ALICE = "alice@demo.example"


def rss(s):
    """MiB of anonymous memory: mapped files of the store are not the server's."""
    text = open(f"/proc/{s.process.pid}/status").read()
    return int(re.search(r"RssAnon:\s+(\d+)", text).group(1)) / 1024


def grew_less_than(s, before, mib):
    if postbus.SANITIZER:                   # shadows of bytes, and what was freed and is kept a while, are several times the daemon's own memory
        return postbus.leave_out(f"memory under the {postbus.SANITIZER} sanitizer")
    assert rss(s) - before < mib, (before, rss(s))


# ---- a full disk ----

def try_append(i):
    try:
        kind, data = i.append("INBOX", None, None, message("appended"))
    except imaplib.IMAP4.error as e:
        return "NO", [str(e).encode()]
    return kind, data


def test_a_full_disk():
    if os.geteuid() != 0:
        raise postbus.Skip("mounting needs root")
    where = tempfile.mkdtemp(prefix="pb-full-")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m,mode=700", "tmpfs", where], capture_output=True).returncode:
        shutil.rmtree(where)
        raise postbus.Skip("tmpfs cannot be mounted here")
    s = None
    try:
        s = Server(home=where)
        sent = []

        def send(name):
            s.send(message(name, "x" * 2000))
            sent.append(name)
        send("before")
        i = s.imap()
        assert try_append(i)[0] == "OK"
        ballast = os.path.join(where, "ballast")
        free = os.statvfs(where).f_bavail * os.statvfs(where).f_frsize
        with open(ballast, "wb") as f:
            chunk = bytes(1 << 20)
            try:
                for _ in range(free >> 20):
                    f.write(chunk)
            except OSError:
                pass

        def refused():
            try:
                send(f"while full {len(sent)}")
                return None
            except AssertionError as e:
                return str(e)
        said = wait(refused, "a refusal")
        assert "452" in said and "4.3.1" in said, said
        kind, data = wait(lambda: (lambda r: r if r[0] != "OK" else None)(try_append(i)), "NO")
        assert kind == "NO", (kind, data)
        assert len(i.select("INBOX")) == 2 and i.fetch("1", "(FLAGS)")[0] == "OK"      # reading goes on
        assert s.process.poll() is None
        os.remove(ballast)

        def taken():
            try:
                send("after")
                return True
            except AssertionError:
                return False
        wait(taken, "service without a restart", 120)
        assert wait(lambda: try_append(i)[0] == "OK", "an append")
        i.logout()
        have = wait(lambda: (lambda l: l if set(sent) <= set(l) else None)(
            [re.search(rb"Subject: (.*)\r\n", m).group(1).decode() for m in s.messages()]), "everything that was acknowledged")
        for name in sent:
            assert have.count(name) == 1, (name, have)
        assert s.stop() == 0
        s.start()
        assert s.ctl("store", "verify")["ok"]
        assert set(sent) <= {re.search(rb"Subject: (.*)\r\n", m).group(1).decode() for m in s.messages()}
    finally:
        if s and s.process and s.process.poll() is None:
            s.stop()
        subprocess.run(["umount", "-l", where])
        shutil.rmtree(where, ignore_errors=True)


# ---- peers ----

def talk(s, listener="smtp"):
    c = socket.create_connection(("127.0.0.1", s.ports[listener]), 120)
    return c, c.makefile("rb")


def test_the_silent_and_half_open_cost_little(s):
    before = rss(s)
    held = [talk(s)[0] for _ in range(300)]
    for c in held[:100]:
        c.sendall(b"EHLO half")             # half a line
    for c in held[100:200]:
        c.shutdown(socket.SHUT_WR)
    s.send(message("others are served"))
    grew_less_than(s, before, 32)
    for c in held:
        c.close()


def flood(c, piece, total):
    """Sends until total bytes or until the other end has enough."""
    sent = 0
    try:
        while sent < total:
            c.sendall(piece)
            sent += len(piece)
    except (BrokenPipeError, ConnectionResetError, socket.timeout):
        pass
    return sent


def test_endless_input_takes_no_memory(s):
    before = rss(s)
    c, f = talk(s)                          # a line without an end
    f.readline()
    flood(c, b"x" * 65536, 32 << 20)
    c.sendall(b"\r\nNOOP\r\n")
    assert f.readline().startswith(b"500") and f.readline().startswith(b"250")
    c.close()
    c, f = talk(s)                          # headers without an end
    for line in (None, b"EHLO x", b"MAIL FROM:<a@remote.example>", b"RCPT TO:<alice@demo.example>", b"DATA"):
        if line:
            c.sendall(line + b"\r\n")
        while (got := f.readline())[3:4] == b"-":
            pass
        assert got[:1] in b"23", got
    flood(c, (b"X-Header: " + b"y" * 60 + b"\r\n") * 1000, 32 << 20)
    c.sendall(b"\r\n.\r\n")
    assert f.readline().startswith(b"552")
    c.close()
    i = s.imap()                            # a literal larger than anything
    i.send(b"a APPEND INBOX {4000000000}\r\n")
    assert b"NO [TOOBIG]" in i.readline()
    i.send(b"b NOOP\r\n")
    assert b"b OK" in i.readline()
    i.logout()
    s.send(message("still served"))
    grew_less_than(s, before, 48)


def test_a_hundred_thousand_recipients_take_no_memory(s):
    before = rss(s)
    c, f = talk(s)
    f.readline()
    c.sendall(b"HELO x\r\nMAIL FROM:<a@remote.example>\r\n")
    f.readline(), f.readline()
    codes = {}
    ended = False
    for n in range(0, 100000, 500):
        try:
            c.sendall(b"".join(b"RCPT TO:<alice+%d@demo.example>\r\n" % k for k in range(n, n + 500)))
            for _ in range(500):
                got = f.readline()
                codes[got[:3]] = codes.get(got[:3], 0) + 1
                ended |= got[:3] in (b"", b"421")
        except (BrokenPipeError, ConnectionResetError):
            ended = True
        if ended:
            break
    assert codes.get(b"250", 0) <= 1000 and codes.get(b"452", 0) > 0, codes
    c.close()
    s.send(message("after the many"))
    grew_less_than(s, before, 48)


def test_a_reader_that_does_not_read_holds_nobody_up(s):
    i = s.imap()
    for _ in range(4):
        assert i.append("INBOX", None, None, b"Subject: big\r\n\r\n" + (b"z" * 76 + b"\r\n") * 50000)[0] == "OK"
    i.select("INBOX")
    before = rss(s)
    lazy = s.imap()
    lazy.select("INBOX")
    for k in range(8):
        lazy.send(b"l%d FETCH 1:* (BODY.PEEK[])\r\n" % k)
    assert i.noop()[0] == "OK"
    s.send(message("others are served"))
    assert i.fetch("1", "(FLAGS)")[0] == "OK"
    grew_less_than(s, before, 48)
    lazy.shutdown()
    i.logout()


def test_who_is_too_slow_is_told():
    with Server(config={"limits": {"command_time": f"{int(5 * postbus.PATIENCE)}s"}}) as s:     # which is also all that others have for each of theirs
        c, f = talk(s)
        assert f.readline().startswith(b"220")
        c.sendall(b"HELO x\r\nMAIL FROM:<a@remote.example>\r\nRCPT TO:<alice@demo.example>\r\nDATA\r\n")
        for want in (b"250", b"250", b"250", b"354"):
            assert f.readline().startswith(want)
        c.sendall(b"Subject: half of it\r\n")        # and nothing more
        s.send(message("meanwhile"))
        assert f.readline().startswith(b"421")
        assert f.readline() == b""
        s.wait_messages(1)
        assert not any(b"half of it" in m for m in s.messages())


# ---- proxies and sources ----

V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"


def v2(address, port=4242):
    return V2 + socket.inet_aton(address) + socket.inet_aton("192.0.2.1") + port.to_bytes(2, "big") + (25).to_bytes(2, "big")


def greeted(s, header):
    c, f = talk(s)
    c.sendall(header)
    try:
        return c, f, f.readline()
    except ConnectionResetError:
        return c, f, b""


def test_a_proxy_tells_who_the_client_is():
    with Server(config={"limits": {"per_source": 2}, "plugins": {"conn_smtp": {"listen": {"smtp": {"proxies": ["127.0.0.0/8"]}}}}}) as s:
        for header, client in ((b"PROXY TCP4 198.51.100.7 192.0.2.1 4242 25\r\n", "198.51.100.7"), (v2("198.51.100.9"), "198.51.100.9")):
            c, f, line = greeted(s, header)
            assert line.startswith(b"220"), line
            c.sendall(b"HELO x\r\nMAIL FROM:<a@remote.example>\r\nRCPT TO:<alice@demo.example>\r\nDATA\r\n")
            for _ in range(4):
                f.readline()
            c.sendall(message("through a proxy") + b".\r\n")
            assert f.readline().startswith(b"250")
            wait(lambda: any(b"[" + client.encode() + b"]" in m for m in s.messages()), f"a Received with {client}")
            c.close()
        # without a header, or with a wrong one, there is no service
        c, f, line = greeted(s, b"HELO x\r\n")
        assert line == b"", line
        s.wait_log("event=proxy.invalid")
        # the limit counts the client behind the proxy
        held = [greeted(s, v2("203.0.113.5", 1000 + k)) for k in range(3)]
        assert [h[2][:3] for h in held] == [b"220", b"220", b"421"], [h[2] for h in held]
        other = greeted(s, v2("203.0.113.6"))
        assert other[2].startswith(b"220")
        held[0][1].close()
        held[0][0].close()

        def again():
            c, f, line = greeted(s, v2("203.0.113.5", 2000))
            c.close()
            return line.startswith(b"220")
        wait(again, "a place after one left")


def test_limits_change_with_a_reload():
    with Server(config={"limits": {"per_source": 1}, "plugins": {"conn_smtp": {"listen": {"smtp": {"proxies": ["127.0.0.0/8"]}}}}}) as s:
        first = greeted(s, v2("203.0.113.5"))
        assert greeted(s, v2("203.0.113.5"))[2].startswith(b"421")
        doc = json.load(open(s.file))
        doc["limits"]["per_source"] = 5
        with open(s.file, "w") as f:
            json.dump(doc, f)
        s.ctl("config", "reload")
        assert greeted(s, v2("203.0.113.5"))[2].startswith(b"220")
        first[0].close()


postbus.run(sys.modules[__name__])
