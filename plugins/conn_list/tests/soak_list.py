# SPDX-License-Identifier: GPL-3.0-or-later
"""A post to very many members: one body, no personal mail behind it, and every member served once when the daemon is killed in the middle, or its connections.
As a test with a thousand members; `make soak-list` has 100,000, kills at random and says what personal mail waits for. Sizes by environment: SOAK_MEMBERS elsewhere,
SOAK_MAILBOXES here, SOAK_KILLS, SOAK_LETTERS."""
import os, random, statistics, sys, time

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
sys.path.insert(0, os.path.join(TOP, "tests", "bench"))
import bench_list, postbus

MEMBERS, MAILBOXES = int(os.environ.get("SOAK_MEMBERS", "1000")), int(os.environ.get("SOAK_MAILBOXES", "10"))
KILLS, LETTERS = int(os.environ.get("SOAK_KILLS", "0")), int(os.environ.get("SOAK_LETTERS", "0"))
# Transactions at once, and recipients in each.
WORKERS, BATCH = 2, 20
PATIENCE = 60 + MEMBERS // 50
LIST = bench_list.LIST
sink = bench_list.Sink()


def make():
    smtp = {"smart_host": f"[127.0.0.1]:{sink.port}", "smart_host_tls": "none", "workers": WORKERS, "per_destination": 0, "batch_max": BATCH, "retry_ladder": ["1s"]}
    return postbus.Server(config={"plugins": {"conn_smtp": {"config": smtp}}, "queue": {"crash_pause": "1s", "crashes_max": 10}})


def bodies(server):
    return server.call("status")["store"]["bodies"]


def is_idle(server):
    return not any(n for lane in server.call("queue.counts")["lanes"] for key, n in lane.items() if key != "lane")


def copies(server):
    """How many messages each mailbox of the list has."""
    return [server.call("mailbox.show", mailbox=f"u{i}@demo.example")["used_messages"] for i in range(MAILBOXES)]


def expect(word):
    words = sink.line()
    assert words[0] == word, words
    return words


def post(server, hold=0):
    sink.say(f"expect {MEMBERS} {hold}" if hold else f"expect {MEMBERS}")
    server.send(bench_list.POST.format(time.time_ns()), sender="poster@demo.example", to=(LIST,))


def paths(server, verp):
    server.call("list.set", list=LIST, setting="verp", value=["1" if verp else "0"])


def wait_served(server, before):
    """All have it, and nothing is left to be done. Gives (deliveries to members elsewhere, most to one)."""
    expect("served")
    postbus.wait(lambda: is_idle(server), "an empty queue", PATIENCE)
    assert copies(server) == [n + 1 for n in before], "a mailbox has it twice or not at all"
    served, deliveries, most, _, _ = sink.count()
    assert served == MEMBERS, served
    return deliveries, most


def test_one_body_serves_all_and_personal_mail_does_not_wait(server):
    server.call("list.create", list=LIST, posting="anyone")
    for i in range(MAILBOXES):
        server.call("mailbox.create", address=f"u{i}@demo.example")
    members = [f"u{i}@demo.example" for i in range(MAILBOXES)] + [bench_list.address(i) for i in range(MEMBERS)]
    for first in range(0, len(members), 1000):
        server.call("list.member.add", list=LIST, addresses=members[first:first + 1000])
    before = bodies(server)
    post(server, MEMBERS // 4)
    sink.say(f"wait {MEMBERS // 4}")
    expect("reached")
    postbus.wait(lambda: copies(server) == [1] * MAILBOXES, "the post in the mailboxes", PATIENCE)
    # what members get, and the post as it came, which the store gives back in its own time
    assert bodies(server) <= before + 2, f"{bodies(server) - before} bodies for one post"
    # the rest waits at the sink until the personal message is in the queue behind it
    server.submit("From: alice@demo.example\r\nTo: friend@d0.example\r\nSubject: personal\r\n\r\nhi\r\n", to=("friend@d0.example",))
    sink.say("go")
    expect("served")
    served, deliveries, most, personal, at = sink.count()
    print(f"  the personal message came after {at} of {MEMBERS} members")
    assert (served, deliveries, most) == (MEMBERS, MEMBERS, 1) and personal == 1, (served, deliveries, most, personal)
    # besides what was served before it: the rows that the workers had in hand, and a turn or two of bulk
    assert at <= MEMBERS // 4 + 3 * WORKERS * 100, f"the personal message waited for {at - MEMBERS // 4} members"


def end_in_the_middle(server, verp, end):
    """Until every worker waits for the answer to a message, which never comes; all answers before it have been heard, since each worker went on."""
    before = copies(server)
    paths(server, verp)
    post(server, MEMBERS // 2)
    sink.say(f"wait {MEMBERS // 2} {WORKERS}")
    expect("reached")
    end()
    assert wait_served(server, before) == (MEMBERS, 1), "a member elsewhere has it twice"


def kill_and_cut(server):
    server.kill()
    sink.say("cut")
    server.start()


def test_a_kill_in_the_middle_serves_each_member_once(server):
    end_in_the_middle(server, False, lambda: kill_and_cut(server))


def test_a_kill_serves_each_once_where_each_has_a_return_path(server):
    end_in_the_middle(server, True, lambda: kill_and_cut(server))


def test_connections_that_break_in_the_middle_serve_each_member_once(server):
    end_in_the_middle(server, False, lambda: sink.say("cut"))


def test_kills_at_random_double_no_more_than_was_on_the_wire(server):
    if not KILLS:
        return
    for verp in (False, True):
        before, at, most_at_once = copies(server), 0, WORKERS * (1 if verp else BATCH)
        paths(server, verp)
        post(server)
        for at in sorted(random.randrange(MEMBERS * 9 // 10) for _ in range(KILLS)):
            sink.say(f"wait {at}")
            expect("reached")
            server.kill()
            server.start()
        deliveries, most = wait_served(server, before)
        print(f"  {KILLS} kills, {'a return path for each' if verp else 'one return path'}: {deliveries - MEMBERS} of {MEMBERS} members elsewhere have it twice; "
              f"at most {most_at_once} were on the wire each time")
        assert deliveries - MEMBERS <= KILLS * most_at_once


def time_letter(session):
    """Seconds from a submission's MAIL to its delivery elsewhere; None: the post was over before it came."""
    start = time.monotonic()
    session.sendmail("alice@demo.example", ["friend@d0.example"], "From: alice@demo.example\r\nTo: friend@d0.example\r\nSubject: personal\r\n\r\nhi\r\n")
    words = sink.line()
    if words[0] == "served":
        expect("personal")
        return None
    assert words[0] == "personal", words
    return float(words[1]) - start


def test_how_long_personal_mail_takes_beside_a_post(server):
    if not LETTERS:
        return
    paths(server, False)
    sink.say(f"expect {MEMBERS}")
    sink.say("tell")
    with server.smtp("submission") as session:
        session.starttls(context=postbus.no_check())
        session.login("alice@demo.example", postbus.PASSWORD)
        idle = [time_letter(session) for _ in range(LETTERS)]
        post(server)
        beside = []
        for n in range(LETTERS):
            sink.say(f"wait {(n + 1) * MEMBERS // (LETTERS + 3)}")
            expect("reached")
            beside.append(time_letter(session))
            assert beside[-1] is not None, "the post was over before the letter came: more members are needed"
    expect("served")
    a, b = statistics.median(idle), statistics.median(beside)
    print(f"  {LETTERS} personal letters, milliseconds from MAIL to their delivery: {a * 1000:.1f} on an idle server ({min(idle) * 1000:.1f} to {max(idle) * 1000:.1f}), "
          f"{b * 1000:.1f} beside the post ({min(beside) * 1000:.1f} to {max(beside) * 1000:.1f}): {b / a:.1f} times")


postbus.run(sys.modules[__name__], make)
