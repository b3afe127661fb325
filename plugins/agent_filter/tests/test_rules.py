# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules from words through postbusctl: made, listed, shown, switched, moved, removed, tried on messages; and what mail of theirs meets."""
import os, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus

ALICE = ("--mailbox", "alice@demo.example")
DEMO = ("--postoffice", "demo")
MESSAGE = "From: Bill <bill@bad.example>\nTo: alice@demo.example\nSubject: a lottery, and more\n\nhello\n"


def add(server, name, when, do, *more, check=True):
    sentences = [word for option, given in (("--when", when), ("--do", do)) for sentence in given for word in (option, sentence)]
    return server.ctl("filter", "add", name, *sentences, *more, check=check)


def names(server, *owner):
    return [r["name"] for r in server.ctl("filter", "list", *owner)["rules"]]


def message(server, text=MESSAGE):
    path = os.path.join(server.home, "m.eml")
    with open(path, "w") as f:
        f.write(text)
    return path


def test_a_rule_is_kept_as_sieve_and_shown_as_it_was_said(server):
    add(server, "lottery", ["subject contains lottery, and", "from is *@bad.example"], ["move Junk", "stop"], "--match", "any", *ALICE)
    assert server.ctl("filter", "list", *ALICE)["rules"] == [
        {"order": 1, "name": "lottery", "enabled": True, "rule": "if any of (subject contains lottery, and; from is *@bad.example): move Junk; stop"}]
    shown = server.ctl("filter", "show", "lottery", *ALICE)
    assert (shown["match"], shown["when"], shown["do"]) == ("any", ["subject contains lottery, and", "from is *@bad.example"], ["move Junk", "stop"]), shown
    assert shown["sieve"] == ('require ["fileinto", "mailbox"];\n# rule: lottery\nif anyof (header :contains "subject" "lottery, and",\n'
                              '\taddress :matches "from" "*@bad.example") {\n\tfileinto :create "Junk";\n\tstop;\n}\n'), shown["sieve"]
    assert names(server) == [] and names(server, *DEMO) == []


def test_order_is_as_it_is_wished(server):
    for name in "abc":
        add(server, name, ["always"], ["stop"], *DEMO)
    add(server, "before b", ["always"], ["stop"], "--before", "b", *DEMO)
    add(server, "after b", ["always"], ["stop"], "--after", "b", *DEMO)
    assert names(server, *DEMO) == ["a", "before b", "b", "after b", "c"]
    server.ctl("filter", "move", "c", "--first", *DEMO)
    server.ctl("filter", "move", "a", "--last", *DEMO)
    server.ctl("filter", "move", "b", "--before", "c", *DEMO)
    server.ctl("filter", "move", "before b", "--after", "after b", *DEMO)
    assert names(server, *DEMO) == ["b", "c", "after b", "before b", "a"]
    for wrong in (["move", "b"], ["move", "b", "--before", "b"], ["move", "b", "--before", "nothing"], ["move", "nothing", "--first"], ["move", "b", "--first", "--last"]):
        assert server.ctl("filter", *wrong, *DEMO, check=False)[0] != 0, wrong
    assert names(server, *DEMO) == ["b", "c", "after b", "before b", "a"]
    server.ctl("filter", "delete", "after b", *DEMO)
    for name in ("a", "b", "c", "before b"):
        server.ctl("filter", "delete", name, *DEMO)
    assert names(server, *DEMO) == []
    assert server.ctl("filter", "delete", "a", *DEMO, check=False)[0] != 0


def test_what_is_no_sentence_is_refused_by_its_word(server):
    for when, do, owner, said in ((["subject holds x"], ["stop"], ALICE, "'holds'"), (["always"], ["vanish"], ALICE, "'vanish'"),
                                  (["always"], ["quarantine"], ALICE, "for administrators"), (["always"], ["run x"], DEMO, "server's own"),
                                  (["always"], ["redirect nobody"], ALICE, "'nobody'")):
        code, told = add(server, "x", when, do, *owner, check=False)
        assert code != 0 and said in str(told), told
    add(server, "twice", ["always"], ["stop"], *ALICE)
    code, told = add(server, "twice", ["always"], ["stop"], *ALICE, check=False)
    assert code != 0 and "already" in str(told), told
    server.ctl("filter", "delete", "twice", *ALICE)


def test_filters_that_are_kept_are_tried_on_a_message(server):
    add(server, "office", ["from contains bill"], ["add header X-Office: seen"], *DEMO)
    add(server, "copied", ["header X-Office exists"], ["copy \"A \\\"b\\\" ${1}\""], *ALICE)
    add(server, "whole server", ["client address is 192.0.2.0/24", "spam score over 4.5", "direction in", "client in dnsbl bl.invalid"], ["mark as spam"], "--match", "any")
    path = message(server)
    tried = server.ctl("filter", "test", "--message", path, *ALICE)
    assert [(a["do"], a["scope"], a["folder"]) for a in tried["actions"]] == [("fileinto", "mailbox", "Junk")], tried
    server.ctl("filter", "disable", "lottery", *ALICE)
    tried = server.ctl("filter", "test", "--message", path, *ALICE)
    assert [(a["do"], a["scope"], a["folder"], a["copy"]) for a in tried["actions"]] == [("fileinto", "mailbox", 'A "b" ${1}', True)] and tried["keep"], tried
    assert "X-Office: seen" in tried["message"]
    assert [t["rule"] for t in tried["tests"] if t["test"] == "value"] == ["office"], tried["tests"]
    assert server.ctl("filter", "test", "--message", path, *DEMO)["actions"] == []
    for options, hit in (((), False), (("--client", "192.0.2.9"), True), (("--notes", '{"spam_score": 4.6}'), True), (("--notes", '{"spam_score": 4.5}'), False),
                         (("--direction", "in"), True), (("--direction", "out"), False), (("--client", "198.51.100.1"), True)):
        tried = server.ctl("filter", "test", "--message", path, *options)
        assert [a["do"] for a in tried["actions"]] == (["spam"] if hit else []), (options, tried)
    server.ctl("filter", "enable", "lottery", *ALICE)
    script = os.path.join(server.home, "s.sieve")
    with open(script, "w") as f:
        f.write('discard;\n')
    assert not server.ctl("filter", "test", script, path)["keep"]


def test_quarantine_ends_what_runs(server):
    add(server, "virus", ["virus found"], ["quarantine"], *DEMO)
    tried = server.ctl("filter", "test", "--message", message(server), "--notes", '{"virus": "Eicar"}', *ALICE)
    assert [a["do"] for a in tried["actions"]] == ["quarantine"] and tried["keep"], tried
    server.ctl("filter", "delete", "virus", *DEMO)


def test_mail_meets_the_rules_of_its_mailbox(server):
    server.send(MESSAGE.replace("\n", "\r\n"), sender="bill@bad.example", to=("alice@demo.example",))
    assert b"lottery" in server.wait_messages(1, "alice@demo.example", "Junk")[0]


def test_many_rules_have_an_end(server):
    server.ctl("config", "set", "agent_filter", "rules_max", "3")
    server.stop()
    server.start()
    code, told = add(server, "one more", ["always"], ["stop"], check=False)
    assert code == 0, told
    add(server, "third", ["always"], ["stop"])
    code, told = add(server, "fourth", ["always"], ["stop"], check=False)
    assert code != 0 and "3 rules already" in str(told), told
    assert names(server) == ["whole server", "one more", "third"]


postbus.run(sys.modules[__name__])
