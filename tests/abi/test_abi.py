# SPDX-License-Identifier: GPL-3.0-or-later
"""Plugins built with the headers of every released ABI load into today's kernel and work: nothing that was promised has moved."""
import os, shutil, socket, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "platform"))
import postbus
from postbus import Server, wait

HERE = os.path.dirname(os.path.abspath(__file__))
ALICE = "alice@demo.example"


def build(version, where):
    """conn_hello as it was built then, into a directory. Gives the directory of the other plugins."""
    if not shutil.which("cc"):
        raise postbus.Skip("no C compiler")
    source, root = os.path.join(HERE, version), os.environ.get("POSTBUS_BIN")
    lib = os.path.join(os.path.dirname(root), "lib") if root else os.path.join(postbus.BUILD, ".libs")
    subprocess.run(["cc", "-std=gnu11", "-Wall", "-Werror", "-fPIC", "-fvisibility=hidden", "-shared", "-I", source, "-o", os.path.join(where, "conn_hello.so"),
                    os.path.join(source, "conn_hello.c"), "-L", lib, "-lpostbus", "-ljansson"], check=True)
    shutil.copy(os.path.join(source, "conn_hello.json"), where)
    return os.path.join(lib, "postbus", "plugins") if root else postbus.plugin_dir()


def check(version):
    where = tempfile.mkdtemp(prefix="pb-abi-")
    try:
        others = build(version, where)
        config = {"plugin_path": [where, others], "plugins": {"conn_hello": {"listen": {"hello": {"port": 0}}, "config": {"greeting": "Hello from the past"}}}}
        with Server(config=config) as s:
            plugin = s.ctl("plugin", "show", "conn_hello")
            assert plugin["state"] == "running" and plugin["path"] == where, plugin
            with socket.create_connection(("127.0.0.1", s.ports["hello"]), 20) as c, c.makefile("rb") as f:
                assert f.readline() == b"+ who are you?\r\n"
                c.sendall(b"HELLO world\r\nHOLA\r\nQUIT\r\n")
                assert f.readline().endswith(b", world\r\n")
                assert f.readline() == b"- what is HOLA?\r\n"
                assert f.readline() == b"+ bye\r\n" and f.readline() == b""
            id = s.ctl("hello", "greet", ALICE)["id"]
            m = s.wait_messages(1)[0]
            assert b"Subject: Hello from the past" in m and id.encode() in m, m
            s.ctl("config", "set", "conn_hello", "greeting", "Changed")
            s.ctl("hello", "greet", ALICE)
            wait(lambda: any(b"Subject: Changed" in m for m in s.messages()), "the changed greeting")
            assert 'postbus_greetings_total{plugin="conn_hello"} 2' in s.ctl("metrics", json_out=False)
            s.ctl("plugin", "reload", "conn_hello")
            s.ctl("plugin", "disable", "conn_hello")
            assert s.stop() == 0
    finally:
        shutil.rmtree(where)


def test_1_0():
    check("1.0")


def test_a_plugin_is_installed_while_the_server_runs():
    made, where = tempfile.mkdtemp(prefix="pb-abi-"), tempfile.mkdtemp(prefix="pb-abi-")
    try:
        others = build("1.0", made)
        config = {"plugin_path": [where, others], "plugins": {"conn_hello": {"enabled": False, "listen": {"hello": {"port": 0}}}}}
        with Server(config=config) as s:
            assert s.ctl("plugin", "show", "conn_hello", check=False)[0] == 3
            for name in ("conn_hello.so", "conn_hello.json"):
                shutil.copy(os.path.join(made, name), where)
            assert s.ctl("plugin", "show", "conn_hello")["state"] == "disabled"
            assert s.ctl("plugin", "enable", "conn_hello")["state"] == "running"
            port = s.ctl("plugin", "show", "conn_hello")["listeners"][0]["port"]
            with socket.create_connection(("127.0.0.1", port), 20) as c, c.makefile("rb") as f:
                assert f.readline() == b"+ who are you?\r\n"
            assert s.ctl("hello", "greet", ALICE)["id"]
            s.wait_messages(1)
            assert s.stop() == 0
    finally:
        shutil.rmtree(made)
        shutil.rmtree(where)


postbus.run(sys.modules[__name__])
