# SPDX-License-Identifier: GPL-3.0-or-later
"""Plugins of strangers: overwritten while they run, stuck, in each other's way. The server goes on and says what is wrong."""
import os, re, shutil, signal, subprocess, sys
import postbus, probe
from postbus import Server, message


def states(s):
    return {p["name"]: p["state"] for p in s.ctl("plugin", "list")["plugins"]}


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
        for n in (0, 40, len(old) // 2):
            with open(home, "r+b") as f:
                f.truncate(0)
                f.write(old[:n])
            code, answer = s.ctl("plugin", "reload", "guest", check=False)
            assert code and re.search(r"guest\.so: is (no shared object|cut short)", answer["error"]["text"]), answer
            assert states(s)["guest"] == "failed"
        with open(home, "r+b") as f:
            f.write(old)
        s.ctl("plugin", "enable", "guest")
        assert s.ctl("guest", "call")["answer"] == "old"
        s.send(message("still serves"))
        s.wait_messages(1)
        assert s.stop() == 0
    shutil.rmtree(where)


def test_an_object_that_others_may_write_to_is_left_out():
    where = probe.directory()
    os.chmod(probe.build(where, "guest"), 0o666)
    with Server(config={"plugin_path": [where, probe.others()]}) as s:
        assert states(s)["guest"] == "failed"
        assert re.search(r"event=plugin.left_out plugin=guest reason=.*guest\.so: anybody may write to it \(mode 0666\): chmod o-w", s.log())
        os.chmod(os.path.join(where, "guest.so"), 0o644)
        assert s.ctl("plugin", "enable", "guest")["state"] == "running"
    shutil.rmtree(where)


HOOK = {"smtp.mail": {"budget_ms": 300, "on_failure": "defer"}}


def mail(s):
    with s.smtp() as c:
        c.ehlo()
        return c.docmd("MAIL FROM:<someone@remote.example>")


def test_a_hook_that_never_returns_keeps_nobody_but_itself():
    where = probe.directory()
    probe.build(where, "guest", hooks=HOOK)
    with Server(config={"plugin_path": [where, probe.others()]}) as s:
        assert mail(s)[0] == 250
        probe.hold(where, "guest", "ask")
        code, text = mail(s)
        assert code == 451 and b"4.3.0" in text, (code, text)
        assert s.wait_log(r'event=hook.failed plugin=guest point=smtp.mail .*no answer within 300 ms')
        # it is switched off: said to be stuck, and asked no more
        answer = s.ctl("plugin", "disable", "guest")
        assert answer["state"] == "stuck" and "a call or a hook" in answer["reason"], answer
        assert re.search(r"event=plugin.stuck plugin=guest where=\"a call or a hook\"", s.log())
        assert mail(s)[0] == 250
        for words in (("plugin", "enable", "guest"), ("plugin", "reload", "guest")):
            code, answer = s.ctl(*words, check=False)
            assert code == 8 and "has not come back" in answer["error"]["text"], (code, answer)
        # it comes back, and can be started again
        probe.release(where, "guest", "ask")
        s.wait_log("event=hook.late plugin=guest")
        assert s.ctl("plugin", "enable", "guest")["state"] == "running"
        assert mail(s)[0] == 250
        assert s.stop() == 0
    shutil.rmtree(where)


def test_a_server_with_a_hook_that_never_returns_ends():
    where = probe.directory()
    probe.build(where, "guest", hooks=HOOK)
    with Server(config={"plugin_path": [where, probe.others()]}) as s:
        id = s.send(message("before"))
        s.wait_messages(1)
        probe.hold(where, "guest", "ask")
        assert mail(s)[0] == 451
        imap = s.imap()
        assert s.stop() == 1
        assert imap.readline().startswith(b"* BYE")
        assert re.search(r"event=plugin.stuck plugin=guest", s.log()) and re.search(r"event=end.forced reason=\"guest was told to stop", s.log()), s.log()[-2000:]
        probe.release(where, "guest", "ask")
        s.start()
        assert len(s.messages()) == 1 and "delivered" in [e["what"] for e in s.ctl("trace", id)["messages"][0]["events"]]
        assert s.stop() == 0
    shutil.rmtree(where)


def test_a_change_that_hangs_holds_up_no_question_and_not_the_end():
    where = probe.directory()
    probe.build(where, "guest")
    with Server(config={"plugin_path": [where, probe.others()]}) as s:
        probe.hold(where, "guest", "drain")
        command = [postbus.program("postbusctl"), "-c", s.file, "plugin", "disable", "guest"]
        hanging = subprocess.Popen(command, env=s.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        s.wait_log("event=held plugin=guest at=drain|plugin=guest.* event=held.*at=drain")
        for words in (("status",), ("plugin", "list"), ("plugin", "show", "guest"), ("config", "show"), ("queue", "list"), ("metrics",)):
            s.ctl(*words, json_out=False)
        s.process.send_signal(signal.SIGHUP)
        code, answer = s.ctl("plugin", "disable", "svc_pop3", check=False)
        assert code == 8 and "plugin disable guest goes on" in answer["error"]["text"], (code, answer)
        assert s.stop() == 1
        assert "event=end.forced" in s.log()
        hanging.wait(20)
    shutil.rmtree(where)


postbus.run(sys.modules[__name__])
