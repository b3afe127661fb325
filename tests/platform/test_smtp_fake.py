# SPDX-License-Identifier: GPL-3.0-or-later
"""The outbound queue against every mode of the shared fake-smtpd.py; skipped where that is not at hand (test_smtp_out.py has peers of its own)."""
import atexit, json, os, re, shutil, socket, subprocess, sys, tempfile
import postbus
from postbus import Server, Skip, message, wait

ME = "alice@demo.example"
FAKE = os.path.join(postbus.SHARED, "peers", "fake-smtpd.py")
MODES = 10
state = {}


def make():
    state["port"], state["dir"] = postbus.free_port(MODES), tempfile.mkdtemp(prefix="pb-fake-")
    atexit.register(shutil.rmtree, state["dir"], True)
    if os.path.exists(FAKE):
        atexit.register(subprocess.Popen([sys.executable, FAKE, str(state["port"]), state["dir"]]).kill)
        wait(lambda: reachable(state["port"] + MODES - 1), "the fake server")
    routes = {f"m{mode}.example": f"127.0.0.1:{state['port'] + mode}" for mode in range(MODES)}
    return Server(config={"plugins": {"conn_smtp": {"config": {"routes": routes, "retry_ladder": ["2s", "1h"], "greeting_timeout": "5s", "idle_seconds": 0}}}})


def reachable(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def needs_fake():
    if not os.path.exists(FAKE):
        raise Skip(f"{FAKE} is not there")


def send(s, *locals_, mode=0, sender=ME, text="Hello.\r\n"):
    to = [f"{l}@m{mode}.example" for l in locals_]
    return s.submit(message("to the fake server", text, sender=ME, to=to[0]), to=to, sender=sender)


def ended(s, id, *patterns, seconds=120):
    return wait(lambda: (lambda t: t if all(re.search(p, t) for p in patterns) else None)(s.ctl("trace", id, json_out=False)),
                f"{patterns} in the timeline of {id}", seconds)


def sessions(mode):
    path = os.path.join(state["dir"], "smtp.jsonl")
    if not os.path.exists(path):
        return []
    return [x for x in map(json.loads, open(path)) if x["port"] == state["port"] + mode]


def test_taken(s):
    needs_fake()
    text = ended(s, send(s, "ok"), r"delivered +to=<ok@m0.example> remote=127.0.0.1 250 2.0.0 queued")
    assert "retry" not in text
    one = wait(lambda: next((x for x in sessions(0) if x["msgs"]), None), "the session")
    body = open(os.path.join(state["dir"], one["msgs"][0]), "rb").read()
    assert body.endswith(b"\r\n\r\nHello.\r\n"), body
    assert not any("[no CRLF]" in l for l in one["trace"]), one


def test_refusals_that_may_pass(s):
    needs_fake()
    ids = {l: send(s, l) for l in ("rcpt4", "data4", "dot4", "drop-rcpt", "drop-data", "drop-dot", "421")}
    words = {"rcpt4": "450 4.2.1 later", "data4": "451 4.3.0 later", "dot4": "451 4.3.0 later", "drop-rcpt": "451 4.4.2", "drop-data": "451 4.4.2", "drop-dot": "451 4.4.2",
             "421": "421 4.3.2 bye"}
    for local, id in ids.items():
        text = ended(s, id, r"retry +to=<%s@m0.example> .*%s" % (local, re.escape(words[local])), r"number=2")
        assert not re.search(r"conn_smtp +(failed|delivered) ", text), text


def test_refusals_for_good(s):
    needs_fake()
    for local, words in (("rcpt5", "550 5.1.1 unknown"), ("data5", "554 5.6.0 no"), ("dot5", "554 5.7.1 rejected")):
        text = ended(s, send(s, local), r"failed +to=<%s@m0.example> .*%s" % (local, re.escape(words)), "report.sent")
        assert "retry" not in text


def test_some_recipients(s):
    needs_fake()
    text = ended(s, send(s, "part", "second", "third"), r"delivered +to=<part@m0.example>", r"failed +to=<second@m0.example>", r"failed +to=<third@m0.example>")
    assert "retry" not in text


def test_refused_senders(s):
    needs_fake()
    for local in ("mail4", "mail5"):
        s.ctl("mailbox", "create", f"{local}@demo.example")
        s.ctl("mailbox", "password", f"{local}@demo.example", stdin=postbus.PASSWORD + "\n")
        id = s.submit(message("sender", sender=f"{local}@demo.example"), user=f"{local}@demo.example", to=["ok@m0.example"])
        ended(s, id, r"retry .*451 4.3.0 later" if local == "mail4" else r"failed .*550 5.7.1 no")


def test_long_replies_slow_replies_and_lies(s):
    needs_fake()
    slow = send(s, "slow")
    ended(s, send(s, "multi"), r"delivered +to=<multi@m0.example>")
    text = ended(s, send(s, "lie250"), r"retry +to=<lie250@m0.example> .*451 4.5.0 .*250 2.0.0 ok")
    assert "delivered" not in text
    ended(s, slow, r"delivered +to=<slow@m0.example>")


def test_greetings(s):
    needs_fake()
    ids = {mode: send(s, "ok", mode=mode) for mode in (1, 2, 3, 4, 9)}
    ended(s, ids[1], r"failed .*554 5.3.2 no service")
    ended(s, ids[2], r"retry .*421 4.3.2 try later")
    ended(s, ids[3], r"retry .*451 4.4.2 .*waiting for the greeting")
    ended(s, ids[4], r"(relayed|delivered) +to=<ok@m4.example>")
    ended(s, ids[9], r"retry .*451 4.4.2")


def test_what_it_offers(s):
    needs_fake()
    ended(s, send(s, "ok", mode=5), r"relayed +to=<ok@m5.example>")
    plain = next(x for x in sessions(5) if x["msgs"])
    assert f"C MAIL FROM:<{ME}>" in plain["trace"], plain
    ended(s, send(s, "ok", mode=5, text="8-bit \u00fc\r\n"), r"relayed +to=<ok@m5.example>")
    ended(s, send(s, "ok", mode=6), r"delivered +to=<ok@m6.example>")
    ended(s, send(s, "ok", mode=6, text="x" * 70 + "\r\n" * 4000), r"failed .*552 5.3.4")


def test_tls_that_does_not_come_about(s):
    needs_fake()
    for mode in (7, 8):
        text = ended(s, send(s, "ok", mode=mode), r"delivered +to=<ok@m%d.example>" % mode)
        assert "retry" not in text, text


def test_nothing_came_twice(s):
    needs_fake()
    seen = {}
    for name in os.listdir(state["dir"]):
        if name.endswith(".eml"):
            body = open(os.path.join(state["dir"], name), "rb").read()
            found = re.search(rb"\tfor <(\S+)>", body)
            if found:
                seen.setdefault(found.group(1), []).append(name)
    # what was lost behind the dot, or refused there for now, has to come again
    twice = {k: v for k, v in seen.items() if len(v) > 1 and not k.startswith((b"dot4", b"drop-dot", b"ok@"))}
    assert not twice, twice


postbus.run(sys.modules[__name__], make)
