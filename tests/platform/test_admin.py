# SPDX-License-Identifier: GPL-3.0-or-later
"""What an administrator does while the server runs: plugins, configuration, queue, traces, reload; and what he is told when something is wrong."""
import fcntl, glob, imaplib, json, os, pty, pwd, re, shutil, signal, socket, ssl, stat, subprocess, sys, tempfile, time
import postbus
from postbus import PASSWORD, Server, message, wait

ALICE = "alice@demo.example"


def fails(s, want, *words, code=6, stdin=None):
    """The command fails with this exit code, and says all of want."""
    got, answer = s.ctl(*words, check=False, stdin=stdin)
    text = answer["error"]["text"] if isinstance(answer, dict) and "error" in answer else str(answer)
    assert got == code, (got, text)
    for one in want if isinstance(want, (list, tuple)) else [want]:
        assert one in text, (one, text)
    return text


def edit(s, change):
    """Changes postbus.json; gives what was there."""
    old = open(s.file).read()
    doc = json.loads(old)
    change(doc)
    with open(s.file, "w") as f:
        json.dump(doc, f)
    return old


def value(s, plugin, key):
    return next((v["value"], v["from"]) for v in s.ctl("config", "show", plugin)["config"] if v["key"] == key)


# ---- plugins ----

def test_a_lane_can_be_asked_for_before_anything_came():
    with postbus.Server() as server:
        for lane in ("conn_smtp.outgoing", "conn_postoffice.outgoing"):
            assert server.ctl("queue", "list", "--lane", lane)["items"] == []
            assert server.ctl("queue", "retry", "--lane", lane)["items"] == 0
        code, answer = server.ctl("queue", "list", "--lane", "conn_smtp.outgong", check=False)
        assert code == 3, answer


def by_themselves():
    """The plugins of this tree, and whether each runs where nobody has said."""
    folder = os.path.join(postbus.TOP, "plugins")
    return {n: json.load(open(os.path.join(folder, n, n + ".json"))).get("enabled", True) for n in os.listdir(folder) if os.path.exists(os.path.join(folder, n, n + ".json"))}


def test_plugins_are_listed_and_shown(s):
    assert s.states() == {name: "running" if runs else "disabled" for name, runs in by_themselves().items()}
    one = s.ctl("plugin", "show", "svc_imap")
    assert one["state"] == "running" and one["manifest"]["name"] == "svc_imap"
    assert {l["name"]: l["port"] for l in one["listeners"]} == {n: s.ports[n] for n in ("imap", "imaps")}
    fails(s, ["svc_imapp", "did you mean 'svc_imap'?"], "plugin", "show", "svc_imapp", code=3)


def test_mail_waits_for_a_disabled_connector(s):
    s.ctl("plugin", "disable", "conn_postoffice")
    assert s.states()["conn_postoffice"] == "disabled"
    before = len(s.messages())
    for k in range(3):
        s.send(message(f"waits {k}"))
    wait(lambda: [i for i in s.ctl("queue", "list", "--lane", "conn_postoffice.outgoing")["items"] if i["state"] == "ready"][2:], "three that wait")
    assert len(s.messages()) == before
    s.ctl("plugin", "enable", "conn_postoffice")
    got = s.wait_messages(before + 3)
    assert len(got) == before + 3
    assert sorted(m.count(b"Subject: waits") for m in got)[-3:] == [1, 1, 1]


def test_a_disabled_service_says_bye_and_others_go_on(s):
    i, p = s.imap(), s.pop3()
    ports = dict(s.ports)
    s.ctl("plugin", "disable", "svc_imap")
    assert b"* BYE" in i.readline()
    assert p.stat()[0] >= 0
    try:
        socket.create_connection(("127.0.0.1", ports["imaps"]), 5).close()
        raise AssertionError("the port of a disabled plugin is open")
    except ConnectionRefusedError:
        pass
    p.quit()
    s.ctl("plugin", "enable", "svc_imap")
    s.ports.update({l["name"]: l["port"] for l in s.ctl("plugin", "show", "svc_imap")["listeners"]})
    assert isinstance(s.messages(), list)


def test_a_reload_keeps_the_port(s):
    p = s.pop3()
    port = s.ports["pop3s"]
    s.ctl("plugin", "reload", "svc_imap")
    assert p.noop()
    s.ctl("plugin", "reload", "svc_pop3")
    assert s.ctl("plugin", "show", "svc_pop3")["listeners"][1]["port"] == port
    s.pop3().quit()


def test_disabled_survives_a_restart():
    with Server() as s:
        s.ctl("plugin", "disable", "svc_pop3")
        s.ctl("config", "set", "conn_smtp", "recipients_max", "700")
        assert s.stop() == 0
        s.start()
        assert s.states()["svc_pop3"] == "disabled" and "pop3" not in s.ports
        assert value(s, "conn_smtp", "recipients_max") == (700, "set")
        s.ctl("config", "unset", "conn_smtp", "recipients_max")
        assert value(s, "conn_smtp", "recipients_max")[1] == "default"


PROBE = r"""
#include <stdlib.h>
#include <postbus/plugin.h>
#include <postbus/bus.h>
#include <postbus/table.h>
#if ABI_NEWER
#undef PB_ABI_MINOR
#define PB_ABI_MINOR 99
#endif
#if UNDEFINED
void nobody_has_this(void);
#endif
static struct pb_host *door;
static int load(struct pb_host *host, void **ret_self, struct pb_error *err)
{
	(void)err;
	door = host;
	*ret_self = &door;
#if UNDEFINED
	nobody_has_this();
#endif
#if LOAD_FAILS
	return pb_fail(err, PB_EUNAVAILABLE, "the moon is in the wrong house");
#endif
	return 0;
}
static int call(void *self, const struct pb_caller *who, const json_t *params, json_t **ret, struct pb_error *err)
{
	struct pb_table *t;
	(void)self, (void)who;
	*ret = NULL;
	if (!strcmp(json_string_value(json_object_get(params, "what")), "table"))
		return pb_table_open(door, "t", &t, err);
	return pb_call(door, json_string_value(json_object_get(params, "what")), NULL, ret, err);
}
static const struct pb_method methods[] = { { METHOD, call }, { 0 } };
const struct pb_plugin SYMBOL __attribute__((visibility("default"))) = { PB_PLUGIN_HEAD(NAME), .load = load, .methods = methods };
"""


def build(where, name, flags=(), symbol=None, **manifest):
    """A small plugin, compiled here; manifest: what differs from one that works."""
    doc = {"name": name, "kind": "agent", "version": "1.0.0", "sdk": "1.0", "summary": "Probes",
           "provides": {"methods": {name + ".call": {"summary": "Call", "role": "admin", "params": {"what": {"type": "string", "required": True, "position": 1, "doc": "What."}}}}}}
    doc.update(manifest)
    with open(os.path.join(where, name + ".json"), "w") as f:
        json.dump(doc, f)
    if flags is None:
        return
    root = os.environ.get("POSTBUS_BIN")
    include = os.path.join(os.path.dirname(root), "include") if root else os.path.join(postbus.TOP, "sdk", "include")
    lib = os.path.join(os.path.dirname(root), "lib") if root else os.path.join(postbus.BUILD, ".libs")
    source = os.path.join(where, name + ".c")
    with open(source, "w") as f:
        f.write(PROBE)
    subprocess.run(["cc", "-std=gnu11", "-w", "-fPIC", "-shared", "-I", include, f"-DNAME=\"{name}\"", f"-DMETHOD=\"{name}.call\"", f"-DSYMBOL={symbol or name + '_LTX_pb_plugin'}",
                    *flags, "-o", os.path.join(where, name + ".so"), source, "-L", lib, "-lpostbus", "-ljansson"], check=True)


def others():
    root = os.environ.get("POSTBUS_BIN")
    return os.path.join(os.path.dirname(root), "lib", "postbus", "plugins") if root else postbus.plugin_dir()


def test_a_broken_plugin_is_left_out():
    if not shutil.which("cc"):
        raise postbus.Skip("no C compiler")
    where = tempfile.mkdtemp(prefix="pb-broken-")
    build(where, "fine")
    build(where, "wrong_manifest", None, kindd="agent")
    build(where, "no_object", None)
    build(where, "undefined", ["-DUNDEFINED"])
    build(where, "newer", ["-DABI_NEWER"])
    build(where, "newer_sdk", sdk="1.99")
    build(where, "moon", ["-DLOAD_FAILS"])
    build(where, "needs_more", requires=["nobody.provides"])
    build(where, "no_symbol", symbol="something")
    build(where, "unnamed", provides={"methods": {}})
    with open(os.path.join(where, "no_json.json"), "w") as f:
        f.write("{ \"name\": ")
    try:
        with Server(config={"plugin_path": [where, others()]}) as s:
            s.send(message("still serves"))
            s.wait_messages(1)
            state = s.states()
            assert state["fine"] == "running" and state["svc_imap"] == "running"
            log = s.log()
            for name, want in (("wrong_manifest", r'unknown key \\?"kindd\\?"; did you mean \\?"kind\\?"'), ("no_object", "no_object.so"), ("undefined", "nobody_has_this"),
                               ("newer", r"built for plugin ABI 1.99"), ("newer_sdk", r"written for SDK 1.99"), ("moon", "the moon is in the wrong house"),
                               ("needs_more", "requires nobody.provides"), ("no_symbol", "no_symbol_LTX_pb_plugin"), ("unnamed", "offers the method unnamed.call"),
                               ("no_json", r"line 1")):
                lines = [l for l in log.splitlines() if "event=plugin.left_out" in l and re.search(rf"(plugin={name} |/{name}\.json )", l)]
                assert len(lines) == 1 and re.search(want, lines[0]), (name, lines)
                assert state.get(name, "failed") == "failed", (name, state)
            # rights: what the manifest does not name is refused, and the log says what to do
            fails(s, "does not name directory.resolve in \"requires\"", "fine", "call", "directory.resolve", code=4)
            fails(s, "does not name table in \"requires\"", "fine", "call", "table", code=4)
            assert re.search(r"event=denied plugin=fine method=directory.resolve help=.*fine.json", s.log())
            assert re.search(r"event=denied plugin=fine right=table", s.log())
    finally:
        shutil.rmtree(where)


def test_a_required_plugin_that_fails_stops_the_server():
    if not shutil.which("cc"):
        raise postbus.Skip("no C compiler")
    where = tempfile.mkdtemp(prefix="pb-broken-")
    build(where, "moon", ["-DLOAD_FAILS"], required=True)
    try:
        with Server(config={"plugin_path": [where, others()]}, start=False) as s:
            s.start(wait=False)
            assert s.process.wait(120) == 1
            assert re.search(r"postbusd: the plugin moon is required: .*wrong house", s.log()), s.log()
    finally:
        shutil.rmtree(where)


# ---- configuration ----

def test_config_show_says_where_values_come_from(s):
    assert value(s, "conn_smtp", "recipients_max")[1] == "default"
    s.ctl("config", "set", "conn_smtp", "recipients_max", "500")
    assert value(s, "conn_smtp", "recipients_max") == (500, "set")
    s.ctl("config", "unset", "conn_smtp", "recipients_max")
    own = {v["key"]: (v["value"], v["from"]) for v in s.ctl("config", "show")["config"] if v["plugin"] == "postbus.json"}
    assert own["hostname"] == ("mail.demo.example", "file"), own
    assert own["limits.per_source"] == (100, "default"), own


def test_config_show_says_who_enabled_a_plugin_and_where_it_listens():
    port = postbus.free_port()
    with Server(config={"plugins": {"svc_managesieve": {"enabled": False}, "svc_pop3": {"listen": {"pop3": {"port": port}}}, "agent_bayes": {"config": {"least": 10}}}}) as s:
        def of(key):
            return next((v["value"], v["from"]) for v in s.ctl("config", "show", key.split(".")[1])["config"] if (v["plugin"], v["key"]) == ("postbus.json", key))
        assert of("plugins.svc_managesieve.enabled") == (False, "file")
        assert of("plugins.svc_pop3.enabled") == (True, "default")
        assert of("plugins.svc_pop3.listen.pop3.port") == (port, "file")
        assert of("plugins.svc_pop3.listen.pop3.address") == (["127.0.0.1"], "default")
        assert of("plugins.svc_lmtp.listen.lmtp.enabled") == (False, "default")
        # a file that has values for a plugin does not enable it
        assert of("plugins.agent_bayes.enabled") == (False, "default") and s.states()["agent_bayes"] == "disabled"
        s.ctl("plugin", "enable", "svc_managesieve")
        s.ctl("plugin", "disable", "svc_pop3")
        assert of("plugins.svc_managesieve.enabled") == (True, "set") and of("plugins.svc_pop3.enabled") == (False, "set")
        everything = s.ctl("config", "show")["config"]
        assert {"plugins.svc_pop3.enabled", "plugins.conn_smtp.listen.smtp.proxies"} <= {v["key"] for v in everything if v["plugin"] == "postbus.json"}


def test_wrong_values_are_refused(s):
    fails(s, ["conn_smtp", "recipients_max", 'found "many"', "allowed is an integer"], "config", "set", "conn_smtp", "recipients_max", "many")
    fails(s, ["recipients_max", "found 0", "allowed"], "config", "set", "conn_smtp", "recipients_max", "0")
    fails(s, ["no key 'recipient_max'", "did you mean 'recipients_max'?"], "config", "set", "conn_smtp", "recipient_max", "5")
    fails(s, "did you mean 'conn_smtp'?", "config", "set", "con_smtp", "recipients_max", "5", code=3)
    assert value(s, "conn_smtp", "recipients_max")[1] == "default"


def test_a_plugin_that_is_not_installed_and_disabled_is_told_of():
    with Server(config={"plugins": {"svc_imaq": {"enabled": False}}}) as s:
        s.wait_log(r"level=warning event=plugin\.unknown plugin=svc_imaq nearest=svc_imap ")


def test_names_in_tables_whatever_the_locale(s):
    s.ctl("mailbox", "create", "\u00e4nnchen@demo.example", "--name", "\u00c4nnchen \U0001f600")
    s.env["LC_ALL"] = "C"
    try:
        said = s.ctl("mailbox", "list", json_out=False)
        assert "\u00e4nnchen@demo.example " in said and "\u00c4nnchen \U0001f600" in said, said
        assert len({line.index(" admin ") if " admin " in line else line.index(" user ") for line in said.splitlines()[1:] if "\U0001f600" not in line}) == 1, said
    finally:
        del s.env["LC_ALL"]
        s.ctl("mailbox", "delete", "\u00e4nnchen@demo.example")


def test_no_control_character_reaches_the_terminal(s):
    script = "# \x1b[31m red \u009b31m\nkeep;\n"
    with tempfile.NamedTemporaryFile("w") as f:
        f.write(script)
        f.flush()
        s.ctl("script", "put", "--mailbox", "bob@demo.example", "colours", f.name)
    words = ["script", "get", "--mailbox", "bob@demo.example", "colours"]
    assert "\x1b[31m" in s.ctl(*words, json_out=False)
    ours, theirs = pty.openpty()
    process = subprocess.Popen([postbus.program("postbusctl"), "-c", s.file] + words, env=s.env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    while b"keep;" not in said:
        said += os.read(ours, 1000)
    assert process.wait(120) == 0
    os.close(ours)
    assert b"\x1b" not in said and b"\xc2\x9b" not in said and b" red " in said, said


def test_a_wrong_file_does_not_start():
    with Server(start=False) as s:
        for change, want in ((lambda d: d.update(hostnam="x"), ['unknown key "hostnam"', 'did you mean "hostname"?']),
                             (lambda d: d.update(limits={"per_source": "many"}), ["limits.per_source", 'found "many"', "allowed is an integer"]),
                             (lambda d: d.update(version=2), ["version", "found 2", "reads version 1"]),
                             (lambda d: d["plugins"].setdefault("conn_smtp", {}).update(config={"recipients_max": -1}), ["plugins.conn_smtp.config", "recipients_max", "found -1"]),
                             (lambda d: d["plugins"].update(svc_imaq={}), ["plugins.svc_imaq", 'did you mean "svc_imap"?']),
                             (lambda d: d.update(certificates=[{"cert": "tls/none.pem", "key": "tls/key.pem"}]), ["none.pem"])):
            old = edit(s, change)
            begin = os.path.getsize(s.log_path) if os.path.exists(s.log_path) else 0
            s.start(wait=False)
            assert s.process.wait(120) == 1
            said = s.log()[begin:]
            assert all(w in said for w in want), (want, said)
            if "none.pem" not in want:
                assert s.file in said, said
                done = subprocess.run([postbus.program("postbusctl"), "-c", s.file, "config", "check"], env=s.env, capture_output=True, text=True)
                assert done.returncode and all(w in done.stderr + done.stdout for w in want), done
            with open(s.file, "w") as f:
                f.write(old)
        with open(s.file, "w") as f:
            f.write("{ \"version\": 1,\n oops }")
        s.start(wait=False)
        assert s.process.wait(120) == 1 and "line 2" in s.log()
        with open(s.file, "w") as f:
            f.write(old)
        assert s.ctl("config", "check")


def hup(s, event):
    begin = len(s.log())
    s.process.send_signal(signal.SIGHUP)
    return wait(lambda: re.search(rf"event={event} .*", s.log()[begin:]), f"event={event}").group(0)


def fingerprint(s):
    with socket.create_connection(("127.0.0.1", s.ports["imaps"]), 120) as raw, postbus.no_check().wrap_socket(raw) as c:
        return c.getpeercert(True)


def test_a_reload_is_all_or_nothing(s):
    i = s.imap()
    good = edit(s, lambda d: (d["plugins"]["conn_smtp"].update(config={"recipients_max": 300}), d.update(hostnam="x")))
    try:
        assert "did you mean" in hup(s, "reload.refused")
        assert value(s, "conn_smtp", "recipients_max")[1] == "default"
        fails(s, "hostnam", "config", "reload")
        fails(s, "hostnam", "config", "check")
        with open(s.file, "w") as f:
            f.write(good)
        # a certificate that cannot be read refuses everything beside it too
        edit(s, lambda d: (d["plugins"]["conn_smtp"].update(config={"recipients_max": 300}), d.update(certificates=[{"cert": "tls/none.pem", "key": "tls/key.pem"}])))
        assert "none.pem" in hup(s, "reload.refused")
        assert value(s, "conn_smtp", "recipients_max")[1] == "default"
        with open(s.file, "w") as f:
            f.write(good)
        edit(s, lambda d: (d["plugins"]["conn_smtp"].update(config={"recipients_max": 300}), d.update(log={"level": "debug"})))
        old = fingerprint(s)
        other = Server(start=False, demo=False)
        for name in ("cert.pem", "key.pem"):
            shutil.copy(os.path.join(other.home, "tls", name), os.path.join(s.home, "tls", name))
        other.remove()
        hup(s, "reload.done")
        assert fingerprint(s) != old
        assert value(s, "conn_smtp", "recipients_max") == (300, "file")
        assert "level=debug" in s.log()
        assert i.noop()[0] == "OK"      # who was here goes on
    finally:
        with open(s.file, "w") as f:
            f.write(good)
        hup(s, "reload.done")
    assert value(s, "conn_smtp", "recipients_max")[1] == "default"


# ---- the tool ----

def test_exit_codes(s):
    assert s.ctl("frob", check=False)[0] == 2
    assert s.ctl("queue", "list", "--frob", check=False)[0] == 2
    code, out = tool("mailbox", "frob", home=s.home)[:2]
    assert code == 2 and "mailbox show" in out and "queue list" not in out, out      # what is near
    assert tool("mailbox", "x" * 300, home=s.home)[0] == 2
    fails(s, "nosuch", "mailbox", "show", "nosuch@demo.example", code=3)
    fails(s, "", "mailbox", "create", ALICE, code=5)
    fails(s, "", "mailbox", "create", "no address", code=6)
    with Server(start=False) as down:
        assert down.ctl("status", check=False)[0] == 7
        assert down.ctl("mailbox", "list", check=False)[0] == 0     # offline


def test_passwords_never_come_from_the_command_line(s):
    assert s.ctl("mailbox", "password", ALICE, "hunter2", check=False)[0] == 2
    fails(s, "never taken from the command line", "mailbox", "password", ALICE, "--password", "hunter2", code=2)
    fails(s, "never taken from the command line", "mailbox", "password", ALICE, "--password=hunter2", code=2)
    s.ctl("mailbox", "password", ALICE, stdin=PASSWORD + "\n")
    s.imap().logout()
    assert PASSWORD not in s.log() and "hunter2" not in s.log()


def test_modes_of_the_home(s):
    assert stat.S_IMODE(os.stat(os.path.join(s.home, "control.sock")).st_mode) == 0o600
    for folder, folders, files in os.walk(s.home):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700, folder
        for name in files:
            path = os.path.join(folder, name)
            if path not in (s.log_path, s.file) and not os.path.islink(path):
                assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600, path


def test_a_link_in_the_home_is_refused():
    for name in ("store", "timeline", "spool", "postbusd.lock"):
        with Server(start=False) as s:
            place, away = os.path.join(s.home, name), os.path.join(s.home, "away")
            if os.path.exists(place):
                os.rename(place, away)
            elif name != "postbusd.lock":
                os.mkdir(away)
            os.symlink(away, place)
            s.start(wait=False)
            assert s.process.wait(120) == 1, name
            assert place in s.log(), s.log()


def test_one_daemon_for_a_home(s):
    second = subprocess.run([postbus.program("postbusd"), "-c", s.file], env=s.env, capture_output=True, text=True, timeout=120)
    assert second.returncode == 1 and "another postbusd runs on this home" in second.stderr, second
    assert s.ctl("status")["pid"] == s.process.pid


# ---- the tool ----

def tool(*words, home=None, env=None):
    """Exit code and output of postbusctl with these words alone."""
    e = {k: v for k, v in os.environ.items() if k != "POSTBUS_CONFIG"}
    e.update(env or {})
    if home:
        e["POSTBUS_CONFIG"] = os.path.join(home, "postbus.json")
    r = subprocess.run([postbus.program("postbusctl"), *words], env=e, capture_output=True, text=True, timeout=120)
    # what the look for leaks says of itself on a busy machine
    return r.returncode, r.stdout, re.sub(r"(?m)^==\d+==Running thread \d+ was not suspended\..*\n", "", r.stderr)


def test_everything_speaks_json(s):
    assert json.loads(tool("--json", "--version")[1])["version"]
    assert tool("--json")[0] == 2 and json.loads(tool("--json")[1])["error"]["code"]
    assert "queue.list" in json.loads(tool("--json", "help", home=s.home)[1])["commands"]
    assert list(json.loads(tool("--json", "help", "queue", "list", home=s.home)[1])["commands"]) == ["queue.list"]
    assert tool("--json", "help", "frob", home=s.home)[0] == 2
    assert "--refresh-token-stdin " in tool("help", "retrieve", "add", home=s.home)[1]
    assert re.search(r"--role +.* One of: user, admin, system\.\n", tool("help", "mailbox", "create", home=s.home)[1])
    assert json.loads(tool("--json", "status")[1])["error"]["text"].startswith("name the home")
    new = os.path.join(s.home, "new")
    for words, says in ((["--frob", "status"], "--frob"), (["init"], "one directory"), (["init", new, "--frob"], "--frob"), (["init", new, "--port-base", "x"], "found x"),
                        (["init", new, "--password", "correct horse"], "--demo"), (["backup"], "missing"), (["restore"], "missing"), (["import"], "kind"), (["import", "tape", new], "kind"),
                        (["import", "maildir", new, "--frob"], "--frob"), (["import", "maildir", new, "--date", "x"], "--date"), (["import", "maildir", new], "options")):
        code, out, err = tool("--json", *words, home=s.home)
        assert code == 2 and not err and says in json.loads(out)["error"]["text"], (words, code, out, err)
        code, out, err = tool(*words, home=s.home)
        assert code == 2 and not out and says in err and "Usage: " in err, (words, code, out, err)
    assert not os.path.exists(new)


def test_what_is_missing_is_wrong_usage(s):
    fails(s, "address is missing", "mailbox", "create", code=2)
    fails(s, "no lane 'nosuch'", "queue", "list", "--lane", "nosuch", code=3)
    fails(s, "no lane 'nosuch'", "queue", "hold", "--lane", "nosuch", code=3)
    fails(s, "since: found", "trace", "--since", "2026-02-30")
    fails(s, "cannot be a member of itself", "group", "create", "own@demo.example", "--members", "own@demo.example")


def test_a_backup_does_not_go_into_the_home(s):
    for place in (s.home, os.path.join(s.home, "store"), os.path.join(s.home, "new"), os.path.dirname(s.home)):
        fails(s, "a backup belongs outside the home", "backup", place)
    assert not os.path.exists(os.path.join(s.home, "new"))
    assert s.ctl("store", "verify")["ok"]


def test_a_broken_file_does_not_cut_off_the_tool(s):
    old = open(s.file).read()
    try:
        open(s.file, "w").write("garbage")
        assert s.states()["conn_smtp"] == "running"
        assert s.ctl("config", "check", check=False)[0] == 6
    finally:
        open(s.file, "w").write(old)


def is_held(s):
    with open(os.path.join(s.home, "postbusd.lock")) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_command_waits_for_a_daemon_that_starts():
    with Server(start=False) as s:
        s.start(wait=False)
        wait(lambda: is_held(s), "the lock")
        assert s.ctl("status")["pid"] == s.process.pid


def test_a_daemon_waits_for_a_command_that_works_without_it():
    with Server(start=False) as s:
        assert s.states() == {name: "ready" if runs else "disabled" for name, runs in by_themselves().items()}
        # One that is asked for a password holds the home until it has it.
        asked = subprocess.Popen([postbus.program("postbusctl"), "-c", s.file, "mailbox", "password", ALICE], env=s.env, stdin=subprocess.PIPE)
        wait(lambda: is_held(s), "the lock")
        s.start(wait=False)
        asked.communicate(PASSWORD.encode() + b"\n", timeout=120)
        assert asked.returncode == 0
        s.wait_ready()
        s.imap().logout()


def test_a_lock_without_the_mark_of_a_daemon_is_waited_for():
    # So it looks for a moment to a daemon that starts while postbusctl has asked whether one runs, or begins to work without one; whatever an earlier daemon left behind.
    with Server(start=False) as s:
        path = os.path.join(s.home, "postbusd.lock")
        for left_behind in ("", "daemon\n"):
            with open(path, "w") as lock:
                lock.write(left_behind)
                lock.flush()
                fcntl.flock(lock, fcntl.LOCK_EX)
                s.start(wait=False)
                wait(lambda: s.process.poll() is not None or any(os.path.realpath(f) == path for f in glob.glob(f"/proc/{s.process.pid}/fd/*")), "the daemon at the lock")
                assert s.process.poll() is None, s.log()
            s.wait_ready()
            s.stop()


def test_what_keeps_a_command_from_working_without_a_daemon_is_its_answer():
    with Server(start=False) as s:
        with open(os.path.join(s.home, "store", "FORMAT"), "w") as f:
            f.write("no store\n")
        for words in (["mailbox", "list"], ["store", "verify"], ["backup", s.home + "-copy"]):
            code, out, err = tool("--json", *words, home=s.home, env=s.env)
            assert code == 1 and not err and json.loads(out)["error"]["code"] == "corrupt", (words, code, out, err)
            code, out, err = tool(*words, home=s.home, env=s.env)
            assert code == 1 and not out and re.fullmatch(r"postbusctl: \S*/store/FORMAT does not say .*\n", err), (words, code, out, err)
        shutil.rmtree(s.home + "-copy", ignore_errors=True)


def test_init_makes_a_home_or_nothing():
    where = tempfile.mkdtemp(prefix="pb-init-")
    try:
        home = os.path.join(where, "h")
        assert tool("init", home, "--hostname", "bad host name")[0] == 6 and not os.path.exists(home)
        assert tool("init", home, "--listen", "bogus")[0] == 6 and not os.path.exists(home)
        assert tool("init", home, "--password", "of nobody 1")[0] == 2 and not os.path.exists(home)
        assert tool("init", home, "--demo", "--password", "x" * 256)[0] == 2 and not os.path.exists(home)
        rc, _, said = tool("init", home, env={"POSTBUSD": "/bin/false"})
        assert rc and not os.path.exists(home), said
        os.mkdir(home)
        open(os.path.join(home, "mine"), "w").close()
        assert tool("init", home)[0] == 5 and os.listdir(home) == ["mine"]
        os.unlink(os.path.join(home, "mine"))
        assert tool("init", home, "--port-base", "3000", "--listen", "127.0.0.1", "--listen", "::1")[0] == 0
        assert json.load(open(os.path.join(home, "postbus.json")))["listen"] == ["127.0.0.1", "::1"]
        assert tool("init", home)[0] == 5
    finally:
        shutil.rmtree(where)


def test_what_is_installed_names_real_places():
    for name in ("packaging/postbus.service", "tools/postbus-plugin"):
        text = open(os.path.join(postbus.BUILD, name)).read()
        assert not re.search(r"@[a-z]+dir@", text), name


# ---- queue, traces, figures ----

def test_the_queue_is_managed(s):
    s.ctl("plugin", "disable", "conn_postoffice")
    try:
        one, two = s.send(message("keep")), s.send(message("drop"), sender="other@remote.example")
        items = wait(lambda: (lambda l: l if len([i for i in l if i["lane"] == "conn_postoffice.outgoing"]) == 2 else None)(s.ctl("queue", "list")["items"]), "two items")
        assert {i["id"] for i in items} == {one, two}
        assert [i["id"] for i in s.ctl("queue", "list", "--sender", "other@remote.example")["items"]] == [two]
        assert s.ctl("queue", "show", one)["items"][0]["sender"] == "someone@remote.example"
        s.ctl("queue", "hold", one)
        assert s.ctl("queue", "show", one)["items"][0]["state"] == "held"
        assert [i["id"] for i in s.ctl("queue", "list", "--state", "held")["items"]] == [one]
        s.ctl("queue", "delete", two)
        fails(s, two, "queue", "show", two, code=3)
    finally:
        s.ctl("plugin", "enable", "conn_postoffice")
    before = len(s.messages())
    s.send(message("passes the held one"))
    s.wait_messages(before + 1)
    assert s.ctl("queue", "show", one)["items"][0]["state"] == "held"
    s.ctl("queue", "release", one)
    s.wait_messages(before + 2)
    assert not any(b"Subject: drop" in m for m in s.messages())


def test_deferred_mail_is_tried_again():
    dead = postbus.free_port()
    with Server(config={"plugins": {"conn_smtp": {"config": {"smart_host": f"127.0.0.1:{dead}"}}}}) as s:
        id = s.submit(message("out", to="x@remote.example", sender=ALICE), to=["x@remote.example"])
        wait(lambda: s.ctl("queue", "show", id)["items"][0]["state"] == "deferred", "deferred")
        tries = s.ctl("queue", "show", id)["items"][0]["attempts"]
        s.ctl("queue", "retry", id)
        wait(lambda: s.ctl("queue", "show", id)["items"][0]["attempts"] > tries, "another attempt")


def test_traces(s):
    id = s.send(message("traced"), sender="tracer@remote.example")
    wait(lambda: "delivered" in [e["what"] for e in s.ctl("trace", id)["messages"][0]["events"]], "its delivery")
    events = s.ctl("trace", id)["messages"][0]["events"]
    who = [e["who"] for e in events]
    assert who[0] == "conn_smtp" and who.index("agent_mta") < who.index("conn_postoffice") and events == sorted(events, key=lambda e: e["time"])
    assert [m["id"] for m in s.ctl("trace", "--from", "tracer@remote.example")["messages"]] == [id]
    assert id in [m["id"] for m in s.ctl("trace", "--to", ALICE, "--since", "1h")["messages"]]
    assert id not in [m["id"] for m in s.ctl("trace", "--from", "nobody@remote.example", "--since", "1h")["messages"]]
    assert s.ctl("trace", "--since", "yesterday", check=False)[0] == 6
    fails(s, "nothing is known", "trace", "nosuchid", code=3)
    text = s.ctl("trace", id, json_out=False)
    assert id in text and "conn_postoffice" in text


def test_metrics_are_prometheus_text(s):
    types, seen = {}, {}
    for line in s.ctl("metrics", json_out=False).splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, line
            types[name] = kind
        elif line.startswith("# HELP ") or not line:
            continue
        else:
            m = re.fullmatch(r'([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*",?)*\})? (-?[\d.]+(?:e[+-]?\d+)?|\+Inf|NaN)', line)
            assert m, line
            base = re.sub(r"_(bucket|sum|count)$", "", m.group(1))
            assert m.group(1) in types or types.get(base) == "histogram", line
            assert (m.group(1), m.group(2)) not in seen, line
            seen[m.group(1), m.group(2)] = float(m.group(3).replace("+Inf", "inf"))
    assert seen["postbus_sessions_total", None] > 0
    assert any(name == "postbus_queue_accepted_total" for name, _ in seen)


def test_status(s):
    status = s.ctl("status")
    assert status["pid"] == s.process.pid and status["home"] == os.path.realpath(s.home)
    assert {l["name"] for l in status["listeners"]} == set(s.ports)
    assert "running" in s.ctl("status", json_out=False)


# ---- the end ----

def test_the_lock_that_root_makes_belongs_to_the_daemons_user():
    if os.geteuid() != 0:
        raise postbus.Skip("not root")
    user = pwd.getpwnam("nobody")
    with Server(config={"user": user.pw_name}, start=False) as s:
        lock = os.path.join(s.home, "postbusd.lock")
        os.unlink(lock)
        for place, dirs, files in os.walk(s.home):
            for name in [place] + [os.path.join(place, f) for f in files]:
                os.chown(name, user.pw_uid, user.pw_gid)
        assert s.ctl("domain", "list")["domains"]       # no daemon runs
        assert os.stat(lock).st_uid == user.pw_uid


def test_notify_and_end():
    where = tempfile.mkdtemp(prefix="pb-notify-")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(os.path.join(where, "n"))
        manager.settimeout(120)
        s = Server(start=False)
        s.env["NOTIFY_SOCKET"] = os.path.join(where, "n")
        with s:
            s.start()
            assert manager.recv(100) == b"READY=1"
            imap, smtp = s.imap(), s.smtp()
            smtp.ehlo()
            assert s.stop() == 0
            assert manager.recv(100).startswith(b"STOPPING=1")
            assert imap.readline().startswith(b"* BYE")
            assert smtp.getreply()[0] == 421
    shutil.rmtree(where)


postbus.run(sys.modules[__name__])
