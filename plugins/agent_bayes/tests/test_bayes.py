# SPDX-License-Identifier: GPL-3.0-or-later
"""The classifier in a running server: learns by command and by moves to and from Junk, judges what comes in, is taken along and forgotten."""
import json, os, random, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus
from postbus import wait

ALICE = "alice@demo.example"
SPAM = "cheap pills lottery winner casino bonus refinance viagra replica watches".split()
HAM = "meeting minutes compiler patch review lunch invoice project schedule train".split()


def make(words, number):
    pick = random.Random(number)
    body = " ".join(pick.choice(words) for _ in range(30))
    return f"From: x{number}@remote.example\r\nTo: {ALICE}\r\nSubject: {pick.choice(words)} {number}\r\nMessage-ID: <{number}.{words[0]}@x>\r\n\r\n{body}\r\n"


def write(server, text):
    path = os.path.join(server.home, "m.eml")
    with open(path, "w", newline="") as f:
        f.write(text)
    return path


def percent(server, text, office="demo"):
    return server.ctl("bayes", "judge", write(server, text), "--postoffice", office)["percent"]


def test_it_learns_by_command_and_judges(server):
    assert percent(server, make(SPAM, 1000)) == 50
    for k in range(20):
        server.ctl("bayes", "learn", "spam", write(server, make(SPAM, k)), "--postoffice", "demo")
        server.ctl("bayes", "learn", "ham", write(server, make(HAM, k)), "--postoffice", "demo")
    shown = server.ctl("bayes", "show", "demo")
    assert (shown["spam"], shown["ham"], shown["judges"]) == (20, 20, True), shown
    assert percent(server, make(SPAM, 1001)) > 95 and percent(server, make(HAM, 1001)) < 5
    again = server.ctl("bayes", "learn", "spam", write(server, make(SPAM, 3)), "--postoffice", "demo")
    assert not again["new"] and server.ctl("bayes", "show", "demo")["spam"] == 20


def test_who_has_learnt_too_little_says_nothing(server):
    script = os.path.join(server.home, "s.sieve")
    with open(script, "w") as f:
        f.write('require ["spamtest", "fileinto", "mailbox", "variables"]; if spamtest :matches "*" { fileinto :create "Spam${1}"; }')
    server.ctl("postoffice", "create", "fresh")
    server.ctl("domain", "create", "fresh.example", "--postoffice", "fresh")
    server.ctl("mailbox", "create", "new@fresh.example")
    server.ctl("mailbox", "password", "new@fresh.example", stdin=postbus.PASSWORD + "\n")
    for mailbox, folder in (("new@fresh.example", "Spam0"), (ALICE, "Spam1")):      # not tested; tested, and no spam
        server.ctl("script", "put", "s", script, "--activate", "--mailbox", mailbox)
        server.send(make(HAM, 1500), to=(mailbox,))
        server.wait_messages(1, mailbox, folder)
    server.ctl("script", "activate", "", "--mailbox", ALICE)


def test_what_comes_in_is_judged_and_goes_to_junk_by_score(server):
    server.ctl("policy", "set", "junk_score", "40", "--postoffice", "demo")
    server.send(make(SPAM, 2000))
    server.send(make(HAM, 2000))
    assert len(server.wait_messages(1, folder="Junk")) == 1
    assert len(server.wait_messages(1)) == 1
    assert b"<2000.cheap@x>" in server.messages(folder="Junk")[0] and b"<2000.meeting@x>" in server.messages()[0]


def test_what_another_scanner_found_stands_beside(server):
    """hook_probe gives this sender a score of 9, the classifier the message 0: the highest counts."""
    bob = "robert@demo.example"
    server.ctl("mailbox", "create", bob)
    server.ctl("mailbox", "password", bob, stdin=postbus.PASSWORD + "\n")
    for k, sender in ((2500, "late-spam@remote.example"), (2501, "late@remote.example")):
        server.send(make(HAM, k), sender=sender, to=(bob,))
    assert b"<2501.meeting@x>" in server.wait_messages(1, bob)[0] and b"<2500.meeting@x>" in server.wait_messages(1, bob, "Junk")[0]


def test_it_learns_from_moves_to_and_from_junk(server):
    def counts():
        shown = server.ctl("bayes", "show", "demo")
        return shown["spam"], shown["ham"]
    spam, ham = counts()
    i = server.imap()
    i.select("INBOX")
    assert i.uid("MOVE", "1:*", "Junk")[0] == "OK"
    wait(lambda: counts() == (spam + 1, ham), "one more of spam")
    i.select("Junk")
    assert i.uid("COPY", "1:*", "Archive")[0] == "OK"
    wait(lambda: counts() == (spam, ham + 2), "one changed sides, and one is new")
    assert i.uid("COPY", "1:*", "Trash")[0] == "OK"
    i.logout()
    assert counts() == (spam, ham + 2)


def test_a_memory_is_taken_along_and_forgotten(server):
    server.ctl("postoffice", "create", "other")
    page = first = server.ctl("bayes", "export", "demo")
    while True:
        server.ctl("bayes", "import", "other", "--words", json.dumps(page["words"]), "--spam", first["spam"], "--ham", first["ham"])
        if "next" not in page:
            break
        page = server.ctl("bayes", "export", "demo", "--after", page["next"])
    assert percent(server, make(SPAM, 3000), "other") == percent(server, make(SPAM, 3000)) > 95
    server.ctl("bayes", "forget", "demo")
    assert server.ctl("bayes", "show", "demo")["spam"] == 0 and percent(server, make(SPAM, 3000)) == 50
    assert percent(server, make(SPAM, 3000), "other") > 95


def test_words_make_a_message_not_what_its_sender_calls_it(server):
    server.ctl("postoffice", "create", "third")
    for k in range(12):
        kind, words = ("spam", SPAM) if k % 2 else ("ham", HAM)
        text = make(words, 4000 + k).replace(f"<{4000 + k}.{words[0]}@x>", "<the.same@x>")
        assert server.ctl("bayes", "learn", kind, write(server, text), "--postoffice", "third")["new"]
    shown = server.ctl("bayes", "show", "third")
    assert (shown["spam"], shown["ham"]) == (6, 6), shown
    # What changes sides takes its own words back, and nothing else.
    before = server.ctl("bayes", "export", "third")
    for kind in ("spam", "ham"):
        assert server.ctl("bayes", "learn", kind, write(server, text.replace("casino", "meeting")), "--postoffice", "third")["new"]
    assert server.ctl("bayes", "learn", "ham", write(server, make(HAM, 4000).replace("<4000.meeting@x>", "<the.same@x>")), "--postoffice", "third")["new"] is False
    assert server.ctl("bayes", "show", "third")["spam"] == 6 and before["spam"] == 6


def test_what_is_no_memory_is_not_taken(server):
    before = server.ctl("bayes", "export", "third")
    for line in ("00112233445566aa 4294967296 2", "00112233445566aa -1 2", "0x112233445566aa 1 2", "00112233445566aa 1", "00112233445566aa 1 2 3"):
        code, answer = server.ctl("bayes", "import", "third", "--words", json.dumps(["ffeeddccbbaa0099 1 1", line]), check=False)
        assert code, (line, answer)
    assert server.ctl("bayes", "export", "third") == before


def test_a_memory_goes_with_its_post_office(server):
    server.ctl("postoffice", "delete", "third")
    server.ctl("postoffice", "create", "third")
    shown = server.ctl("bayes", "show", "third")
    assert (shown["spam"], shown["ham"]) == (0, 0) and server.ctl("bayes", "export", "third")["words"] == [], shown


postbus.run(sys.modules[__name__], lambda: postbus.Server({"plugin_path": postbus.path_with("conn_smtp", "hook_probe"), "plugins": {"agent_bayes": {"enabled": True, "config": {"least": 10}}}}))
