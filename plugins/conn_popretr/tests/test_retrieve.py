# SPDX-License-Identifier: GPL-3.0-or-later
"""conn_popretr fetches from servers that do as they should, and from servers that lie: every message comes once, and none goes before it is here."""
import os, re, socketserver, sys, threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "..", "tests", "platform")]
import postbus
from pop3_peer import PASSWORD, Peer, message

BOX = iter(f"box{n}@demo.example" for n in range(1000))


def make():
    return postbus.Server({"plugins": {"conn_popretr": {"config": {"timeout": 60, "run_max": 600, "size_max": "1M", "settle_wait": 120, "report_to": "alice@demo.example"}}}})


def account(s, peer, user, *options, box=None, protocol="pop3", tls="none"):
    """An account with a mailbox of its own, which runs when it is told to; gives the address."""
    if not box:
        box = next(BOX)
        s.ctl("mailbox", "create", box)
        s.ctl("mailbox", "password", box, stdin=postbus.PASSWORD + "\n")
    s.ctl("retrieve", "add", box, "127.0.0.1", "--id", user, "--protocol", protocol, "--port", peer.port, "--tls", tls, "--user", user, "--paused", *options,
          "--password-stdin", stdin=PASSWORD + "\n")
    return box


def run(s, user):
    """How it went, or the error's text."""
    return s.ctl("retrieve", "run", user)


def subjects(s, box, n):
    found = [re.search(rb"^Subject: (.*?)\r$", m, re.M).group(1).decode() for m in s.wait_messages(n, box)] if n else s.messages(box)
    assert len(found) == n, (n, found)
    return sorted(found, key=int)


FIVE = ["1", "2", "3", "4", "5"]


def test_what_is_new_comes_once_and_stays_there(s):
    with Peer() as peer:
        peer.fill("plain")
        box = account(s, peer, "plain")
        assert run(s, "plain") == {"messages": 5, "bytes": sum(len(m) for _, m in peer.boxes["plain"]), "removed": 0, "error": ""}
        assert subjects(s, box, 5) == FIVE and len(peer.boxes["plain"]) == 5
        peer.fill("plain", 2)
        assert run(s, "plain")["messages"] == 2 and run(s, "plain")["messages"] == 0
        assert subjects(s, box, 7) == FIVE + ["6", "7"] and len(peer.retrieved) == 7
        shown = s.ctl("retrieve", "show", "plain")
        assert shown["messages"] == 7 and shown["state"] == "paused" and shown["settings"]["password"] == "(set)" and PASSWORD not in str(shown), shown


def test_what_was_delivered_is_removed(s):
    with Peer() as peer:
        peer.fill("never")
        box = account(s, peer, "never", "--leave", "never")
        assert run(s, "never")["removed"] == 5 and peer.boxes["never"] == []
        assert subjects(s, box, 5) == FIVE
        assert max(i for i, line in enumerate(peer.heard) if line.startswith("RETR")) < min(i for i, line in enumerate(peer.heard) if line.startswith("DELE"))




def test_what_is_removed_after_days(s):
    with Peer() as peer:
        peer.fill("days")
        box = account(s, peer, "days", "--leave", "days", "--days", "1")
        assert (run(s, "days")["messages"], run(s, "days")["removed"]) == (5, 0) and len(peer.boxes["days"]) == 5
        s.ctl("retrieve", "set", "days", "--days", "0")
        assert run(s, "days")["removed"] == 5 and peer.boxes["days"] == [] and subjects(s, box, 5) == FIVE


def test_what_is_on_its_way_here_stays_there(s):
    """Also under another id."""
    s.ctl("config", "set", "conn_popretr", "settle_wait", "0")
    s.ctl("plugin", "disable", "conn_postoffice")
    with Peer({"way-change": {"change"}}) as peer:
        box = {}
        for user in ("way", "way-change"):
            peer.fill(user)
            box[user] = account(s, peer, user, "--leave", "never")
            assert [(r["messages"], r["removed"]) for r in (run(s, user), run(s, user))] == [(5, 0), (0, 0)] and len(peer.boxes[user]) == 5, user
        s.ctl("plugin", "enable", "conn_postoffice")
        s.ctl("config", "set", "conn_popretr", "settle_wait", "120")
        for user in box:
            assert run(s, user)["removed"] == 5 and peer.boxes[user] == [] and subjects(s, box[user], 5) == FIVE, user


def test_so_many_connections_to_one_host(s):
    s.ctl("config", "set", "conn_popretr", "per_host", "2")
    users = [f"host{n}" for n in range(4)]
    with Peer({user: {"stop-id1"} for user in users}) as peer:
        for user in users:
            peer.fill(user, 1)
            account(s, peer, user)
            s.ctl("retrieve", "run", user, "--wait", "0")
        states = [s.ctl("retrieve", "show", user)["state"] for user in users]
        assert states.count("running") == 2 and peer.sessions <= 2, states
        peer.lies = {}
        peer.hold.set()
        for user in users:
            postbus.wait(lambda: run(s, user) and s.ctl("retrieve", "show", user)["messages"] == 1, user)
    s.ctl("config", "set", "conn_popretr", "per_host", "3")


def test_a_test_is_a_connection_too(s):
    """It is refused where there is no room, and a run does not begin beside it."""
    s.ctl("config", "set", "conn_popretr", "per_host", "1")
    s.ctl("config", "set", "conn_popretr", "timeout", "60")
    with Peer({"tested0": {"stop-id1"}}) as peer:
        for user in ("tested0", "tested1"):
            peer.fill(user, 1)
            account(s, peer, user)
        s.ctl("retrieve", "run", "tested0", "--wait", "0")
        postbus.wait(lambda: peer.sessions == 1, "a run")
        code, said = s.ctl("retrieve", "test", "tested1", check=False)
        assert code and "per_host" in str(said) and peer.sessions == 1, said
        peer.lies = {}
        peer.hold.set()
        postbus.wait(lambda: run(s, "tested0") and s.ctl("retrieve", "show", "tested0")["messages"] == 1, "tested0")
    with Peer({"*": {"mute"}}) as peer:
        for user in ("tested0", "tested1"):
            s.ctl("retrieve", "set", user, "--port", peer.port)
            peer.fill(user, 2)
        said = []
        test = threading.Thread(target=lambda: said.append(s.ctl("retrieve", "test", "tested0", check=False)))
        test.start()
        postbus.wait(lambda: peer.sessions == 1, "a test")
        s.ctl("retrieve", "run", "tested1", "--wait", "0")
        assert s.ctl("retrieve", "show", "tested1")["state"] != "running" and peer.sessions == 1
        peer.lies = {}
        peer.hold.set()
        test.join()
        postbus.wait(lambda: s.ctl("retrieve", "show", "tested1")["messages"] == 2, "the run behind it")
        assert said[0][0], said
    s.ctl("config", "set", "conn_popretr", "per_host", "3")
    s.ctl("config", "set", "conn_popretr", "timeout", "2")


def test_a_run_is_cut_off_when_it_has_taken_as_long_as_it_may(s):
    """However little by little the server goes on talking; what came before is here."""
    for key, value in (("run_max", "10"), ("timeout", "60")):
        s.ctl("config", "set", "conn_popretr", key, value)
    with Peer({"crawl": {"crawl"}}) as peer:
        peer.fill("crawl")
        box = account(s, peer, "crawl")
        assert "as long as it may" in run(s, "crawl")["error"]
        for key, value in (("run_max", "30"), ("timeout", "2")):
            s.ctl("config", "set", "conn_popretr", key, value)
        peer.lies = {}
        postbus.wait(lambda: run(s, "crawl")["error"] == "", "a run that is let go")
        assert subjects(s, box, 5) == FIVE


def twice(s, peer, user, *options):
    """Two runs of a new account; gives its address and how they went."""
    box = account(s, peer, user, *options)
    return box, run(s, user), run(s, user)


# ---- every lie of the peer ----

def test_lies_about_ids(s):
    lies = {word: {word} for word in ("dup", "change", "nouidl", "shuffle", "ghost", "empty", "size", "nocapa", "notop", "bare")}
    lies["both"] = {"nouidl", "notop"}
    lies["dup-notop"] = {"dup", "notop"}
    lies["change-notop"] = {"change", "notop"}
    with Peer(lies) as peer:
        for user in lies:
            peer.fill(user)
            box, first, second = twice(s, peer, user)
            assert (first["messages"], second["messages"]) == (5, 0) and not first["error"] + second["error"], (user, first, second)
            assert subjects(s, box, 5) == FIVE, user
            peer.fill(user, 1)
            assert run(s, user)["messages"] == 1, user
            s.ctl("retrieve", "set", user, "--leave", "never")
            assert run(s, user)["removed"] == 6 and peer.boxes[user] == [], user
            assert subjects(s, box, 6) == FIVE + ["6"], user


def test_twins_without_ids_are_told_apart_by_their_text(s):
    with Peer({"twins": {"nouidl"}}) as peer:
        peer.fill("twins", 2, lambda k: message(1, text=b"text %d\r\n" % k))
        box, first, second = twice(s, peer, "twins", "--leave", "never")
        assert (first["messages"], first["removed"], second["messages"]) == (2, 2, 0), (first, second)
        assert subjects(s, box, 2) == ["1", "1"]


def test_an_id_that_stands_for_another_message_later(s):
    with Peer() as peer:
        peer.fill("later", 2)
        box = account(s, peer, "later")
        run(s, "later")
        peer.lies["later"] = {"dup"}            # both are "twice" now: one was id1, the other id2
        peer.fill("later", 1)
        assert run(s, "later")["messages"] == 1 and run(s, "later")["messages"] == 0
        assert subjects(s, box, 3) == ["1", "2", "3"]


def test_messages_that_break_off_or_are_refused(s):
    lies = {word: {word} for word in ("cut", "refuse", "drip", "endless")}
    with Peer(lies) as peer:
        for user in ("cut", "refuse", "drip"):
            peer.fill(user)
            s.ctl("config", "set", "conn_popretr", "timeout", "2" if user == "drip" else "60")        # which that one lets run out
            box, first, second = twice(s, peer, user, "--leave", "never")
            assert first["messages"] == 4 and first["removed"] == 4 and "1 messages cannot be had" in second["error"], (user, first, second)
            assert subjects(s, box, 4) == ["1", "2", "4", "5"] and [uid for uid, _ in peer.boxes[user]] == ["id3"]
            del peer.lies[user]
        s.ctl("config", "set", "conn_popretr", "timeout", "60")
        peer.hold.set()
        peer.fill("endless", 2)
        peer.fill("endless", 1)
        box, first, second = twice(s, peer, "endless")
        assert subjects(s, box, 2) == ["1", "2"], (first, second)


def test_a_server_that_forgets_what_was_removed(s):
    with Peer({"forget": {"forget"}, "drop": {"drop"}}) as peer:
        for user in ("forget", "drop"):
            peer.fill(user)
            box, first, second = twice(s, peer, user, "--leave", "never")
            assert (first["messages"], second["messages"]) == (5, 0), (first, second)
            assert subjects(s, box, 5) == FIVE
            del peer.lies[user]
            assert run(s, user)["removed"] == 5 and peer.boxes[user] == []


def test_killed_before_it_is_known_what_was_taken(s):
    """256 are in the queue and noted as pending when the daemon is killed, and come again: under other ids, under the same, without any."""
    lies = {"killed-change": {"change", "stop-id270"}, "killed": {"stop-id270"}, "killed-nouidl": {"nouidl", "stop-id270"},
            "killed-notop": {"nouidl", "notop", "stop-id270"}}
    s.ctl("config", "set", "conn_popretr", "timeout", "100")
    s.ctl("config", "set", "conn_popretr", "per_host", "4")
    with Peer(lies) as peer:
        box = {}
        for user in lies:
            # a twin in all but its text, and one in all
            peer.fill(user, 300, lambda k: message(*((k,) if k > 3 else (1, b"", b"text %d\r\n" % min(k, 2)))))
            box[user] = account(s, peer, user, "--leave", "never")
            s.ctl("retrieve", "run", user, "--wait", "0")
        for user in lies:
            assert len(s.wait_messages(255 if "nouidl" in lies[user] else 256, box[user], seconds=120)) < 270, user
        s.kill()
        for user in lies:
            peer.lies[user] -= {"stop-id270"}
        peer.hold.set()
        s.start()
        s.ctl("config", "set", "conn_popretr", "timeout", "60")
        for user in lies:
            last = run(s, user)
            assert last["error"] == "" and last["removed"] == 300 and peer.boxes[user] == [], (user, last)
            once = ["1"] * (2 if "nouidl" in lies[user] else 3)        # nothing tells two that have no id and are the same
            assert subjects(s, box[user], 297 + len(once)) == once + [str(n) for n in range(4, 301)], user


def test_what_has_another_id_later_is_what_it_was(s):
    """It stays there while it is on its way here, and if it could not be delivered, once and again."""
    with Peer({"renamed": {"change"}}) as peer:
        peer.fill("renamed", 19)
        box = account(s, peer, "renamed", "--leave", "never")
        s.ctl("filter", "add", "--mailbox", box, "no", "--when", "subject contains 1", "--do", "reject not here")
        assert (run(s, "renamed")["removed"], run(s, "renamed")["removed"]) == (8, 0) and len(peer.boxes["renamed"]) == 11
        assert sorted(u["subject"] for u in s.ctl("retrieve", "show", "renamed")["undelivered"]) == ["1"] + [str(n) for n in range(10, 20)]
        s.ctl("config", "set", "conn_popretr", "retry_failed", "1")
        postbus.wait(lambda: run(s, "renamed") and all(u["attempt"] for u in s.ctl("retrieve", "show", "renamed")["undelivered"]), "another attempt with all")
        assert len(peer.boxes["renamed"]) == 11 and len(s.ctl("retrieve", "show", "renamed")["undelivered"]) == 11
        s.ctl("filter", "delete", "no", "--mailbox", box)
        postbus.wait(lambda: run(s, "renamed") and not peer.boxes["renamed"], "its removal there")
        s.ctl("config", "set", "conn_popretr", "retry_failed", "86400")
        assert subjects(s, box, 19) == [str(n) for n in range(1, 20)] and s.ctl("retrieve", "show", "renamed")["undelivered"] == []


def test_a_server_that_cannot_bear_pipelining_though_it_says_so(s):
    with Peer({"nopipe": {"nopipe"}}) as peer:
        peer.fill("nopipe")
        box = account(s, peer, "nopipe")
        s.ctl("retrieve", "run", "nopipe")
        s.ctl("retrieve", "run", "nopipe")
        assert subjects(s, box, 5) == FIVE and s.ctl("retrieve", "show", "nopipe")["error"] == ""


def test_a_dot_between_bare_line_ends_ends_nothing(s):
    inside = b"one\n.\nQUIT\r\nDELE 1\r\ntwo\r\n"
    with Peer() as peer:
        peer.fill("smuggle", 3, lambda k: message(k, text=inside if k == 2 else b"x\r\n"))
        box = account(s, peer, "smuggle")
        assert run(s, "smuggle")["messages"] == 3
        assert subjects(s, box, 3) == ["1", "2", "3"] and any(b"one\r\n.\r\nQUIT\r\nDELE 1\r\ntwo\r\n" in m for m in s.messages(box))


def test_what_is_no_answer_is_said_and_nothing_is_lost(s):
    with Peer({"garbage": {"garbage"}, "backwards": {"backwards"}, "inuse": {"inuse"}, "temp": {"temp"}, "denied": {"denied"}}) as peer:
        for user, words in (("garbage", "breaks the protocol"), ("backwards", "behind message"), ("inuse", "IN-USE"), ("temp", "SYS/TEMP"), ("denied", "AUTH")):
            peer.fill(user)
            box = account(s, peer, user)
            assert words in run(s, user)["error"], user
            s.ctl("retrieve", "resume", user)
            shown = s.ctl("retrieve", "show", user)
            s.ctl("retrieve", "pause", user)
            assert shown["failures"] == 1 and len(peer.boxes[user]) == 5, shown
            wait = shown["next_run"] - shown["last_run"]
            assert (1500 if user == "denied" else 200) < wait < 3000, (user, wait)
            peer.lies[user] = set()
            assert run(s, user)["messages"] == 5 and s.ctl("retrieve", "show", user)["failures"] == 0
            assert subjects(s, box, 5) == FIVE


# ---- when ----

def test_a_run_is_a_little_off_its_interval(s):
    with Peer() as peer:
        account(s, peer, "jitter", "--interval", "60", "--jitter", "50")
        waits = set()
        for _ in range(12):
            run(s, "jitter")
            s.ctl("retrieve", "resume", "jitter")
            shown = s.ctl("retrieve", "show", "jitter")
            s.ctl("retrieve", "pause", "jitter")
            waits.add(shown["next_run"] - shown["last_run"])
        assert len(waits) > 2 and all(29 <= w <= 91 for w in waits), waits


def test_other_settings_count_at_once(s):
    with Peer({"again": {"denied"}}) as peer:
        peer.fill("again", 1)
        box = account(s, peer, "again")
        s.ctl("retrieve", "resume", "again")
        shown = postbus.wait(lambda: (lambda a: a if a["failures"] and a["state"] != "running" else None)(s.ctl("retrieve", "show", "again")), "the first run")
        assert shown["state"] == "failing" and shown["next_run"] > shown["last_run"] + 1500, shown
        peer.lies["again"] = set()
        s.ctl("retrieve", "set", "again", "--password-stdin", stdin=PASSWORD + "\n")
        assert subjects(s, box, 1) == ["1"]
        s.ctl("retrieve", "pause", "again")


# ---- limits, folders, many recipients ----

def test_what_is_too_large_stays_there(s):
    with Peer({"liar": {"size"}}) as peer:
        for user in ("large", "liar"):
            peer.fill(user, 3, lambda k: message(k, text=b"x" * 70 + b"\r\n" if k != 2 else (b"y" * 70 + b"\r\n") * 1000))
            box, first, second = twice(s, peer, user, "--size-max", "20K", "--leave", "never")
            assert first["messages"] == 2 and first["removed"] == 2 and "larger than the limit" in second["error"], (first, second)
            assert subjects(s, box, 2) == ["1", "3"] and len([r for r in peer.retrieved if r == (user, "id2")]) == (user == "liar")
            s.ctl("retrieve", "set", user, "--size-max", "200K")
            assert run(s, user)["messages"] == 1 and subjects(s, box, 3) == ["1", "2", "3"]
        for user, lies in (("few", set()), ("few-unnamed", {"nouidl", "notop"})):
            peer.lies[user] = lies
            peer.fill(user, 5)
            account(s, peer, user, "--messages-max", "2")
            assert [run(s, user)["messages"] for _ in range(4)] == [2, 2, 1, 0], user


def test_into_a_folder_unless_a_filter_says_otherwise(s):
    with Peer() as peer:
        peer.fill("folder", 2)
        box = account(s, peer, "folder", "--folder", "From/elsewhere")
        s.ctl("filter", "add", "flag", "--when", "subject is 1", "--do", "set flag flagged")       # the server's own keeps it where it was to be
        s.ctl("filter", "add", "--mailbox", box, "one", "--when", "subject is 2", "--do", "move Archive")
        run(s, "folder")
        assert [b"Subject: 1\r\n" in m for m in s.wait_messages(1, box, "From/elsewhere")] == [True]
        assert [b"Subject: 2\r\n" in m for m in s.wait_messages(1, box, "Archive")] == [True] and s.messages(box) == []
        s.ctl("filter", "delete", "flag")


def test_a_shared_mailbox(s):
    fields = [b"X-Original-To: alice@demo.example\r\n", b"Delivered-To: shared-bob@demo.example\r\n",
              b"Received: from a (b for c) by d\r\n\tfor <bob@demo.example>; Mon, 1 Jan 2024 00:00:00 +0000\r\n",
              b"Delivered-To: nobody@demo.example\r\n", b"X-Original-To: someone@outside.example\r\n", b"To: alice@demo.example\r\n",
              b"X-Original-To: eve@alien.example\r\n"]
    s.ctl("postoffice", "create", "alien")
    s.ctl("domain", "create", "alien.example", "--postoffice", "alien")
    s.ctl("mailbox", "create", "eve@alien.example")             # of another post office
    s.ctl("mailbox", "password", "eve@alien.example", stdin=postbus.PASSWORD + "\n")
    before = {who: len(s.messages(f"{who}@demo.example")) for who in ("alice", "bob")}
    with Peer() as peer:
        peer.fill("shared", len(fields), lambda k: message(k, fields[k - 1]))
        box = account(s, peer, "shared", "--multidrop", "--prefix", "shared-")
        run(s, "shared")
        assert subjects(s, box, 4) == ["4", "5", "6", "7"] and s.messages("eve@alien.example") == []
        assert len(s.wait_messages(before["alice"] + 1, "alice@demo.example")) == before["alice"] + 1
        assert len(s.wait_messages(before["bob"] + 2, "bob@demo.example")) == before["bob"] + 2


# ---- what cannot be delivered ----

def test_what_cannot_be_delivered_stays_there_and_is_told(s):
    with Peer() as peer:
        peer.fill("refused", 3)
        box = account(s, peer, "refused", "--leave", "never")
        s.ctl("filter", "add", "--mailbox", box, "no", "--when", "subject is 2", "--do", "reject not here")
        first = run(s, "refused")
        assert (first["messages"], first["removed"]) == (3, 2) and "1 messages could not be delivered" in first["error"], first
        assert [uid for uid, _ in peer.boxes["refused"]] == ["id2"] and subjects(s, box, 2) == ["1", "3"]
        shown = s.ctl("retrieve", "show", "refused")["undelivered"]
        assert [(u["subject"], u["recipients"]) for u in shown] == [("2", [box])] and "not here" in shown[0]["reason"], shown
        postbus.wait(lambda: any(b"account refused" in m and b"not here" in m for m in s.messages("alice@demo.example")), "a letter about it")
        assert run(s, "refused")["messages"] == 0
        s.ctl("config", "set", "conn_popretr", "retry_failed", "1")
        s.ctl("filter", "delete", "no", "--mailbox", box)
        postbus.wait(lambda: run(s, "refused")["messages"] == 1, "the message to be fetched again")
        assert subjects(s, box, 3) == ["1", "2", "3"] and s.ctl("retrieve", "show", "refused")["undelivered"] == []
        postbus.wait(lambda: run(s, "refused") and peer.boxes["refused"] == [], "its removal there")


def test_for_a_mailbox_that_takes_nothing_nothing_is_fetched(s):
    with Peer() as peer:
        peer.fill("full", 2)
        box = account(s, peer, "full", "--leave", "never")
        s.ctl("mailbox", "set", box, "--enabled", "false")
        assert "is disabled" in run(s, "full")["error"] and peer.retrieved == []
        s.ctl("mailbox", "set", box, "--enabled", "true", "--quota-bytes", "1000")
        first = run(s, "full")
        assert first["messages"] == 1 and "no room for 1" in first["error"] and len(peer.boxes["full"]) == 1, first
        s.ctl("mailbox", "set", box, "--quota-bytes", "0", "--quota-messages", "1")
        assert "is full" in run(s, "full")["error"] and len(peer.boxes["full"]) == 1
        s.ctl("mailbox", "set", box, "--quota-messages", "0")
        assert run(s, "full")["messages"] == 1 and subjects(s, box, 2) == ["1", "2"]


# ---- logins ----

def test_every_way_to_log_in(s):
    for user, methods, apop, option in (("scram256", ("SCRAM-SHA-256", "PLAIN"), False, "auto"), ("scram1", ("SCRAM-SHA-1", "PLAIN"), False, "auto"),
                                        ("plain2", ("PLAIN",), False, "auto"), ("apop", ("USER",), True, "auto"), ("clear", ("USER", "PLAIN"), False, "user")):
        with Peer(methods=methods, apop=apop) as peer:
            peer.fill(user, 1)
            box = account(s, peer, user, "--auth", option)
            assert run(s, user)["messages"] == 1, (user, s.ctl("retrieve", "show", user))
            assert (peer.methods_used[:1] or [None])[0] == (methods[0] if option == "auto" and methods[0] != "USER" else None), peer.methods_used
            assert subjects(s, box, 1) == ["1"] and apop == any(line.startswith("APOP") for line in peer.heard)


def test_a_server_that_does_not_know_the_password_is_not_believed(s):
    for user, lie, words in (("imposter", "liar", "cannot prove"), ("noproof", "noproof", "without a proof")):
        with Peer({"*": {lie}}, methods=("SCRAM-SHA-256",)) as peer:
            peer.fill(user, 1)
            account(s, peer, user)
            assert words in run(s, user)["error"] and peer.retrieved == [], user


def test_nothing_is_said_in_the_clear_where_tls_was_to_be(s):
    for user, lies, words in (("nostls", {}, "offers no STLS"), ("stls", {"*": {"stls"}}, "more in the clear")):
        with Peer(lies) as peer:
            peer.fill(user, 1)
            account(s, peer, user, tls="starttls")
            assert words in run(s, user)["error"] and peer.logins == 0 and not any(user in line for line in peer.heard), (user, peer.heard)


class Injecting(socketserver.StreamRequestHandler):
    """An IMAP server, or one between it and us, that says more in the clear behind its answer to STARTTLS."""

    def handle(self):
        self.server.peer.sessions += 1
        self.wfile.write(b"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready\r\n")
        for line in self.rfile:
            self.server.peer.heard.append(line.decode())
            tag, word = line.split()[:2]
            if word == b"CAPABILITY":
                self.wfile.write(b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n" + tag + b" OK\r\n")
            elif word == b"STARTTLS":
                self.wfile.write(tag + b" OK go on\r\n* CAPABILITY IMAP4rev1\r\n")
            else:
                return


def test_nothing_that_an_imap_server_said_in_the_clear_counts_under_tls(s):
    with Peer(handler=Injecting) as peer:
        account(s, peer, "injected", protocol="imap", tls="starttls")
        assert "more in the clear" in run(s, "injected")["error"]
        assert [line.split()[1] for line in peer.heard if line.split()[1] != "CAPABILITY"] == ["STARTTLS"], peer.heard


def test_secrets_are_not_in_the_store(s):
    with Peer() as peer:
        account(s, peer, "sealed")
        key = os.path.join(s.home, "state", "conn_popretr", "key")
        assert os.stat(key).st_mode & 0o777 == 0o600 and os.path.getsize(key) == 32
        for where, _, names in os.walk(os.path.join(s.home, "store")):
            for name in names:
                assert PASSWORD.encode() not in open(os.path.join(where, name), "rb").read(), name
        assert PASSWORD not in s.log() and PASSWORD not in str(s.ctl("retrieve", "list"))


def test_a_key_that_is_missing(s):
    key = os.path.join(s.home, "state", "conn_popretr", "key")
    with Peer() as peer:
        account(s, peer, "keyless")
        s.stop()
        os.rename(key, key + ".away")
        s.start()
        assert f"bring {key} back" in run(s, "keyless")["error"] and peer.logins == 0 and "retrieve.no_key" in s.log()
        os.rename(key + ".away", key)
        assert run(s, "keyless")["error"] == "" and peer.logins == 1
        s.stop()
        os.remove(key)
        s.start()
        assert "give passwords and tokens anew" in run(s, "keyless")["error"] and not os.path.exists(key)
        s.ctl("retrieve", "set", "keyless", "--password-stdin", stdin=PASSWORD + "\n")
        assert run(s, "keyless")["error"] == "" and peer.logins == 2 and os.stat(key).st_mode & 0o777 == 0o600


# ---- commands ----

def test_commands(s):
    def refused(*words, stdin="x\n"):
        code, text = s.ctl("retrieve", *words, check=False, stdin=stdin)
        assert code, (words, text)
        return str(text)
    assert "mailbox" in refused("add", "nobody@demo.example", "127.0.0.1", "--password-stdin")
    assert "log in with" in refused("add", "alice@demo.example", "127.0.0.1")
    assert "64 hexadecimal" in refused("add", "alice@demo.example", "127.0.0.1", "--pin", "abc", "--password-stdin")
    assert "IMAP alone" in refused("add", "alice@demo.example", "127.0.0.1", "--idle", "--password-stdin")
    assert "control characters" in refused("add", "alice@demo.example", "127.0.0.1", "--user", "a\r\nDELE 1", "--password-stdin")
    assert "domains" in refused("add", "alice@demo.example", "127.0.0.1", "--protocol", "etrn")
    for words in (("show", "nobody"), ("run", "nobody"), ("test", "nobody"), ("pause", "nobody"), ("resume", "nobody"), ("delete", "nobody"), ("set", "nobody")):
        assert "no account" in refused(*words)
    with Peer() as peer:
        peer.fill("cmd", 2)
        box = account(s, peer, "cmd")
        assert "already" in refused("add", box, "127.0.0.1", "--id", "cmd", "--password-stdin")
        tested = s.ctl("retrieve", "test", "cmd")
        assert (tested["messages"], tested["ids"], tested["pipelining"], tested["login"], tested["tls"]) == (2, True, True, "USER", ""), tested
        assert peer.retrieved == [] and [a["id"] for a in s.ctl("retrieve", "list", box)["accounts"]] == ["cmd"]
        s.ctl("retrieve", "resume", "cmd")
        subjects(s, box, 2)             # by itself
        s.ctl("retrieve", "pause", "cmd")
        s.ctl("retrieve", "delete", "cmd")
        assert s.ctl("retrieve", "list", box)["accounts"] == [] and len(peer.boxes["cmd"]) == 2
        account(s, peer, "cmd", box=box)
        assert run(s, "cmd")["messages"] == 2   # another account, which knows nothing


def test_a_restart_knows_everything(s):
    with Peer() as peer:
        peer.fill("restart", 5)
        box = account(s, peer, "restart")
        run(s, "restart")
        s.stop()
        s.start()
        peer.fill("restart", 1)
        assert run(s, "restart")["messages"] == 1 and subjects(s, box, 6) == FIVE + ["6"]
        assert s.ctl("retrieve", "show", "restart")["messages"] == 6


if __name__ == "__main__":
    postbus.run(sys.modules[__name__], make)
