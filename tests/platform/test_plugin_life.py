# SPDX-License-Identifier: GPL-3.0-or-later
"""Plugins of strangers: overwritten while they run, not there when they are asked, in each other's way. The server goes on and says what is wrong."""
import ctypes, json, os, re, shutil, signal, smtplib, socket, sys, threading, time
import postbus, probe
from postbus import Server, message


def test_an_object_is_overwritten_in_place_while_it_runs():
    where = probe.directory()
    probe.build(where, "guest", answer='{"answer": "old"}')
    fresh = probe.build(where, "guest", answer='{"answer": "new"}', into=os.path.join(where, "fresh.so"))
    probe.build(where, "guest", answer='{"answer": "old"}')
    home = os.path.join(where, "guest.so")
    with Server(config={"plugin_path": [where, probe.others()]}) as s:
        assert s.ctl("guest", "call")["answer"] == "old"
        old = open(home, "rb").read()
        with open(home, "r+b") as f:        # as cp does: the same file, cut and written again
            f.truncate(0)
            assert s.ctl("guest", "call")["answer"] == "old"
            f.write(open(fresh, "rb").read())
        assert s.ctl("guest", "call")["answer"] == "old"
        assert s.ctl("plugin", "reload", "guest")["state"] == "running"
        assert s.ctl("guest", "call")["answer"] == "new"
        # a copy that was interrupted
        for n in (0, 40, 8192):         # of which its debugging information is no part
            with open(home, "r+b") as f:
                f.truncate(0)
                f.write(old[:n])
            code, answer = s.ctl("plugin", "reload", "guest", check=False)
            assert code and re.search(r"guest\.so: is (no shared object|cut short)", answer["error"]["text"]), answer
            assert s.states()["guest"] == "running" and s.ctl("guest", "call")["answer"] == "new"     # what runs goes on
        with open(home, "r+b") as f:
            f.write(old)
        os.chmod(home, 0o666)
        code, answer = s.ctl("plugin", "reload", "guest", check=False)
        assert code and "anybody may write to it" in answer["error"]["text"], answer
        assert s.states()["guest"] == "running" and s.ctl("guest", "call")["answer"] == "new"
        os.chmod(home, 0o644)
        s.ctl("plugin", "reload", "guest")
        assert s.ctl("guest", "call")["answer"] == "old"
        s.send(message("still serves"))
        s.wait_messages(1)
        assert s.stop() == 0
    shutil.rmtree(where)


def test_an_object_that_others_may_write_to_is_left_out():
    where = probe.directory()
    os.chmod(probe.build(where, "guest"), 0o666)
    with Server(config={"plugin_path": [where, probe.others()]}) as s:
        assert s.states()["guest"] == "failed"
        assert re.search(r"event=plugin.left_out plugin=guest reason=.*guest\.so: anybody may write to it \(mode 0666\); chmod o-w", s.log())
        os.chmod(os.path.join(where, "guest.so"), 0o644)
        assert s.ctl("plugin", "enable", "guest")["state"] == "running"
    shutil.rmtree(where)


def verdicts(s, id, until="routed"):
    """What the guest said of a message before this happened to it for the last time."""
    def until_delivered():
        code, answer = s.ctl("trace", id, check=False)
        found = [] if code else answer["messages"][0]["events"]         # behind a kill nothing is known of it for a moment
        return found if any(one["what"] == "delivered" for one in found) else None
    events = postbus.wait(until_delivered, f"{id} to be delivered")
    last = max(n for n, one in enumerate(events) if one["what"] == until)
    return [one["text"].split("decision=")[1].split()[0] for one in events[:last] if one["what"] == "verdict" and one["who"] == "guest"]


LOOK = {"message.accepted": {"budget_ms": 600000, "on_failure": "defer"}}


def test_no_mail_passes_a_hook_that_is_not_there_yet_or_no_more():
    where = probe.directory()
    probe.build(where, "guest", hooks=LOOK)
    with Server(config={"plugin_path": [where, probe.others()], "queue": {"crashes_max": 0}}) as s:
        probe.hold(where, "guest", "ask")
        id = s.send(message("at the start"))
        s.wait_log("event=held plugin=guest at=ask|plugin=guest event=held at=ask")
        s.kill()
        probe.release(where, "guest", "ask")
        probe.hold(where, "guest", "load")
        begin = len(s.log())
        s.start(wait=False)
        postbus.wait(lambda: "at=load" in s.log()[begin:], "the guest's load")
        time.sleep(1)                   # what is due would be on its way long since
        probe.release(where, "guest", "load")
        s.wait_ready(begin)
        assert verdicts(s, id) == ["continue"]
        # the end: who is connected goes on talking while the guest has gone
        probe.hold(where, "guest", "unload")
        with s.smtp() as c:
            c.ehlo()
            s.process.send_signal(signal.SIGTERM)
            s.wait_log("at=unload")
            try:
                c.mail("someone@remote.example"), c.rcpt("alice@demo.example")
                taken = c.data(message("at the end"))[0] == 250
            except (OSError, smtplib.SMTPException):
                taken = False
        probe.release(where, "guest", "unload")
        assert s.stop() == 0
        assert not taken
        s.start()
        assert len(s.messages()) == 1
    shutil.rmtree(where)


def test_at_the_end_a_hook_still_does_its_work():
    where = probe.directory()
    probe.build(where, "aguest", hooks={"mailbox.delivering": {"budget_ms": 600000, "on_failure": "defer"}})
    probe.build(where, "guest", hooks={"mailbox.delivering": {"budget_ms": 600000, "on_failure": "reject"}}, runs=True)
    with Server(config={"plugin_path": [where, probe.others()]}) as s:
        probe.hold(where, "aguest", "ask")
        id = s.send(message("at the end"), to=("alice@demo.example", "bob@demo.example"))
        s.wait_log("at=ask")
        s.process.send_signal(signal.SIGTERM)
        s.wait_log("event=stopping")
        probe.release(where, "aguest", "ask")
        assert s.stop() == 0
        assert "event=hook.failed" not in s.log(), s.log()
        s.start()
        assert verdicts(s, id, until="delivered") == ["continue"] * 2
        assert len(s.messages()) == len(s.messages("bob@demo.example")) == 1
    shutil.rmtree(where)


def test_a_hook_that_is_being_reloaded_is_waited_for():
    where = probe.directory()
    probe.build(where, "guest", hooks=LOOK)
    with Server(config={"plugin_path": [where, probe.others()]}) as s:
        probe.hold(where, "guest", "load")
        reload = threading.Thread(target=lambda: s.ctl("plugin", "reload", "guest"))
        reload.start()
        s.wait_log("at=load")
        id = s.send(message("meanwhile"))
        time.sleep(1)
        probe.release(where, "guest", "load")
        reload.join()
        assert verdicts(s, id) == ["continue"], "asked, and not answered by its policy"
    shutil.rmtree(where)


def test_an_enabled_hook_that_does_not_run_is_answered_by_its_policy():
    where = probe.directory()
    probe.build(where, "guest", hooks=LOOK, enabled=False)
    with Server(config={"plugin_path": [where, probe.others()]}) as s:
        # one that was not enabled before does not become a hindrance by an attempt
        probe.hold(where, "guest", "fail")
        code, answer = s.ctl("plugin", "enable", "guest", check=False)
        assert code and "told to fail" in answer["error"]["text"], answer
        assert verdicts(s, s.send(message("as before"))) == []
        probe.release(where, "guest", "fail")
        s.ctl("plugin", "enable", "guest")
        assert verdicts(s, s.send(message("asked"))) == ["continue"]
        probe.hold(where, "guest", "fail")
        code, answer = s.ctl("plugin", "reload", "guest", check=False)
        assert code and "told to fail" in answer["error"]["text"], answer

        def refused(id):
            s.wait_log(rf"event=hook.failed plugin=guest point=message.accepted id={id} error=.*does not run")
            postbus.wait(lambda: any(one["what"] == "verdict" and "decision=defer" in one["text"] for one in s.ctl("trace", id)["messages"][0]["events"]), "its policy's verdict")
        refused(s.send(message("not asked")))
        # the same at a start that leaves it out
        assert s.stop() == 0
        s.start()
        assert s.states()["guest"] == "failed"
        id = s.send(message("nor then"))
        refused(id)
        # switched off, nobody asks for it
        assert s.ctl("plugin", "disable", "guest")["state"] == "disabled"
        s.ctl("queue", "retry", id)
        assert verdicts(s, id) == ["defer"]
        assert verdicts(s, s.send(message("at once"))) == []
    shutil.rmtree(where)


def test_a_file_that_switches_a_failed_hook_off_ends_its_policy():
    where = probe.directory()
    probe.build(where, "guest", hooks=LOOK)
    probe.hold(where, "guest", "fail")
    with Server(config={"plugin_path": [where, probe.others()]}) as s:
        assert s.states()["guest"] == "failed"
        id = s.send(message("not asked"))
        s.wait_log(rf"event=hook.failed plugin=guest point=message.accepted id={id} error=.*does not run")
        postbus.merge_file(s.file, {"plugins": {"guest": {"enabled": False}}})
        s.ctl("config", "reload")
        assert s.states()["guest"] == "disabled"
        assert verdicts(s, s.send(message("at once"))) == []
    shutil.rmtree(where)


def queued(s, lane):
    return postbus.wait(lambda: [i for i in s.call("queue.list")["items"] if i["lane"] == lane and i["state"] == "ready"], f"an item in {lane}")


def noted(s):
    """What status says beside the lanes in which something waits for a plugin."""
    return {lane["lane"]: lane["note"] for lane in s.ctl("status")["lanes"] if "note" in lane}


def test_mail_for_a_connector_that_does_not_run_says_what_it_waits_for():
    where = probe.directory()
    probe.build(where, "guest", kind="connector", lanes=["outgoing"])
    manifest = os.path.join(where, "guest.json")
    with Server(config={"plugin_path": [where, probe.others()]}) as s:
        code, answer = s.ctl("address-map", "create", "x@demo.example", "--to", "geust:thing", check=False)
        assert code == 6 and re.search("^no connector 'geust' is installed; there are: .*conn_smtp.*guest", answer["error"]["text"]), (code, answer)
        assert "note" not in s.ctl("address-map", "create", "x@demo.example", "--to", "guest:thing")
        assert s.ctl("plugin", "disable", "guest")["state"] == "disabled"
        assert s.ctl("address-map", "show", "x@demo.example")["note"] == "guest is disabled: mail for it waits in the queue"
        id = s.send(message("for guest"), to=("x@demo.example",))
        why = "no plugin serves this lane now: see plugin list"
        assert queued(s, "guest.outgoing")[0]["reason"] == why and s.ctl("queue", "show", id)["items"][0]["reason"] == why
        assert noted(s) == {"guest.outgoing": why}
        assert ["waits", why] in [[e["what"], e["text"]] for e in s.ctl("trace", id)["messages"][0]["events"]]
        # removed, and put back
        assert s.stop() == 0
        os.rename(manifest, manifest + ".away")
        s.start()
        assert [m["note"] for m in s.ctl("address-map", "list")["address_maps"] if m["address"] == "x@demo.example"] == ["guest is not installed: mail for it waits in the queue"]
        assert queued(s, "guest.outgoing")[0]["reason"] == why and noted(s) == {"guest.outgoing": why}
        os.rename(manifest + ".away", manifest)
        assert s.ctl("plugin", "enable", "guest")["state"] == "running"
        postbus.wait(lambda: "delivered" in [e["what"] for e in s.ctl("trace", id)["messages"][0]["events"]], "the message to be delivered")
        assert "note" not in s.ctl("address-map", "show", "x@demo.example") and noted(s) == {}
        assert s.stop() == 0
    shutil.rmtree(where)


def test_a_manifest_that_was_mended_is_read_by_a_reload():
    where = probe.directory()
    for name in ("first", "second", "third"):
        probe.build(where, name)
        os.rename(os.path.join(where, name + ".json"), os.path.join(where, name + ".good"))
        with open(os.path.join(where, name + ".json"), "w") as f:
            f.write('{ "name": ')
    mend = lambda name: os.replace(os.path.join(where, name + ".good"), os.path.join(where, name + ".json"))
    with Server(config={"plugin_path": [where, probe.others()]}) as s:
        assert not {"first", "second", "third"} & set(s.states())
        code, answer = s.ctl("plugin", "reload", "first", check=False)
        assert code == 6 and "first.json" in answer["error"]["text"], (code, answer)
        mend("first")
        assert s.ctl("plugin", "reload", "first")["state"] == "running" and "answer" not in s.ctl("first", "call")
        # all that were mended, by the signal; config check says it before
        mend("second")
        assert s.ctl("config", "check")["changes"] == ["second: start"]
        s.process.send_signal(signal.SIGHUP)
        postbus.wait(lambda: s.states().get("second") == "running", "the plugin to start")
        assert "third" not in s.states()
        # what was switched off stays so
        s.ctl("plugin", "disable", "third", check=False)
        mend("third")
        assert s.ctl("plugin", "disable", "third")["state"] == "disabled"
        code, answer = s.ctl("plugin", "reload", "third", check=False)
        assert code == 6 and answer["error"]["text"] == "third is disabled", (code, answer)
        assert s.ctl("config", "reload")["changes"] == [] and s.states()["third"] == "disabled"
        assert s.stop() == 0
    shutil.rmtree(where)


def left_out(s, name):
    lines = [l for l in s.log().splitlines() if "event=plugin.left_out" in l and name in l]
    assert len(lines) == 1, (name, lines)
    return lines[0].replace('\\"', '"')


def test_a_port_that_is_taken_keeps_one_plugin_out():
    where = probe.directory()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port, free = taken.getsockname()[1], postbus.free_port()
        with Server(config={"plugins": {"svc_pop3": {"listen": {"pop3": {"port": port}}}, "svc_imap": {"listen": {"imap": {"port": free}}},
                                        "conn_smtp": {"listen": {"submission": {"port": free}}}}}, start=False) as s:
            s.start()
            state = s.states()
            assert state["svc_pop3"] == "failed" and state["conn_smtp"] == "running" and state["svc_imap"] == "failed", state
            assert f"listener pop3 of svc_pop3: cannot listen on 127.0.0.1 port {port}: Address already in use" in left_out(s, "svc_pop3")
            assert f"listener imap of svc_imap: cannot listen on 127.0.0.1 port {free}: listener submission of conn_smtp has it" in left_out(s, "svc_imap")
            s.send(message("still serves"))
            # a reload tries it again in vain; what else it brings counts
            doc = json.load(open(s.file))
            doc["hostname"] = "other.example"
            with open(s.file, "w") as f:
                json.dump(doc, f)
            s.ctl("config", "reload")
            with s.smtp() as c:
                assert b"other.example" in c.ehlo()[1]
            assert s.states()["svc_pop3"] == "failed" and s.states()["conn_smtp"] == "running"
            taken.close()
            assert s.ctl("plugin", "enable", "svc_pop3")["state"] == "running"
            code, answer = s.ctl("plugin", "enable", "svc_imap", check=False)
            assert code == 8 and "listener submission of conn_smtp has it" in answer["error"]["text"], answer
    shutil.rmtree(where)


def test_a_plugin_that_changes_another_before_its_turn():
    """As the first one starts, the second is opened and asked for its values, and not loaded."""
    def mapped(s):
        return "zz.so" in open(f"/proc/{s.process.pid}/maps").read()

    where = probe.directory()
    probe.build(where, "aa", optional=["plugin.enable", "plugin.disable", "plugin.reload"])
    probe.build(where, "zz")
    with Server(config={"plugin_path": [where, probe.others()]}, start=False) as s:
        for method, then in (("enable", "running"), ("reload", "running"), ("disable", "disabled")):
            with open(os.path.join(where, "aa.start"), "w") as f:
                f.write(f"plugin.{method} zz")
            begin = len(s.log()) if os.path.exists(s.log_path) else 0
            s.start()
            said = s.log()[begin:]
            assert re.search(rf"event=called .*method=plugin\.{method} rc=0", said) and s.states()["zz"] == then, said
            assert "event=plugin.stopped plugin=zz" not in said, said
            s.ctl("plugin", "disable", "zz")
            assert postbus.SANITIZER or not mapped(s)
            s.ctl("plugin", "enable", "zz")
            assert mapped(s) and s.stop() == 0
    shutil.rmtree(where)


def test_a_circle_of_requirements_is_left_out():
    where = probe.directory()
    probe.build(where, "one", requires=["two.call"])
    probe.build(where, "two", requires=["three.call"])
    probe.build(where, "three", requires=["one.call"])
    probe.build(where, "after", requires=["one.call"])
    probe.build(where, "alone", requires=["alone.call"])
    probe.build(where, "mistyped", requires=["net.conect"])
    with Server(config={"plugin_path": [where, probe.others()]}) as s:
        state = s.states()
        assert [state[n] for n in ("one", "two", "three", "after", "mistyped")] == ["failed"] * 5 and state["alone"] == "running", state
        assert "it is in a circle: one requires two, which requires three, which requires one" in left_out(s, "plugin=one ")
        assert "it is in a circle: two requires three, which requires one, which requires two" in left_out(s, "plugin=two ")
        assert "it requires one.call, which no enabled plugin provides" in left_out(s, "plugin=after ")
        assert 'it requires net.conect, which no enabled plugin provides; did you mean "net.connect"?' in left_out(s, "plugin=mistyped ")
    shutil.rmtree(where)


def test_who_starts_later_is_looked_at_as_at_the_start():
    where = probe.directory()
    probe.build(where, "one", requires=["two.call"])
    probe.build(where, "two")
    for name, needs in (("first", "second.call"), ("second", "third.call"), ("third", "first.call"), ("above", "below.call"), ("wants", "first.call")):
        probe.build(where, name, requires=[needs])
    probe.build(where, "below")
    off = ("one", "two", "first", "second", "third", "above", "below", "wants")
    with Server(config={"plugin_path": [where, probe.others()], "plugins": {name: {"enabled": False} for name in off}}) as s:
        code, answer = s.ctl("plugin", "enable", "one", check=False)
        assert code and "one cannot start: it requires two.call, which no enabled plugin provides" in answer["error"]["text"], answer
        assert s.states()["one"] == "disabled"
        s.ctl("plugin", "enable", "two")
        s.ctl("plugin", "enable", "one")
        # two comes in a release that needs one
        probe.build(where, "two", requires=["one.call"])
        code, answer = s.ctl("plugin", "reload", "two", check=False)
        assert code and "it is in a circle: two requires one, which requires two" in answer["error"]["text"], answer
        assert s.ctl("two", "call") == {} and s.states()["two"] == "running"
        s.ctl("plugin", "disable", "two")
        code, answer = s.ctl("plugin", "reload", "one", check=False)
        assert code and "it requires two.call" in answer["error"]["text"] and s.ctl("one", "call") == {}, answer
        # several at once, by a new file: in the order that they need, without the circle
        postbus.merge_file(s.file, {"plugins": {name: {"enabled": True} for name in off[2:]}})
        s.ctl("config", "reload")
        state = s.states()
        assert [state[n] for n in ("first", "second", "third", "wants")] == ["failed"] * 4 and state["above"] == state["below"] == "running", state
        assert "it is in a circle: second requires third, which requires first, which requires second" in left_out(s, "plugin=second ")
        assert "it requires first.call, which no enabled plugin provides" in left_out(s, "plugin=wants ")
        assert s.log().index("event=plugin.started plugin=below") < s.log().index("event=plugin.started plugin=above")
        assert s.stop() == 0
    shutil.rmtree(where)


def test_what_belongs_to_somebody_else_is_left_out():
    if os.geteuid():
        raise postbus.Skip("only root can give files away")
    where = probe.directory()
    for name in ("object", "text", "guest"):
        probe.build(where, name)
    os.chown(os.path.join(where, "object.so"), 4711, -1)
    os.chown(os.path.join(where, "text.json"), 4711, -1)
    with Server(config={"plugin_path": [where, probe.others()]}) as s:
        says = "belongs to user 4711, who can change it; it must belong to root or to the daemon's user; chown root helps"
        assert f"object.so: {says}" in left_out(s, "plugin=object ") and f"text.json: {says}" in left_out(s, "text.json")
        assert s.states()["guest"] == "running" and "text" not in s.states()
        os.chown(os.path.join(where, "guest.json"), 4711, -1)
        code, answer = s.ctl("plugin", "reload", "guest", check=False)
        assert code == 4 and f"guest.json: {says}" in answer["error"]["text"] and s.states()["guest"] == "running", (code, answer)
        assert s.stop() == 0
        os.chown(os.path.join(where, "guest.json"), 0, -1)
        for change, back, reason in ((lambda: os.chown(where, 4711, -1), lambda: os.chown(where, 0, -1), says),
                                     (lambda: os.chmod(where, 0o777), lambda: os.chmod(where, 0o700), "anybody may write to it")):
            change()
            begin = len(s.log())
            s.start()
            assert f"{where}: {reason}" in s.log()[begin:] and "guest" not in s.states()
            assert s.stop() == 0
            back()
    shutil.rmtree(where)


def test_links_in_the_plugins_of_the_home_are_refused():
    where = probe.directory()
    probe.build(where, "guest")
    probe.build(where, "other")
    with Server(start=False) as s:
        s.env.pop("POSTBUS_PLUGIN_PATH", None)
        inside = os.path.join(s.home, "plugins")
        os.mkdir(inside, 0o700)
        os.symlink(os.path.join(where, "guest.json"), os.path.join(inside, "guest.json"))
        os.symlink(os.path.join(where, "guest.so"), os.path.join(inside, "guest.so"))
        shutil.copy(os.path.join(where, "other.json"), inside)
        os.symlink(os.path.join(where, "other.so"), os.path.join(inside, "other.so"))
        doc = json.load(open(s.file))
        doc["plugin_path"] = ["plugins", probe.others()]
        with open(s.file, "w") as f:
            json.dump(doc, f)
        s.start()
        assert f"{inside}/guest.json" in left_out(s, "guest.json") and "symbolic link" in left_out(s, "guest.json")
        assert "other.so: is a symbolic link" in left_out(s, "plugin=other ") and s.states()["other"] == "failed"
        assert s.stop() == 0
        shutil.rmtree(inside)
        os.symlink(where, inside)
        s.start()
        assert f"{inside}: a symbolic link leads out of the home" in s.log() and "guest" not in s.states()
    shutil.rmtree(where)


def test_a_result_that_is_not_what_the_manifest_says_reaches_nobody():
    where = probe.directory()
    probe.build(where, "fine", answer='{"answer": "text"}')
    probe.build(where, "loose", answer='{"answer": 5, "more": 1}')
    with Server(config={"plugin_path": [where, probe.others()]}) as s:
        s.strangers = True
        assert s.ctl("fine", "call")["answer"] == "text"
        for _ in range(3):
            code, answer = s.ctl("loose", "call", check=False)
            assert code and answer["error"]["code"] == "internal error" and "loose.call of loose gave what its manifest does not say" in answer["error"]["text"], answer
        lines = [l for l in s.log().splitlines() if "event=result.wrong" in l]
        assert len(lines) == 1 and "plugin=loose method=loose.call" in lines[0] and "more" in lines[0], lines
    shutil.rmtree(where)


def test_a_daemon_that_stays_root_does_not_show_plugins_what_is_not_theirs():
    if os.geteuid() or ctypes.CDLL(None).syscall(444, None, 0, 1) < 1:
        raise postbus.Skip("not root, or a kernel without Landlock")
    where = probe.directory()
    probe.build(where, "guest")
    with Server(config={"plugin_path": [where, probe.others()]}) as s:
        with open(os.path.join(where, "guest.open"), "w") as f:
            f.write("/etc/shadow\n/etc/hosts\n/etc/passwd\n/etc/services\n/etc/ssl/private/none\n/root/.profile\n" + s.file + "\n")
        assert s.ctl("guest", "call")["answer"].split() == ["/etc/hosts", "/etc/passwd", "/etc/services", s.file]
        s.send(message("still serves"))
        s.wait_messages(1)
    shutil.rmtree(where)


postbus.run(sys.modules[__name__])
