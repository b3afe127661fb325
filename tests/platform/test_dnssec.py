# SPDX-License-Identifier: GPL-3.0-or-later
"""agent_dns against an authoritative server with signed zones: what holds is secure, what is unsigned is not, and what was tampered with is no answer at all."""
import os, shutil, socket, struct, subprocess, sys, tempfile
import postbus

ZONE = """$ORIGIN {zone}.
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
@ MX 10 mx
ns A 127.0.0.1
mx A 192.0.2.10
www A 192.0.2.11
"""
SIGNED = ("good.example", "broken.example", "old.example")
STRIPPED = "stripped.example"       # the anchor says that it is signed, and it is not
PLAIN = ("plain.example", "child.good.example")


class Zones:
    """NSD on a port of 127.0.0.1 with all of these zones; anchor is the file of trust anchors."""

    def __init__(self):
        for program in ("nsd", "ldns-keygen", "ldns-signzone"):
            if not find(program):
                raise postbus.Skip(f"{program} is not installed")
        self.dir = tempfile.mkdtemp(prefix="pb-nsd-")
        self.port = postbus.free_port()
        self.anchor = self.path("anchor")
        for zone in SIGNED + PLAIN + (STRIPPED,):
            text = ZONE.format(zone=zone)
            if zone == "good.example":
                text += "child NS ns.child\nns.child A 127.0.0.1\n"     # delegated without a DS
            self.write(zone, text)
        for zone in SIGNED + (STRIPPED,):
            self.sign(zone)
        broken = open(self.path("broken.example.signed")).read()
        assert "192.0.2.11" in broken
        self.write("broken.example.signed", broken.replace("192.0.2.11", "192.0.2.66"))
        self.process = self.serve()

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)

    def sign(self, zone):
        key = self.run("ldns-keygen", "-k", "-a", "ECDSAP256SHA256", "-r", "/dev/urandom", zone).strip()
        times = ("-i", "20200101000000", "-e", "20200201000000") if zone.startswith("old") else ()
        self.run("ldns-signzone", *times, "-f", zone + ".signed", zone, key)
        with open(self.anchor, "a") as f:
            f.write(open(self.path(key + ".key")).read())

    def run(self, program, *words):
        return subprocess.run([find(program), *words], cwd=self.dir, check=True, stdout=subprocess.PIPE, text=True).stdout

    def serve(self):
        lines = ["server:", " ip-address: 127.0.0.1", f" port: {self.port}", " server-count: 1", ' username: ""', ' chroot: ""', f' zonesdir: "{self.dir}"', ' database: ""',
                 f' pidfile: "{self.path("pid")}"', f' xfrdfile: "{self.path("xfrd")}"', f' zonelistfile: "{self.path("list")}"', f' xfrdir: "{self.dir}"',
                 "remote-control:", " control-enable: no"]
        for zone in SIGNED + PLAIN + (STRIPPED,):
            lines += ["zone:", f" name: {zone}", f' zonefile: "{zone}{".signed" if zone in SIGNED else ""}"']
        self.write("nsd.conf", "\n".join(lines) + "\n")
        with open(self.path("log"), "wb") as log:
            process = subprocess.Popen([find("nsd"), "-d", "-c", self.path("nsd.conf")], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        postbus.wait(lambda: process.poll() is not None or self.answers(), "NSD to answer")
        assert process.poll() is None, open(self.path("log")).read()
        return process

    def answers(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.5)
            s.connect(("127.0.0.1", self.port))
            try:
                s.send(struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\5plain\7example\0" + struct.pack("!2H", 6, 1))
                return s.recv(512)[3] & 15 == 0
            except OSError:
                return False

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


zones = None


def make():
    """The anchor lies in the home, like all files of an administrator's that are not the system's."""
    global zones
    zones = Zones()
    server = postbus.Server({"plugins": {"agent_dns": {"config": {"forwarders": [f"127.0.0.1@{zones.port}"], "trust_anchor": "anchor"}}}}, start=False)
    shutil.copy(zones.anchor, os.path.join(server.home, "anchor"))
    return server.start()


def answer(server, name, type="A"):
    said = server.ctl("dns", "query", name, type)
    return said["records"], said["secure"]


def no_answer(server, *words):
    code, said = server.ctl("dns", *words, check=False)
    assert code == 7 and "failed its DNSSEC validation" in said["error"]["text"], (words, code, said)


def test_what_is_signed_is_secure(server):
    assert answer(server, "www.good.example") == (["192.0.2.11"], True)
    assert answer(server, "good.example", "MX") == (["10 mx.good.example"], True)
    assert answer(server, "good.example", "TXT") == ([], True), "that there is none is proven too"
    code, said = server.ctl("dns", "query", "nobody.good.example", "A", check=False)
    assert code == 3, said


def test_what_is_not_signed_is_not_secure(server):
    assert answer(server, "www.plain.example") == (["192.0.2.11"], False)
    assert answer(server, "www.child.good.example") == (["192.0.2.11"], False), "the parent proves that the child is unsigned"


def test_what_was_tampered_with_is_no_answer(server):
    assert answer(server, "mx.broken.example") == (["192.0.2.10"], True), "the zone's other records hold"
    no_answer(server, "query", "www.broken.example", "A")
    no_answer(server, "address", "www.broken.example")


def test_signatures_that_ran_out_are_no_answer(server):
    no_answer(server, "query", "www.old.example", "A")
    no_answer(server, "mx", "old.example")


def test_signatures_that_are_missing_are_no_answer(server):
    no_answer(server, "query", "www.stripped.example", "A")


def test_mail_for_a_domain_whose_answer_does_not_hold_waits(server):
    id = server.submit(postbus.message("wait for it", sender="alice@demo.example"), to=["someone@old.example"])
    postbus.wait(lambda: "DNSSEC" in server.ctl("trace", id, json_out=False), "the attempt")
    items = [i for i in server.ctl("queue", "list", "--lane", "conn_smtp.outgoing")["items"] if i["id"] == id]
    assert items and items[0]["state"] == "deferred", items


def test_without_an_anchor_nothing_is_validated(server):
    server.ctl("config", "set", "agent_dns", "trust_anchor", '""')
    assert answer(server, "www.broken.example") == (["192.0.2.66"], False)
    assert answer(server, "www.good.example") == (["192.0.2.11"], False)
    server.ctl("config", "unset", "agent_dns", "trust_anchor")
    assert answer(server, "www.good.example") == (["192.0.2.11"], True)


try:
    postbus.run(sys.modules[__name__], make)
finally:
    if zones:
        zones.close()
