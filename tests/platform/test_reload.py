# SPDX-License-Identifier: GPL-3.0-or-later
"""A reload changes listeners and the host's name, all or nothing: new ports are bound first, gone ones close while their sessions go on, the others keep their socket."""
import json, os, re, signal, socket, ssl, subprocess, sys
import postbus


def write(server, change):
    doc = json.load(open(server.file))
    change(doc)
    with open(server.file, "w") as f:
        json.dump(doc, f)


def listen(doc, plugin, name):
    return doc["plugins"].setdefault(plugin, {}).setdefault("listen", {}).setdefault(name, {})


def bound(server):
    """{ "plugin.listener": [(address, port)] } as the server tells it."""
    found = {}
    for one in server.ctl("status")["listeners"]:
        found.setdefault(one["plugin"] + "." + one["name"], []).append((one["address"], one["port"]))
    return found


def sockets():
    """{ (address, port): inode } of all that listen by TCP over IPv4."""
    found = {}
    for line in open("/proc/net/tcp").read().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A":
            address, port = words[1].split(":")
            found[(socket.inet_ntoa(bytes.fromhex(address)[::-1]), int(port, 16))] = words[9]
    return found


def greeting(port, address="127.0.0.1"):
    with socket.create_connection((address, port), 120) as s:
        return s.makefile("rb").readline()


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), 120).close()
        return False
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:            # it was in the backlog when the port closed: the next one is refused
        return False


def test_ports_come_and_go_while_sessions_stay(server):
    before, port = bound(server), postbus.free_port()
    old = before["conn_smtp.submission"][0][1]
    kept = {where: sockets()[where] for name, list in before.items() if name != "conn_smtp.submission" for where in list}
    with server.smtp("submission") as s:
        s.ehlo()
        write(server, lambda d: listen(d, "conn_smtp", "submission").update(port=port))
        assert server.ctl("config", "check")["changes"] == ["conn_smtp: listeners"]
        assert bound(server) == before, "a check changes nothing"
        assert server.ctl("config", "reload")["changes"] == ["conn_smtp: listeners"]
        assert bound(server)["conn_smtp.submission"] == [("127.0.0.1", port)]
        assert greeting(port).startswith(b"220 ") and refused(old)
        assert s.noop()[0] == 250, "a session that came by the old port goes on"
    now = sockets()
    assert all(now[where] == inode for where, inode in kept.items()), "the other sockets are what they were"
    assert server.ctl("config", "reload")["changes"] == []
    server.ports["submission"] = port


def test_a_listener_is_switched_off_and_on_by_a_signal(server):
    port = bound(server)["svc_pop3.pop3"][0][1]
    write(server, lambda d: listen(d, "svc_pop3", "pop3").update(enabled=False))
    server.process.send_signal(signal.SIGHUP)
    postbus.wait(lambda: refused(port), "the port to close")
    write(server, lambda d: listen(d, "svc_pop3", "pop3").update(enabled=True, port=port))
    server.process.send_signal(signal.SIGHUP)
    postbus.wait(lambda: not refused(port), "the port to open")
    assert greeting(port).startswith(b"+OK")


def test_options_change_without_a_new_socket(server):
    where = bound(server)["conn_smtp.smtp"][0]
    inode = sockets()[where]
    write(server, lambda d: listen(d, "conn_smtp", "smtp").update(proxies=["127.0.0.0/8"]))
    server.ctl("config", "reload")
    assert bound(server)["conn_smtp.smtp"] == [where] and sockets()[where] == inode, "a port that was any free one stays"
    with socket.create_connection(where, 120) as s:
        s.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 25\r\n")
        assert s.makefile("rb").readline().startswith(b"220 ")
        assert "192.0.2.7" in str(server.ctl("session", "list")), "the header is believed"
    write(server, lambda d: listen(d, "conn_smtp", "smtp").pop("proxies"))
    server.ctl("config", "reload")
    assert sockets()[where] == inode and greeting(where[1]).startswith(b"220 ")


def test_two_listeners_exchange_their_ports(server):
    a, b = postbus.free_port(), postbus.free_port()
    write(server, lambda d: (listen(d, "svc_imap", "imap").update(port=a), listen(d, "svc_pop3", "pop3").update(port=b)))
    server.ctl("config", "reload")
    inodes = sockets()
    write(server, lambda d: (listen(d, "svc_imap", "imap").update(port=b), listen(d, "svc_pop3", "pop3").update(port=a)))
    server.ctl("config", "reload")
    assert greeting(a).startswith(b"+OK") and greeting(b).startswith(b"* OK")
    assert sockets()[("127.0.0.1", a)] == inodes[("127.0.0.1", a)]


def test_from_all_addresses_to_one_and_back(server):
    port = postbus.free_port()
    for address in ("0.0.0.0", "127.0.0.1", "0.0.0.0", "127.0.0.2"):
        write(server, lambda d: listen(d, "conn_smtp", "smtp").update(port=port, address=[address]))
        server.ctl("config", "reload")
        assert bound(server)["conn_smtp.smtp"] == [(address, port)]
        assert greeting(port, "127.0.0.2" if address == "127.0.0.2" else "127.0.0.1").startswith(b"220 ")
    assert refused(port)
    write(server, lambda d: listen(d, "conn_smtp", "smtp").update(port=port, address=["127.0.0.1"]))
    server.ctl("config", "reload")
    server.ports["smtp"] = port


def test_a_port_that_cannot_be_bound_changes_nothing(server):
    before, inodes = bound(server), sockets()
    port = before["conn_smtp.smtp"][0][1]
    good = open(server.file).read()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]

        def change(doc):
            doc["hostname"] = "new.demo.example"
            doc["plugins"]["conn_smtp"]["config"] = {"banner": "ESMTP of tomorrow"}
            listen(doc, "conn_smtp", "smtp").update(address=["0.0.0.0"])     # in the way of itself: rests, and has to come back
            listen(doc, "conn_smtp", "submissions").update(enabled=False)
            listen(doc, "svc_pop3", "pop3").update(port=number)
        write(server, change)
        code, answer = server.ctl("config", "reload", check=False)
        text = answer["error"]["text"]
        assert code == 8 and re.search(rf"listener pop3 of svc_pop3: .*127\.0\.0\.1 port {number}: Address already in use", text), answer
        server.process.send_signal(signal.SIGHUP)
        assert str(number) in server.wait_log(r"event=reload.refused .*").group(0)
    assert bound(server) == before
    assert all(sockets()[where] == inodes[where] for list in before.values() for where in list)
    said = greeting(port)
    assert said.startswith(b"220 mail.demo.example ") and b"tomorrow" not in said, said
    with open(server.file, "w") as f:
        f.write(good)
    assert server.ctl("config", "reload")["changes"] == []


def test_a_plugin_that_refuses_its_values_leaves_the_listeners(server):
    before, port = bound(server), postbus.free_port()
    good = open(server.file).read()

    def change(doc):
        doc["hostname"] = "new.demo.example"
        listen(doc, "svc_imap", "imaps").update(port=port)
        doc["plugins"]["conn_smtp"]["config"] = {"relay_networks": ["everywhere"]}
    write(server, change)
    code, answer = server.ctl("config", "reload", check=False)
    assert code and "conn_smtp" in answer["error"]["text"], answer
    assert bound(server) == before and refused(port)
    assert greeting(before["conn_smtp.smtp"][0][1]).startswith(b"220 mail.demo.example ")
    with open(server.file, "w") as f:
        f.write(good)


def test_a_plugin_that_was_off_binds_its_ports_if_it_can():
    port = postbus.free_port()
    with postbus.Server({"plugins": {"svc_pop3": {"enabled": False, "listen": {"pop3": {"port": port}}}}}) as server:
        assert "svc_pop3.pop3" not in bound(server)
        write(server, lambda d: d["plugins"]["svc_pop3"].pop("enabled"))
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", port))
            taken.listen()
            for words in (("config", "reload"), ("plugin", "enable", "svc_pop3")):
                code, answer = server.ctl(*words, check=False)
                assert code == 8 and f"listener pop3 of svc_pop3: cannot listen on 127.0.0.1 port {port}" in answer["error"]["text"], answer
            states = {p["name"]: p["state"] for p in server.ctl("plugin", "list")["plugins"]}
            assert states["svc_pop3"] != "running" and states["conn_smtp"] == "running", states
        assert server.ctl("config", "reload")["changes"] == ["svc_pop3: start"]
        assert greeting(port).startswith(b"+OK")
        write(server, lambda d: d["plugins"]["svc_pop3"].update(enabled=False))
        assert server.ctl("config", "reload")["changes"] == ["svc_pop3: stop"]
        assert refused(port) and "svc_pop3.pop3" not in bound(server)


def test_the_hosts_name_counts_for_new_sessions(server):
    smtp, imap, pop3 = (bound(server)[name][0][1] for name in ("conn_smtp.smtp", "svc_imap.imap", "svc_pop3.pop3"))
    with server.smtp() as s:
        write(server, lambda d: d.update(hostname="renamed.demo.example"))
        assert server.ctl("config", "reload")["changes"] == ["hostname"]
        assert b"mail.demo.example" in s.ehlo()[1], "a session keeps the name it began with"
    assert b"renamed.demo.example" in greeting(smtp)
    assert b"renamed.demo.example" in greeting(imap)
    assert b"renamed.demo.example" in greeting(pop3)
    server.send(postbus.message("under a new name"))
    assert b"by renamed.demo.example" in server.wait_messages(1)[-1]


def test_what_needs_a_start_is_said(server):
    write(server, lambda d: d.update(timeline_days=7))
    assert server.ctl("config", "reload")["changes"] == ["timeline_days: counts from the next start on"]


def make_certificate(server, name, host):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={host}", "-addext",
                    f"subjectAltName=DNS:{host}", "-keyout", f"{server.home}/tls/{name}.key", "-out", f"{server.home}/tls/{name}.pem"], check=True, capture_output=True)
    os.chmod(f"{server.home}/tls/{name}.key", 0o600)
    return ssl.PEM_cert_to_DER_cert(open(f"{server.home}/tls/{name}.pem").read())


def shown(port, host):
    """The certificate that somebody gets who asks for this name."""
    context = ssl._create_unverified_context()
    with socket.create_connection(("127.0.0.1", port), 120) as s, context.wrap_socket(s, server_hostname=host) as t:
        return t.getpeercert(binary_form=True)


def test_certificates_by_name_are_renewed_without_a_restart(server):
    port = server.ports["imaps"]
    first = shown(port, "mail.demo.example")
    other = make_certificate(server, "other", "mail.other.example")
    write(server, lambda d: d["certificates"].append({"cert": "tls/other.pem", "key": "tls/other.key"}))
    assert server.ctl("config", "check")["changes"] == ["certificates"]
    assert server.ctl("config", "reload")["changes"] == ["certificates"]
    assert shown(port, "MAIL.other.example") == other and shown(port, "mail.demo.example") == shown(port, "unknown.example") == first
    assert server.ctl("config", "reload")["changes"] == []
    renewed = make_certificate(server, "other", "mail.other.example")
    assert shown(port, "mail.other.example") == other
    assert server.ctl("config", "check")["changes"] == ["certificates"] and shown(port, "mail.other.example") == other
    os.kill(server.process.pid, signal.SIGHUP)
    postbus.wait(lambda: shown(port, "mail.other.example") == renewed, "the new certificate")
    assert server.ctl("config", "check")["changes"] == []
    # a key that does not fit leaves what was
    make_certificate(server, "third", "mail.third.example")
    os.replace(f"{server.home}/tls/third.key", f"{server.home}/tls/other.key")
    code, answer = server.ctl("config", "reload", check=False)
    assert code == 6 and "certificates[1]" in answer["error"]["text"] and "do not match" in answer["error"]["text"], (code, answer)
    assert shown(port, "mail.other.example") == renewed


postbus.run(sys.modules[__name__])
