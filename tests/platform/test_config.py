# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration while the server runs: values that are set, forgotten, read again from the file, and refused as a whole."""
import json, re, signal, sys, threading
import postbus
from smtp_peer import Peer


def address_of(server, name):
    code, answer = server.ctl("dns", "address", name, check=False)
    return answer.get("addresses") if code == 0 else None


def shown(server, plugin, key):
    one = [v for v in server.ctl("config", "show", plugin)["config"] if v["key"] == key][0]
    return one["value"], one["from"]


def write(server, change):
    doc = json.load(open(server.file))
    change(doc)
    json.dump(doc, open(server.file, "w"))


def test_a_plugin_that_cannot_reconfigure_has_a_set_value_at_once(server):
    answer = server.ctl("config", "set", "agent_dns", "local", '["set.example. A 192.0.2.7"]')
    assert answer["value"] == ["set.example. A 192.0.2.7"] and answer["from"] == "set", answer
    assert address_of(server, "set.example") == ["192.0.2.7"]
    server.ctl("config", "set", "agent_dns", "local", '["set.example. A 192.0.2.8"]')
    assert address_of(server, "set.example") == ["192.0.2.8"]
    server.ctl("config", "unset", "agent_dns", "local")
    assert shown(server, "agent_dns", "local") == ([], "default")


def test_a_plugin_that_can_reconfigure_has_a_set_value_at_once(server):
    server.ctl("config", "set", "conn_smtp", "banner", "ESMTP of today")
    with server.smtp() as s:
        assert b"ESMTP of today" in server_greeting(s, server), "greeting"
    assert shown(server, "conn_smtp", "banner") == ("ESMTP of today", "set")
    server.ctl("config", "unset", "conn_smtp", "banner")


def server_greeting(s, server):
    code, text = s.connect("127.0.0.1", server.ports["smtp"])
    assert code == 220, (code, text)
    return text


def test_retry_times_count_at_once():
    dead = postbus.free_port()
    me = "alice@demo.example"
    with postbus.Server(config={"plugins": {"conn_smtp": {"config": {"smart_host": f"127.0.0.1:{dead}", "connect_timeout": "2s"}}}}) as s:
        id = s.submit(postbus.message("out", sender=me, to="x@remote.example"), to=["x@remote.example"])

        def next_try(after=0):
            def deferred():
                item = s.ctl("queue", "show", id)["items"][0]
                tried = item["recipients"][0]["tried"]
                return (tried, round((item["due"] - tried) / 1e6)) if item["state"] == "deferred" and tried > after else None
            return postbus.wait(deferred, "the next attempt to have failed")

        def again(tried):
            s.ctl("queue", "retry", id)
            return next_try(tried)
        tried, pause = next_try()
        assert pause == 900, pause
        s.ctl("config", "set", "conn_smtp", "retry_ladder", '["2h", "3h"]')
        tried, pause = again(tried)
        assert pause == 7200, pause
        s.ctl("config", "unset", "conn_smtp", "retry_ladder")
        tried, pause = again(tried)
        assert pause == 900, "a retry by hand takes no step of the ladder"
        doc = json.load(open(s.file))
        doc["plugins"]["conn_smtp"]["config"]["retry_ladder"] = ["5h"]
        json.dump(doc, open(s.file, "w"))
        s.process.send_signal(signal.SIGHUP)
        s.wait_log("event=reload.done")
        tried, pause = again(tried)
        assert pause == 18000, pause
        s.ctl("config", "set", "conn_smtp", "retry_notice", "1s")

        def told(action):       # the message has to be a second old first
            s.ctl("queue", "retry", id, check=False)
            return any(b"Action: " + action in m for m in s.messages(me))
        postbus.wait(lambda: told(b"delayed"), "the notice of the delay")
        s.ctl("config", "set", "conn_smtp", "retry_expire", "1s")
        postbus.wait(lambda: told(b"failed"), "the report of the failure")
        text = s.ctl("trace", id, json_out=False)
        assert "due=20" in text and "Z " in text and not re.search(r"\d{16}(?!\d*[a-z])", text.replace(id, "")), text
        assert re.search(r"due=\d{16} ", json.dumps(s.ctl("trace", id)))


def test_workers_count_at_once():
    go = threading.Event()

    def hold(session, line):
        go.wait(600)
        return "250 2.1.0 ok"
    p = Peer(replies={"MAIL": hold})
    config = {"routes": {"one.example": f"127.0.0.1:{p.port}", "two.example": f"127.0.0.1:{p.port}"}, "workers": 1}
    with postbus.Server(config={"plugins": {"conn_smtp": {"config": config}}}) as s:
        for to in ("x@one.example", "x@two.example", "y@one.example"):
            s.submit(postbus.message("out", sender="alice@demo.example", to=to), to=[to])
            postbus.wait(lambda: len(p.lines("MAIL")) >= 1, "the first delivery")
        assert len(p.lines("MAIL")) == 1
        s.ctl("config", "set", "conn_smtp", "per_destination", "1")
        s.ctl("config", "set", "conn_smtp", "workers", "10")
        postbus.wait(lambda: len(p.lines("MAIL")) == 2, "a second delivery")
        s.ctl("config", "set", "conn_smtp", "per_destination", "2")
        postbus.wait(lambda: len(p.lines("MAIL")) == 3, "a second one to the same domain")
        go.set()
        postbus.wait(lambda: len(p.messages) == 3, "all of them")


def test_the_file_counts_after_a_reload(server):
    write(server, lambda d: d["plugins"].setdefault("agent_dns", {}).update(config={"local": ["file.example. A 192.0.2.9"], "zones": ["example. static"]}))
    changes = server.ctl("config", "check")["changes"]
    assert changes == ["agent_dns: config"], changes
    server.ctl("config", "reload")
    assert address_of(server, "file.example") == ["192.0.2.9"]
    assert shown(server, "agent_dns", "local") == (["file.example. A 192.0.2.9"], "file")


def test_a_wrong_file_leaves_everything_in_force(server):
    def spoil(doc):
        doc["plugins"]["agent_dns"]["config"]["local"] = ["other.example. A 192.0.2.10"]
        doc["plugins"].setdefault("svc_pop3", {}).update(config={"cleartext_logon": True})
    good = open(server.file).read()
    write(server, spoil)
    code, answer = server.ctl("config", "reload", check=False)
    assert code == 6 and "cleartext_login" in answer["error"]["text"], answer
    server.process.send_signal(signal.SIGHUP)
    server.wait_log("event=reload.refused")
    assert address_of(server, "file.example") == ["192.0.2.9"]
    open(server.file, "w").write(good)


def test_a_secret_comes_from_standard_input_and_is_never_shown(server):
    key = ("config", "set", "conn_smtp", "smart_host_password")
    secret = "rather 'private' \u00e4"
    assert shown(server, "conn_smtp", "smart_host_password") == ("(unset)", "default")
    code, answer = server.ctl(*key, secret, stdin=secret + "\n", check=False)
    assert code == 2 and "never taken from the command line" in answer["error"]["text"], answer
    code, answer = server.ctl(*key, stdin="", check=False)
    assert code == 2 and "nothing was given" in answer["error"]["text"], answer
    code, answer = server.ctl(*key, stdin="in two\0 parts\n", check=False)
    assert code == 2 and "one line of UTF-8" in answer["error"]["text"] and "parts" not in str(answer), answer
    assert shown(server, "conn_smtp", "smart_host_password") == ("(unset)", "default")
    server.ctl("config", "set", "agent_dns", "timeout", "10")
    answer = server.ctl(*key, stdin=secret + "\n")
    assert (answer["value"], answer["from"]) == ("(set)", "set"), answer
    code, answer = server.ctl(*key, stdin="x" * 300 + "\n", check=False)
    assert code == 6 and "xxx" not in str(answer) and "255 bytes" in str(answer), answer
    for words in (("config", "show"), ("config", "show", "conn_smtp"), ("plugin", "show", "conn_smtp")):
        assert "private" not in server.ctl(*words, json_out=False) + json.dumps(server.ctl(*words)), words
    assert "private" not in server.log() and "xxx" not in server.log()
    server.stop()
    code, answer = server.ctl(*key, stdin="another\n", check=False)
    assert code == 0 and answer["value"] == "(set)", (code, answer)
    server.start()
    assert shown(server, "conn_smtp", "smart_host_password") == ("(set)", "set")
    server.ctl("config", "unset", "conn_smtp", "smart_host_password")
    assert shown(server, "conn_smtp", "smart_host_password") == ("(unset)", "default")


def test_a_secret_is_asked_for_twice_at_a_terminal_and_not_echoed(server):
    import os, pty, subprocess
    ours, theirs = pty.openpty()
    command = [postbus.program("postbusctl"), "-c", server.file, "config", "set", "conn_smtp", "smart_host_password"]
    process = subprocess.Popen(command, env=server.env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""

    def until(word):
        nonlocal said
        while word not in said:
            said += os.read(ours, 1000)
    until(b"value: ")
    os.write(ours, b"hush hush\n")
    until(b"value again: ")
    os.write(ours, b"hush hush\n")
    until(b"(set)")
    assert process.wait(120) == 0 and b"hush" not in said, said
    os.close(ours)
    server.ctl("config", "unset", "conn_smtp", "smart_host_password")


def test_metrics_bear_the_prefix_once(server):
    names = [l.split()[2] for l in server.ctl("metrics", json_out=False).splitlines() if l.startswith("# TYPE")]
    assert "postbus_sessions" in names and not [n for n in names if n.startswith("postbus_postbus")], names


postbus.run(sys.modules[__name__])
