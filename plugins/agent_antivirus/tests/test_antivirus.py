# SPDX-License-Identifier: GPL-3.0-or-later
"""Viruses: Debian's clamd with a signature for the EICAR test file, clean mail, clamd that is away, silent, or says nonsense; each message is scanned once."""
import os, shutil, socket, subprocess, sys, threading

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus
from postbus import wait

# The test file of eicar.org, in two halves, so that no scanner takes this test for one.
EICAR = "X5O!P%@AP[4\\PZX54(P^)7CC)7}" + "$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
# Found by what it begins with, as any file that holds it: name, any type of file, any offset, its bytes.
SIGNATURE = "Eicar-Test-Signature:0:*:" + EICAR.encode().hex() + "\n"
ALICE = "alice@demo.example"


def mail(subject, body="hello", attach=False):
    import base64
    head = f"From: someone@remote.example\r\nTo: {ALICE}\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
    if not attach:
        return head + f"\r\n{body}\r\n"
    data = base64.b64encode(body.encode()).decode()
    return head + ('Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nsee this\r\n--b\r\nContent-Type: application/octet-stream; name="eicar.com"\r\n'
                   'Content-Disposition: attachment; filename="eicar.com"\r\nContent-Transfer-Encoding: base64\r\n\r\n' + data + "\r\n--b--\r\n")


def clamd(where):
    """Debian's daemon with our one signature; gives its process and socket."""
    if not shutil.which("clamd"):
        raise postbus.Skip("clamd is not installed")
    os.makedirs(os.path.join(where, "db"))
    with open(os.path.join(where, "db", "test.ndb"), "w") as f:
        f.write(SIGNATURE)
    path = os.path.join(where, "clamd.ctl")
    with open(os.path.join(where, "clamd.conf"), "w") as f:
        f.write(f"LocalSocket {path}\nDatabaseDirectory {where}/db\nForeground yes\nStreamMaxLength 1M\nLogFile {where}/clamd.log\nLogClean yes\nUser root\n")
    process = subprocess.Popen(["clamd", "-c", os.path.join(where, "clamd.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait(lambda: os.path.exists(path) or process.poll() is not None, "clamd's socket", 120)
    assert process.poll() is None, open(os.path.join(where, "clamd.log")).read()
    return process, path


class Fake:
    """Answers each scan with these bytes; None: neither that nor a ping. The first scans are cut off while they come in."""

    def __init__(self, path, answer, cuts=0):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        self.answer, self.scans, self.pings, self.cuts = answer, 0, 0, cuts
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.talk, args=(peer,), daemon=True).start()

    def talk(self, peer):
        data = peer.recv(6, socket.MSG_WAITALL)
        if data == b"zPING\0":
            self.pings += 1
            if self.answer is not None:
                peer.sendall(b"PONG\0")
            peer.close()
            return
        self.scans += 1
        if self.cuts:
            self.cuts -= 1
            peer.close()
            return
        while not data.endswith(b"\0\0\0\0"):
            got = peer.recv(65536)
            if not got:
                return
            data += got
        if self.answer is not None:
            peer.sendall(self.answer)
            peer.close()
        else:
            peer.recv(1)


def server_with(path, **config):
    plugin = {"enabled": True, "config": dict({"socket": path, "timeout": 60}, **config)}
    return postbus.Server({"plugins": {"agent_antivirus": plugin, "agent_mta": {"config": {"retry": [1]}}}})


def trace(server, queued, word):
    return wait(lambda: (lambda t: t if word in t else None)(str(server.ctl("trace", queued))), f"{word} in the trace")


def test_clamd_finds_the_test_file_and_nothing_else():
    import tempfile
    where = tempfile.mkdtemp(prefix="pb-clam-")
    process, path = clamd(where)
    try:
        with server_with(path, action="reject") as server:
            server.send(mail("clean"))
            assert len(server.wait_messages(1)) == 1
            queued = server.send(mail("attached", EICAR, attach=True))
            assert "Eicar-Test-Signature" in trace(server, queued, "decision=reject")
            queued = server.send(mail("large", "x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 20000))
            assert len(server.wait_messages(2)) == 2
            assert "larger than clamd takes" in server.log()
            assert not [m for m in server.messages() if b"attached" in m.split(b"\r\n\r\n")[0]]
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(where)


def test_a_virus_is_noted_for_filters():
    with postbus.Server(start=False) as server:
        path = os.path.join(server.home, "fake.ctl")
        fake = Fake(path, b"stream: Some.Virus FOUND\0")
        postbus.merge_file(server.file, {"plugins": {"agent_antivirus": {"enabled": True, "config": {"socket": path, "action": "note"}}}})
        server.start()
        script = os.path.join(server.home, "s.sieve")
        with open(script, "w") as f:
            f.write('require ["virustest", "fileinto", "relational", "comparator-i;ascii-numeric", "vnd.postbus.item"];\n'
                    'if allof (virustest :value "ge" :comparator "i;ascii-numeric" "4", vnd_postbus_item "virus" "Some.Virus") { fileinto "Junk"; }\n')
        server.ctl("script", "put", "v", script, "--activate", "--mailbox", ALICE)
        server.send(mail("one"))
        assert b"X-Virus-Status: infected" in server.wait_messages(1, folder="Junk")[0]
        assert fake.scans == 1


def test_mail_waits_until_the_scanner_is_back():
    with postbus.Server(start=False) as server:
        path = os.path.join(server.home, "fake.ctl")
        postbus.merge_file(server.file, {"plugins": {"agent_antivirus": {"enabled": True, "config": {"socket": path, "timeout": 60}}, "agent_mta": {"config": {"retry": [1]}}}})
        server.start()
        queued = server.send(mail("waits"))
        trace(server, queued, "cannot be asked now")
        assert server.messages() == []
        Fake(path, b"stream: OK\0")
        assert len(server.wait_messages(1)) == 1


def test_a_silent_or_senseless_scanner_holds_nothing_up_where_it_may_not():
    for answer in (None, b"\xff" * 2000, b"stream: what now ERROR\0", b"", b"stream: no virus database, is that OK\0"):
        with postbus.Server(start=False) as server:
            path = os.path.join(server.home, "fake.ctl")
            Fake(path, answer)
            postbus.merge_file(server.file, {"plugins": {"agent_antivirus": {"enabled": True, "config": {"socket": path, "timeout": 1, "unavailable": "continue"}}}})
            server.start()
            server.send(mail("goes on"))
            assert len(server.wait_messages(1)) == 1
            assert "event=virus.unavailable" in server.log()


def test_a_scanner_that_hangs_is_waited_for_once_not_for_each_message():
    with postbus.Server(start=False) as server:
        path = os.path.join(server.home, "fake.ctl")
        fake = Fake(path, None)
        postbus.merge_file(server.file, {"plugins": {"agent_antivirus": {"enabled": True, "config": {"socket": path, "timeout": 1, "unavailable": "continue"}}}})
        server.start()
        server.send(mail("waits in vain"))
        server.wait_messages(1)
        for k in range(5):
            server.send(mail(f"waits for nobody {k}"))
            server.wait_messages(2 + k)
        assert fake.scans == 1 and fake.pings >= 1, (fake.scans, fake.pings)
        fake.answer = b"stream: Some.Virus FOUND\0"

        def is_back():      # on a busy machine its answer may come too late once more
            queued = server.send(mail("is back"))
            return wait(lambda: (lambda t: t if "decision=quarantine" in t or "delivered" in t else None)(str(server.ctl("trace", queued))), "what became of it")
        assert "Some.Virus" in wait(lambda: (lambda t: t if "decision=quarantine" in t else None)(is_back()), "a scan")
        assert fake.scans >= 2, fake.scans


def test_a_scan_that_is_cut_off_is_made_again():
    with postbus.Server(start=False) as server:
        path = os.path.join(server.home, "fake.ctl")
        fake = Fake(path, b"stream: Some.Virus FOUND\0", cuts=1)
        postbus.merge_file(server.file, {"plugins": {"agent_antivirus": {"enabled": True, "config": {"socket": path, "timeout": 60}}}})
        server.start()
        queued = server.send(mail("large", ("z" * 70 + "\r\n") * 20000))
        assert "Some.Virus" in trace(server, queued, "decision=quarantine")
        assert fake.scans == 2


postbus.run(sys.modules[__name__])
