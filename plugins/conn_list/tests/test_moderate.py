# SPDX-License-Identifier: GPL-3.0-or-later
"""Posts that wait: who hears of it, how moderators decide by mail and by command, what happens when nobody does; each post goes out once."""
import email, email.policy, os, re, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus

ALICE, BOB, CAROL = (f"{name}@demo.example" for name in ("alice", "bob", "carol"))
DEV = "dev@demo.example"
CONFIG = {"plugins": {"conn_list": {"config": {"answers": 100, "interval": 1, "retry": [1]}}}}


def send(server, subject, sender=BOB, to=DEV, fields="", text="Hello."):
    server.send(f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n{fields}\r\n{text}\r\n", sender=sender, to=(to,))


def letters(server, who):
    return [email.message_from_bytes(raw, policy=email.policy.SMTP) for raw in server.messages(who)]


def arrived(server, pattern, who, n=1):
    def look():
        found = [m for m in letters(server, who) if re.search(pattern, m["Subject"])]
        assert len(found) <= n, f"{who} has {pattern} {len(found)} times"
        return found if len(found) == n else None
    return postbus.wait(look, f"{pattern} at {who}")[-1]


def held(server):
    return {row["subject"]: row for row in server.ctl("list", "held", DEV)["held"]}


def door(letter):
    return re.search(r"dev-moderate\+[0-9a-f]{20}@demo.example", letter["From"]).group(0)


def waits(server, subject, who=ALICE, **more):
    """Sends a post that is held; gives the address that decides about it."""
    send(server, subject, **more)
    return door(arrived(server, f"a post of .* waits: {subject}", who))


def test_a_post_of_a_stranger_waits_and_goes_on_when_it_is_approved(server):
    server.ctl("mailbox", "create", CAROL)
    server.ctl("mailbox", "password", CAROL, stdin=postbus.PASSWORD + "\n" + postbus.PASSWORD + "\n")
    server.ctl("list", "create", DEV, "--owners", ALICE)
    server.ctl("list", "member", "add", DEV, CAROL)
    address = waits(server, "one", fields="X-Own: kept\r\n", text="Exactly  this.")
    letter = arrived(server, "waits: one", ALICE)
    attached = [part for part in letter.walk() if part.get_content_type() == "message/rfc822"][0].get_payload(0)
    assert attached["X-Own"] == "kept" and "only members may post" in letter.get_body().get_content()
    assert "only members may post" in arrived(server, "Your post to dev@demo.example waits", BOB).get_content()
    shown = server.ctl("list", "held", DEV, held(server)["one"]["token"])["held"][0]
    assert shown["poster"] == BOB and shown["message"].endswith("\r\n\r\nExactly  this.\r\n")
    # A moderator answers the letter; what he quotes says nothing.
    send(server, f"Re: {letter['Subject']}", sender=ALICE, to=address, text="\r\n> reject\r\nApprove.\r\n\r\nOn Monday she wrote:\r\n> approve, reject, discard")
    m = arrived(server, "^one$", CAROL)
    assert m.get_content() == "Exactly  this.\r\n" and m["X-Own"] == "kept" and m["From"] == BOB and m["List-Id"] == "<dev.demo.example>"
    # Whoever comes later hears who was first.
    send(server, "discard", sender=CAROL, to=address)
    assert f"decided already: approve by {ALICE}" in arrived(server, "^dev: your decision", CAROL).get_content().replace("\r\n", " ")
    assert held(server) == {}


def test_rejected_and_discarded_posts(server):
    address = waits(server, "two")
    send(server, "what is this", sender=ALICE, to=address, text="I do not know.")
    assert "none of the words" in arrived(server, "^dev: your decision", ALICE).get_content().replace("\r\n", " ")
    send(server, "approve", sender=ALICE, to=address, fields="Auto-Submitted: auto-replied\r\n")
    send(server, "approve", sender=ALICE, to=f"dev-moderate+{'a' * 20}@demo.example")
    arrived(server, "^dev: your decision", ALICE, n=2)
    assert "two" in held(server)
    send(server, "reject not here,", sender=ALICE, to=address, text="ask in the forum\r\n-- \r\nAlice")
    told = arrived(server, "was not taken", BOB)
    assert "not here,\r\nask in the forum\r\n" in told.get_body().get_content() and "Alice" not in told.get_body().get_content()
    send(server, "discard", sender=ALICE, to=waits(server, "three"))
    postbus.wait(lambda: held(server) == {}, "nothing waits")
    assert [m["Subject"] for m in letters(server, CAROL)].count("two") == 0


def test_moderators_get_large_posts_without_their_text(server):
    server.ctl("list", "set", DEV, "max_size", "300k")
    waits(server, "a large one", sender=CAROL, text=("x" * 76 + "\r\n") * 5000)
    letter = arrived(server, "waits: a large one", ALICE)
    inner = [part for part in letter.walk() if part.get_content_type() == "message/rfc822"][0].get_payload(0)
    assert len(letter.as_bytes()) < 10000 and inner["Subject"] == "a large one" and "left out" in inner.get_content()
    server.ctl("list", "moderate", DEV, held(server)["a large one"]["token"], "approve")
    assert len(arrived(server, "^a large one$", CAROL).get_content()) > 380000
    server.ctl("list", "unset", DEV, "max_size")


def test_commands_decide_and_remember(server):
    waits(server, "four")
    server.ctl("list", "moderate", DEV, held(server)["four"]["token"], "approve", "--always", "accept")
    arrived(server, "^four$", CAROL)
    send(server, "five")
    arrived(server, "^five$", CAROL)
    server.ctl("list", "unset", DEV, "accept_from")
    waits(server, "six")
    token = held(server)["six"]["token"]
    server.ctl("list", "moderate", DEV, token, "reject", "--reason", "No.", "--always", "moderate")
    assert "No." in arrived(server, "was not taken", BOB, n=2).get_body().get_content()
    assert server.ctl("list", "show", DEV)["settings"]["hold_from"] == [BOB]
    code, said = server.ctl("list", "moderate", DEV, token, "approve", check=False)
    assert code != 0 and "decided already" in str(said)
    assert server.ctl("list", "held", DEV, token, check=False)[0] != 0
    server.ctl("list", "unset", DEV, "hold_from")


def test_subscriptions_are_decided_about(server):
    server.ctl("list", "set", DEV, "subscription", "moderated")
    send(server, "", to="dev-subscribe@demo.example")
    token = arrived(server, "^confirm", BOB)["Subject"].split()[1]
    send(server, "", to=f"dev-confirm+{token}@demo.example")
    address = door(arrived(server, f"{BOB} wants to subscribe", ALICE))
    assert server.ctl("list", "show", DEV)["members"] == 1
    send(server, "accept", sender=ALICE, to=address)
    arrived(server, "^Welcome to dev", BOB)
    server.ctl("list", "member", "set", DEV, BOB, "--ack", "yes")
    send(server, "as a member")
    arrived(server, "^as a member$", CAROL)
    assert "as a member" in arrived(server, "^Your post to dev@demo.example went out", BOB).get_content()
    server.ctl("list", "member", "set", DEV, BOB, "--ack", "no")


def test_moderators_are_reminded_and_time_decides(server):
    server.ctl("list", "set", DEV, "moderators", CAROL)
    server.ctl("list", "set", DEV, "emergency", "yes")
    waits(server, "seven", who=CAROL)
    server.ctl("list", "set", DEV, "hold_remind", "1s")
    reminder = postbus.wait(lambda: [m for m in letters(server, CAROL) if "1 waits for a decision" in m["Subject"]], "a reminder")[0]
    assert f"dev-moderate+{held(server)['seven']['token']}@demo.example?subject=approve" in reminder.get_content()
    server.ctl("list", "set", DEV, "hold_expired", "accept")
    server.ctl("list", "set", DEV, "hold_expire", "1s")
    arrived(server, "^seven$", CAROL)
    assert held(server) == {}
    server.ctl("list", "set", DEV, "hold_remind", "1d")
    server.ctl("list", "set", DEV, "hold_expire", "14d")


def test_what_was_approved_goes_out_once_over_kill_9_and_two_moderators(server):
    for i in range(6):
        waits(server, f"crash {i}", who=CAROL)
    tokens = {subject: row["token"] for subject, row in held(server).items()}
    for i in range(6):
        address = f"dev-moderate+{tokens[f'crash {i}']}@demo.example"
        send(server, "approve", sender=CAROL, to=address)
        send(server, "approve", sender=ALICE, to=address)
        if i % 2:
            server.kill()
            server.start()
    for i in range(6):
        arrived(server, f"^crash {i}$", CAROL)
        arrived(server, f"^crash {i}$", BOB)
    postbus.wait(lambda: held(server) == {} and not server.ctl("queue", "list")["items"], "all is done")
    for i in range(6):
        arrived(server, f"^crash {i}$", CAROL)


def test_a_sieve_rule_says_who_posts(server):
    server.ctl("list", "set", DEV, "emergency", "no")
    code, said = server.ctl("list", "set", DEV, "posting_script", "keep;\nif true { nonsense; }", check=False)
    assert code != 0 and "line 2" in str(said), said
    rule = """require ["reject", "fileinto"];
if header :contains "Subject" "look" { fileinto "hold"; }
elsif header :contains "Subject" "no" { reject "Not this."; }
elsif header :contains "Subject" "quiet" { discard; }"""
    server.ctl("list", "set", DEV, "posting_script", rule)
    server.ctl("list", "set", DEV, "posting", "script")
    waits(server, "look at it", who=CAROL)
    send(server, "no way")
    postbus.wait(lambda: [m for m in server.messages(BOB) if b"550 5.7.1" in m and b"Not this." in m], "a report")
    send(server, "quiet please")
    server.wait_log(r"event=list\.discarded .*rule of this list")
    send(server, "ruled in")
    arrived(server, "^ruled in$", CAROL)
    assert not [m for m in letters(server, CAROL) if m["Subject"] in ("no way", "quiet please", "look at it")]


def test_what_waits_goes_with_its_list(server):
    waits(server, "look, the last", who=CAROL)
    server.ctl("list", "delete", DEV)
    server.ctl("list", "create", DEV, "--owners", ALICE)
    assert held(server) == {}


postbus.run(sys.modules[__name__], make=lambda: postbus.Server(config=CONFIG))
