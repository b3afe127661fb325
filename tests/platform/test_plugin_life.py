# SPDX-License-Identifier: GPL-3.0-or-later
"""Plugins of strangers: overwritten while they run, stuck, in each other's way. The server goes on and says what is wrong."""
import os, re, shutil, sys
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


postbus.run(sys.modules[__name__])
