# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings one by one, each by what it does: who may post, what posts and letters look like, and members whom another plugin names."""
import atexit, email, email.policy, os, shutil, sys, tempfile

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus

ALICE, BOB, CAROL = (f"{name}@demo.example" for name in ("alice", "bob", "carol"))
DEV = "dev@demo.example"


def make():
    source = os.path.join(postbus.BUILD, ".libs", "list_source.so")
    if not os.path.exists(source):
        raise SystemExit(f"{source} is not built: make check builds it")
    where = tempfile.mkdtemp(prefix="pb-source-")
    atexit.register(shutil.rmtree, where, True)
    shutil.copy(source, where)
    shutil.copy(os.path.join(TOP, "plugins", "conn_list", "tests", "list_source.json"), where)
    root = os.environ.get("POSTBUS_BIN")
    others = os.path.join(os.path.dirname(root), "lib", "postbus", "plugins") if root else postbus.plugin_dir()
    server = postbus.Server(config={"plugin_path": [where, others], "plugins": {"agent_dns": {"config": {"zones": ["example. static"], "timeout": 60}}, "conn_list": {"config": {"interval": 1, "retry": [1], "answers": 100}}}})
    server.ctl("mailbox", "create", CAROL)
    server.ctl("mailbox", "password", CAROL, stdin=postbus.PASSWORD + "\n")
    server.ctl("list", "create", DEV, "--description", "Developers", "--owners", ALICE)
    server.ctl("list", "member", "add", DEV, BOB)
    return server


def put(server, **settings):
    for name, value in settings.items():
        server.ctl("list", *(("unset", DEV, name) if value is None else ("set", DEV, name, value)))


def post(server, subject, sender=BOB, fields="", text="Hello.\r\n", to=DEV):
    return server.send(f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n{fields}\r\n{text}", sender=sender, to=(to,))


def arrived(server, subject, who=BOB):
    def look():
        found = [m for m in (email.message_from_bytes(raw, policy=email.policy.SMTP) for raw in server.messages(who)) if subject in m["Subject"]]
        assert len(found) < 2, f"{who} has {subject} {len(found)} times"
        return found
    return postbus.wait(look, f"{subject} at {who}")[0]


def held(server):
    return {row["subject"]: row["reason"] for row in server.ctl("list", "held", DEV)["held"]}


def test_addresses_whose_posts_are_dropped_or_sent_back(server):
    put(server, posting="anyone", reject_from=CAROL, discard_from="*@spam.example")
    post(server, "sent back", sender=CAROL)
    assert b"you may not post to this list" in postbus.wait(lambda: server.messages(CAROL), "a report")[0]
    id = post(server, "dropped", sender="x@spam.example")
    server.wait_log(rf"event=list\.discarded .*id={id} ")
    put(server, reject_from=None, discard_from=None)


def test_an_announcement_list_has_few_voices(server):
    put(server, announce="yes", hold_tell_poster="no", posting=None)
    post(server, "news", sender=ALICE)
    m = arrived(server, "news")
    assert (m["List-Post"], m["Reply-To"]) == ("NO", None)
    post(server, "an opinion")
    postbus.wait(lambda: held(server) == {"an opinion": "only moderators may post to this list"}, "held")
    server.wait_settled()
    assert not any(b"waits" in raw for raw in server.messages(BOB))        # hold_tell_poster
    put(server, announce=None, hold_tell_poster=None)


def test_many_readers_make_a_moderator_look(server):
    put(server, max_recipients="3")
    post(server, "two more", fields="Cc: a@x.example\r\n")
    arrived(server, "two more")
    post(server, "three more", fields="Cc: a@x.example, G: b@x.example;\r\n")
    postbus.wait(lambda: held(server).get("three more") == "the post has 3 addresses in To and Cc", "held")
    put(server, max_recipients=None)


def test_suffix_and_texts_for_html(server):
    put(server, suffix="(dev)", header_text="above", header_html="<i>above</i>", footer_text="below", footer_html="<b>{description}</b>")
    both = "--b\r\nContent-Type: text/plain\r\n\r\nHello.\r\n--b\r\nContent-Type: text/html\r\n\r\n<html><body><p>Hello.</p></body></html>\r\n--b--\r\n"
    post(server, "two forms", fields="MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n", text=both)
    m = arrived(server, "two forms")
    plain, html = (part.get_content() for part in m.iter_parts())
    assert m["Subject"] == "two forms (dev)"
    assert plain.split() == ["above", "Hello.", "below"], plain
    assert html.index("<body>") < html.index("<i>above</i>") < html.index("<p>Hello.</p>") < html.index("<b>Developers</b>") < html.index("</body>"), html
    put(server, suffix=None, header_text=None, header_html=None, footer_text=None, footer_html=None)


def test_answers_to_an_address_of_its_own(server):
    put(server, reply_to="address", reply_to_address="desk@demo.example")
    post(server, "to the desk")
    assert arrived(server, "to the desk")["Reply-To"] == "desk@demo.example"
    put(server, reply_to=None, reply_to_address=None)


def test_signatures_can_be_left_out(server):
    server.ctl("dkim", "key", "create", "demo.example")
    for sign in "no", "yes":
        put(server, sign=sign)
        post(server, f"signed {sign}")
        assert ("ARC-Seal" in arrived(server, f"signed {sign}")) == (sign == "yes")


def test_new_members_get_what_the_list_says(server):
    put(server, default_delivery="plain", welcome="no", goodbye="no", subscription="open", unsubscription="open")
    post(server, "", sender=CAROL, to="dev-subscribe@demo.example")
    assert "is a member now" in arrived(server, "What came of your request", CAROL).get_content()
    assert server.ctl("list", "member", "show", DEV, CAROL)["delivery"] == "plain"
    post(server, "bye", sender=CAROL, to="dev-unsubscribe@demo.example")
    assert "is no member any more" in arrived(server, "Re: bye", CAROL).get_content()
    assert not any(b"Subject: You have left" in raw or b"Subject: Welcome" in raw for raw in server.messages(CAROL))
    put(server, default_delivery=None, welcome=None, goodbye=None, subscription=None, unsubscription=None)


def test_time_makes_nobody_a_member(server):
    put(server, subscription="moderated", hold_expired="accept")
    post(server, "", sender=CAROL, to="dev-join@demo.example")
    token = arrived(server, "confirm ", CAROL)["Subject"].split()[1]
    post(server, "", sender=CAROL, to=f"dev-confirm+{token}@demo.example")
    arrived(server, "wants to subscribe", ALICE)
    put(server, hold_expire="1s")
    postbus.wait(lambda: held(server) == {}, "it is over")
    assert [m["address"] for m in server.ctl("list", "member", "list", DEV)["members"]] == [BOB]
    put(server, subscription=None, hold_expired=None, hold_expire=None)


def test_members_of_other_sources(server):
    put(server, sources="yes", personal="yes", footer_text="for {name}")
    server.ctl("list", "member", "set", DEV, BOB, "--name", "Bob B")
    post(server, "to more")
    assert arrived(server, "to more").get_content().endswith("for Bob B\r\n")            # once, and as the member he is
    assert arrived(server, "to more", CAROL).get_content().endswith("for Carol of elsewhere\r\n")
    server.ctl("list", "member", "set", DEV, BOB, "--delivery", "none")
    post(server, "without Bob")
    arrived(server, "without Bob", CAROL)
    server.wait_settled()
    assert not any(b"without Bob" in raw for raw in server.messages(BOB))


def test_a_source_that_does_not_answer_keeps_posts_waiting(server):
    server.ctl("list", "create", "down@demo.example", "--posting", "anyone")
    server.ctl("list", "member", "add", "down@demo.example", ALICE)
    server.ctl("list", "set", "down@demo.example", "sources", "yes")
    id = post(server, "later", to="down@demo.example")
    server.wait_log(rf"event=list\.fault .*id={id} .*directory does not answer")
    assert not any(b"Subject: later" in raw for raw in server.messages(ALICE))
    server.ctl("list", "set", "down@demo.example", "sources", "no")
    arrived(server, "later", ALICE)


postbus.run(sys.modules[__name__], make)
