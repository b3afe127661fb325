# SPDX-License-Identifier: GPL-3.0-or-later
"""Members elsewhere: each gets the post from a return path that names him, over few connections, and once."""
import os, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus, smtp_peer

DEV = "dev@demo.example"
MEMBERS = 120
peer = smtp_peer.Peer()


def make():
    return postbus.Server(config={"plugins": {"conn_smtp": {"config": {"smart_host": f"127.0.0.1:{peer.port}", "smart_host_tls": "none"}}}})


def test_each_member_has_a_return_path_of_his_own(server):
    members = [f"m{i}@there.example" for i in range(MEMBERS)]
    server.ctl("list", "create", DEV, "--posting", "anyone")
    server.ctl("list", "member", "add", DEV, *members, "o'brien+x@there.example")
    server.send(f"From: a@remote.example\r\nTo: {DEV}\r\nSubject: to all\r\n\r\nHello.\r\n", to=(DEV,))
    postbus.wait(lambda: len(peer.messages) >= MEMBERS + 1, "all messages", 120)
    seen = {}
    for mail, rcpts, body in peer.messages:
        assert len(rcpts) == 1
        seen.setdefault(rcpts[0].split("<")[1].split(">")[0], []).append(mail.split("<")[1].split(">")[0])
    assert sorted(seen) == sorted(members + ["o'brien+x@there.example"])
    assert all(len(paths) == 1 for paths in seen.values())
    assert seen["m7@there.example"] == ["dev-bounces+m7=there.example@demo.example"]
    assert seen["o'brien+x@there.example"] == ["dev-bounces+o=27brien=2Bx=there.example@demo.example"], seen["o'brien+x@there.example"]
    assert len({body for _, _, body in peer.messages}) == 1, "one body for all"
    assert len(peer.sessions) <= 20, len(peer.sessions)


def test_without_verp_many_share_a_transaction(server):
    server.ctl("list", "set", DEV, "verp", "0")
    server.send(f"From: a@remote.example\r\nTo: {DEV}\r\nSubject: again\r\n\r\nHello.\r\n", to=(DEV,))

    def later():
        return [m for m in peer.messages if b"Subject: again" in m[2]]
    postbus.wait(lambda: sum(len(rcpts) for _, rcpts, _ in later()) >= MEMBERS + 1, "all again", 120)
    assert len(later()) <= 3 and all("<dev-bounces@demo.example>" in mail for mail, _, _ in later()), len(later())


postbus.run(sys.modules[__name__], make)
