# SPDX-License-Identifier: GPL-3.0-or-later
"""Who comes and goes by mail, and commands to the request address: each asked by a letter, and answered by one."""
import email, email.policy, os, re, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus

ALICE, BOB, CAROL = (f"{name}@demo.example" for name in ("alice", "bob", "carol"))
DEV = "dev@demo.example"
CONFIG = {"plugins": {"conn_list": {"config": {"answers": 100, "confirmations": 4}}}}


def write(server, door, sender=BOB, subject="", text="", fields="", envelope=None):
    server.send(f"From: {sender}\r\nTo: {door}@demo.example\r\nSubject: {subject}\r\nMessage-ID: <{door}.{len(subject)}@demo.example>\r\n{fields}\r\n{text}\r\n",
                sender=sender if envelope is None else envelope, to=(f"{door}@demo.example",))


def letters(server, who=BOB):
    return [email.message_from_bytes(raw, policy=email.policy.SMTP) for raw in server.messages(who)]


def arrived(server, pattern, who=BOB, n=1):
    """The newest letter whose subject matches, once there are n of them."""
    def look():
        found = [m for m in letters(server, who) if re.search(pattern, m["Subject"])]
        assert len(found) <= n, f"{who} has {pattern} {len(found)} times: {[m['Subject'] for m in found]}"
        return found if len(found) == n else None
    return postbus.wait(look, f"{pattern} at {who}")[-1]


def members(server):
    return [m["address"] for m in server.ctl("list", "member", "list", DEV)["members"]]


def test_who_subscribes_is_asked_first(server):
    server.ctl("mailbox", "create", CAROL)
    server.ctl("mailbox", "password", CAROL, stdin=postbus.PASSWORD + "\n" + postbus.PASSWORD + "\n")
    server.ctl("list", "create", DEV, "--description", "Developers", "--owners", ALICE)
    server.ctl("list", "set", DEV, "tell_owners", "yes")
    server.ctl("list", "set", DEV, "welcome_text", "Be kind.")
    write(server, "dev-subscribe-digest", sender=f"Bob B <{BOB}>", envelope=BOB)
    asked = arrived(server, r"^confirm [0-9a-f]{20}$")
    assert asked["Auto-Submitted"] == "auto-generated" and asked["List-Id"] == "Developers <dev.demo.example>" and asked["Return-Path"] == "<>"
    token = asked["Subject"].split()[1]
    assert f"dev-confirm+{token}@demo.example" in asked["From"] and BOB in asked.get_content()
    assert members(server) == []
    # An answer of a program is no yes; one of his is.
    write(server, f"dev-confirm+{token}", subject="I am away", fields="Auto-Submitted: auto-replied\r\n")
    server.wait_log(r"event=list\.ignored .*program")
    assert members(server) == []
    write(server, f"dev-confirm+{token}", subject=f"Re: confirm {token}", text="> Somebody, probably you")
    welcome = arrived(server, "^Welcome to Developers")
    assert "Be kind." in welcome.get_content() and "dev-unsubscribe@demo.example" in welcome.get_content()
    shown = server.ctl("list", "member", "show", DEV, BOB)
    assert (shown["delivery"], shown["name"]) == ("mime", "Bob B")
    arrived(server, f"^{BOB} joined dev", ALICE)
    # The token is spent, and who is a member hears so.
    write(server, f"dev-confirm+{token}")
    assert "confirmed before" in arrived(server, "What came of your request").get_content()
    write(server, "dev+join", subject="me again")
    assert "is a member already" in arrived(server, "^Re: me again$").get_content()


def test_commands_are_answered_in_one_letter(server):
    server.ctl("list", "set", DEV, "who", "members")
    server.ctl("list", "member", "add", DEV, CAROL, ALICE)
    server.ctl("list", "member", "set", DEV, CAROL, "--hidden", "yes")
    write(server, "dev-request", text="help\r\nwho\r\n> who\r\nset\r\nset colour blue\r\nget 3\r\nlists\r\nhello there\r\n-- \r\nnothing\r\n")
    said = arrived(server, f"What came of your request to {DEV}", n=2).get_content()
    for part in "confirm TOKEN", f"> who", f"  {BOB} (Bob B)", "delivery mime", "set takes:", "no archive", "  dev@demo.example  Developers", "> hello there", "no command":
        assert part in said, (part, said)
    assert CAROL not in said and said.count("> who") == 1 and "nothing" not in said.split("> hello")[1], said
    write(server, "dev-request", subject="Re: who", sender=CAROL)
    assert "2 members" in arrived(server, "^Re: who", CAROL).get_content()
    server.ctl("list", "set", DEV, "who", "owners")
    write(server, "dev-request", subject="who")
    assert "shown to owners" in arrived(server, "^Re: who").get_content()
    write(server, "dev-request", subject="who", sender=ALICE)
    assert CAROL in arrived(server, "^Re: who", ALICE).get_content()
    write(server, "dev-request", text="\r\n".join(f"nonsense {i}" for i in range(30)), subject="ask")
    said = arrived(server, "^Re: ask").get_content()
    assert "nonsense 9" in said and "nonsense 10" not in said and "Too many" in said
    write(server, "dev-help", subject="?", fields="Precedence: bulk\r\n")
    server.wait_log(r"event=list\.ignored .*(?s:.*)event=list\.ignored")


def test_what_a_member_sets_he_confirms_unless_his_login_says_so(server):
    write(server, "dev-request", subject="set delivery plain")
    token = arrived(server, r"^confirm", n=2)["Subject"].split()[1]
    assert server.ctl("list", "member", "show", DEV, BOB)["delivery"] == "mime"
    write(server, "dev-request", subject=f"Re: confirm {token}")
    arrived(server, f"^Re: confirm {token}")
    assert server.ctl("list", "member", "show", DEV, BOB)["delivery"] == "plain"
    server.submit(f"From: {BOB}\r\nTo: dev-request@demo.example\r\nSubject: set mail off\r\n\r\n", user=BOB, to=("dev-request@demo.example",))
    arrived(server, "^Re: set mail off")
    assert server.ctl("list", "member", "show", DEV, BOB)["stopped"] == "member"
    # Whoever only says that he is Bob is not.
    server.submit(f"From: {ALICE}\r\nTo: dev-request@demo.example\r\nSubject: unsubscribe address={BOB}\r\n\r\n", user=ALICE, to=("dev-request@demo.example",))
    assert "A letter went to" in arrived(server, "^Re: unsubscribe", ALICE).get_content()
    assert BOB in members(server) and ALICE in arrived(server, "^confirm", n=3).get_content()


def test_who_leaves_is_asked_and_let_go(server):
    write(server, "dev-unsubscribe", subject="please")
    token = arrived(server, "^confirm", n=4)["Subject"].split()[1]
    # Too many letters of the kind were sent to him today.
    write(server, "dev-leave", subject="once more")
    assert "asked too often" in arrived(server, "^Re: once more").get_content()
    write(server, f"dev-confirm+{token}")
    arrived(server, "^You have left Developers")
    assert BOB not in members(server)
    write(server, "dev-unsubscribe", subject="again")
    assert "is no member" in arrived(server, "^Re: again").get_content()
    server.ctl("list", "set", DEV, "unsubscription", "open")
    write(server, "dev-unsubscribe", sender=CAROL)
    arrived(server, "^You have left Developers", CAROL)
    arrived(server, f"^{CAROL} left dev", ALICE)
    write(server, f"dev-confirm+{'0' * 20}", subject="guess", sender=CAROL)
    assert "not known" in arrived(server, "^Re: guess", CAROL).get_content()


def test_open_and_closed_lists(server):
    server.ctl("list", "set", DEV, "subscription", "closed")
    write(server, "dev-subscribe", subject="may I", sender=CAROL)
    assert "chosen by its owners" in arrived(server, "^Re: may I", CAROL).get_content()
    server.ctl("list", "set", DEV, "subscription", "open")
    server.ctl("list", "set", DEV, "moderate_new", "yes")
    write(server, "dev-subscribe", sender=CAROL)
    arrived(server, "^Welcome to", CAROL)
    assert server.ctl("list", "member", "show", DEV, CAROL)["moderated"] is True
    # Open for oneself only: others are asked.
    write(server, "dev-request", subject=f"subscribe address={ALICE} nomail", sender=CAROL)
    arrived(server, "^Re: subscribe", CAROL)
    server.ctl("list", "member", "remove", DEV, ALICE)
    arrived(server, "^confirm", ALICE)
    assert members(server) == [CAROL]
    write(server, "dev-request", subject="subscribe address=nobody", sender=CAROL)
    postbus.wait(lambda: [m for m in letters(server, CAROL) if "'nobody' is no address" in m.get_content()], "told")


postbus.run(sys.modules[__name__], make=lambda: postbus.Server(config=CONFIG))
