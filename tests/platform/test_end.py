# SPDX-License-Identifier: GPL-3.0-or-later
"""What hangs while the server starts, changes or ends: it can be stopped all the same, with 1."""
import os, shutil, signal, subprocess, sys
import postbus, probe
from postbus import Server


def test_a_server_that_a_plugin_keeps_from_starting_can_be_stopped():
    where = probe.directory()
    probe.build(where, "guest")
    with Server(config={"plugin_path": [where, probe.others()]}, start=False) as s:
        probe.hold(where, "guest", "load")
        s.start(wait=False)
        s.wait_log("event=held")
        assert s.stop() == 1
        assert "event=end.forced" in s.log() and "told to stop while it started" in s.log(), s.log()[-2000:]
        # what comes while it starts is not forgotten
        probe.release(where, "guest", "load")
        probe.hold(where, "guest", "load")
        s.start(wait=False)
        postbus.wait(lambda: s.log().count("event=held") == 2, "the second start")
        s.process.send_signal(signal.SIGTERM)
        probe.release(where, "guest", "load")
        assert s.process.wait(120 * postbus.PATIENCE) == 0
    shutil.rmtree(where)


def test_the_end_waits_for_no_reader_of_the_log():
    where = probe.directory()
    probe.build(where, "guest")
    with Server(config={"plugin_path": [where, probe.others()]}, start=False) as s:
        reader, writer = os.pipe()
        s.process = subprocess.Popen([postbus.program("postbusd"), "-c", s.file], env=s.env, stderr=writer, stdin=subprocess.DEVNULL)
        text = b""
        while b"event=ready" not in text:
            text += os.read(reader, 4096)
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b".")
        except BlockingIOError:
            os.set_blocking(writer, True)
        assert s.stop() == 1
        os.close(reader)
        os.close(writer)
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
        hanging.wait(120)
    shutil.rmtree(where)


postbus.run(sys.modules[__name__])
