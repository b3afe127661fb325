# SPDX-License-Identifier: GPL-3.0-or-later
"""A list from its making to posts in the members' folders: who may post, what posts look like, who gets them."""
import base64, email, email.policy, os, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus

ALICE, BOB, CAROL, DAVE = (f"{name}@demo.example" for name in ("alice", "bob", "carol", "dave"))
DEV = "dev@demo.example"


def make(server):
    for who in CAROL, DAVE:
        server.ctl("mailbox", "create", who)
        server.ctl("mailbox", "password", who, stdin=postbus.PASSWORD + "\n" + postbus.PASSWORD + "\n")
    made = server.ctl("list", "create", DEV, "--description", "Developers", "--owners", ALICE)
    assert made == {"list": DEV, "postoffice": "demo", "description": "Developers"}, made
    assert server.ctl("list", "member", "add", DEV, BOB, CAROL) == {"added": 2, "known": 0, "left": 0}


def post(server, subject, sender=BOB, to=DEV, fields="", text="Hello.\r\n"):
    return server.send(f"From: Bob B <{sender}>\r\nTo: {DEV}\r\nSubject: {subject}\r\n{fields}\r\n{text}", sender=sender, to=(to,))


def arrived(server, who, subject):
    """The one message with this subject in this mailbox, once it is there."""
    def look():
        found = [m for m in (email.message_from_bytes(raw, policy=email.policy.SMTP) for raw in server.messages(who)) if subject in m["Subject"]]
        assert len(found) < 2, f"{who} has {subject} {len(found)} times"
        return found
    return postbus.wait(look, f"{subject} at {who}")[0]


def subjects(server, who):
    return [email.message_from_bytes(raw, policy=email.policy.SMTP)["Subject"] for raw in server.messages(who)]


def test_a_list_is_made_shown_and_set(server):
    make(server)
    assert server.ctl("list", "create", DEV, check=False)[0] != 0
    assert "no domain" in str(server.ctl("list", "create", "x@elsewhere.example", check=False))
    assert server.ctl("list", "list")["lists"] == [{"list": DEV, "postoffice": "demo", "description": "Developers"}]
    shown = server.ctl("list", "show", DEV)
    assert (shown["members"], shown["delivery"]["each"], shown["settings"]) == (2, 2, {"description": "Developers", "owners": [ALICE]})
    assert "an address of the list" in str(server.ctl("list", "create", "dev-request@demo.example", check=False))
    assert "an address of the list" in str(server.ctl("list", "create", "dev-get-it@demo.example", check=False))
    assert "34 octets" in str(server.ctl("list", "create", f"{'x' * 35}@demo.example", check=False))
    server.ctl("list", "create", "dev-people@demo.example")
    server.ctl("list", "delete", "dev-people@demo.example")
    code, said = server.ctl("list", "set", DEV, "prefx", "[dev]", check=False)
    assert code != 0 and "prefix" in str(said)
    server.ctl("list", "set", DEV, "prefix", "[dev]")
    assert server.ctl("list", "show", DEV)["settings"]["prefix"] == "[dev]"
    assert "secret" in str(server.ctl("list", "set", DEV, "posting_password", "x", check=False))
    assert {s["setting"] for s in server.ctl("list", "settings")["settings"]} >= {"prefix", "owners", "verp"}


def test_a_post_reaches_all_members_with_the_fields_of_a_list(server):
    post(server, "first", fields="Disposition-Notification-To: bob@demo.example\r\nList-Id: <other.example>\r\n")
    for who in BOB, CAROL:
        m = arrived(server, who, "first")
        assert m["Subject"] == "[dev] first" and m["From"] == f"Bob B <{BOB}>" and m["To"] == DEV
        assert m.get_all("List-Id") == ["Developers <dev.demo.example>"]
        assert m["List-Post"] == f"<mailto:{DEV}>" and m["List-Unsubscribe"] == "<mailto:dev-unsubscribe@demo.example>"
        assert m["Precedence"] == "list" and m["Disposition-Notification-To"] is None
        local = who.split("@")[0]
        assert m["Return-Path"] == f"<dev-bounces+{local}=demo.example@demo.example>", m["Return-Path"]
    assert subjects(server, ALICE) == []


def test_only_members_post_and_the_poster_hears_why(server):
    server.ctl("list", "set", DEV, "others", "reject")
    post(server, "from outside", sender=DAVE)
    report = postbus.wait(lambda: [m for m in server.messages(DAVE) if b"only members may post" in m], "a report")[0]
    assert b"550 5.7.1" in report.replace(b"\r\n ", b" ")
    server.ctl("list", "set", DEV, "accept_from", "*@demo.example")
    post(server, "welcome in", sender=DAVE)
    arrived(server, CAROL, "welcome in")
    server.ctl("list", "unset", DEV, "accept_from")
    assert not any("outside" in s for s in subjects(server, CAROL))


def test_the_password_lets_posts_in_and_is_taken_out(server):
    server.ctl("list", "password", DEV, stdin="open sesame\nopen sesame\n")
    post(server, "by header", sender=DAVE, fields="Approved: open sesame\r\n")
    post(server, "by text", sender=DAVE, text="Approved: open sesame\r\nHello.\r\n")
    post(server, "wrong", sender=DAVE, fields="Approved: sesame\r\n")
    assert arrived(server, CAROL, "by header")["Approved"] is None
    assert arrived(server, CAROL, "by text").get_content() == "Hello.\r\n"
    postbus.wait(lambda: [m for m in server.messages(DAVE) if b"Subject: wrong" in m], "a report")
    assert not any("wrong" in s for s in subjects(server, CAROL))


def test_nobody_sees_the_password(server):
    text, html = "Approved: open sesame\r\n\r\nHello.\r\n", "<html><body><p>Approved:&nbsp;open sesame</p><p>Hello.</p></body></html>\r\n"
    both = f"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n%s\r\n--b--\r\n"
    coded = base64.encodebytes(html.encode()).decode().replace("\n", "\r\n")
    mime = "MIME-Version: 1.0\r\nContent-Type: "
    forms = {"alternative": ("multipart/alternative; boundary=b", both % ("7bit", html)), "coded html": ("multipart/alternative; boundary=b", both % ("base64", coded)),
             "base64": ("text/plain\r\nContent-Transfer-Encoding: base64", base64.encodebytes(text.encode()).decode().replace("\n", "\r\n")),
             "quoted-printable": ("text/plain\r\nContent-Transfer-Encoding: quoted-printable", text.replace("Approved", "=41pproved")), "html alone": ("text/html", html)}
    for form, (kind, body) in forms.items():
        post(server, f"secret in {form}", sender=DAVE, fields=f"{mime}{kind}\r\n", text=body)
        m = arrived(server, CAROL, f"secret in {form}")
        said = [part.get_content() for part in m.walk() if part.get_content_maintype() == "text"]
        assert said and all("sesame" not in s and "Hello." in s for s in said), (form, said)
    # Where it cannot be taken out a moderator looks first.
    for form, kind, body in (("signed", "multipart/signed; boundary=b", f"--b\r\n\r\n{text}\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n"),
                             ("between tags", "multipart/alternative; boundary=b", both % ("7bit", "<p>Approved: <b>open sesame</b></p>"))):
        post(server, f"secret {form}", sender=DAVE, fields=f"{mime}{kind}\r\n", text=body)
        postbus.wait(lambda: f"secret {form}" in str(server.ctl("list", "held", DEV)), "held")
    assert not any("secret signed" in s or "secret between" in s for s in subjects(server, CAROL))


def test_members_choose_how_they_are_served(server):
    server.ctl("list", "member", "add", DEV, DAVE)
    server.ctl("list", "member", "set", DEV, DAVE, "--delivery", "none")
    server.ctl("list", "member", "set", DEV, BOB, "--quiet", "yes")
    server.ctl("list", "set", DEV, "topics", "build=*build*", "docs=*manual*")
    server.ctl("list", "member", "set", DEV, CAROL, "--topics", "docs")
    post(server, "the build is broken", sender=DAVE)
    arrived(server, BOB, "the build is broken")
    post(server, "a manual page", sender=BOB)
    arrived(server, CAROL, "a manual page")
    assert not any("build" in s for s in subjects(server, CAROL)) and not any("manual" in s for s in subjects(server, BOB))
    assert not any("build" in s for s in subjects(server, DAVE))
    assert server.ctl("list", "member", "show", DEV, BOB)["quiet"] is True
    # By mail too, whatever case the word has; and who chose what is no topic would get nothing.
    server.submit(f"From: {CAROL}\r\nTo: dev-request@demo.example\r\nSubject: set topics BUILD\r\n\r\n", user=CAROL, to=("dev-request@demo.example",))
    arrived(server, CAROL, "Re: set topics BUILD")
    post(server, "another build", sender=DAVE)
    arrived(server, CAROL, "another build")
    assert "no topic 'biuld'" in str(server.ctl("list", "member", "set", DEV, CAROL, "--topics", "biuld", check=False))
    server.ctl("list", "member", "set", DEV, CAROL, "--topics", "")
    post(server, "about nothing", sender=DAVE)
    arrived(server, CAROL, "about nothing")
    server.ctl("list", "unset", DEV, "topics")


def test_answers_loops_and_reports_stop_at_the_list(server):
    before = len(server.messages(CAROL))
    post(server, "vacation", fields="Auto-Submitted: auto-replied\r\n")
    post(server, "loop", fields="List-Id: Developers <dev.demo.example>\r\n")
    post(server, "report", sender="")
    postbus.wait(lambda: server.log().count("event=list.discarded") >= 3, "three are dropped")
    post(server, "machine", fields="Auto-Submitted: auto-generated\r\n")
    arrived(server, CAROL, "machine")
    assert len(server.messages(CAROL)) == before + 1


def test_header_footer_and_reply_to(server):
    server.ctl("list", "set", DEV, "footer_text", "--", "-- \n{description}: {unsubscribe}")
    server.ctl("list", "set", DEV, "header_text", "Read this in {list}")
    server.ctl("list", "set", DEV, "reply_to", "list")
    post(server, "with texts", fields="DKIM-Signature: v=1; a=rsa-sha256; d=demo.example\r\n")
    m = arrived(server, CAROL, "with texts")
    assert m.get_content() == "Read this in dev@demo.example\r\n\r\nHello.\r\n\r\n-- \r\nDevelopers: dev-unsubscribe@demo.example\r\n"
    assert m["Reply-To"] == DEV
    sealed = "--s\r\nContent-Type: text/plain\r\n\r\nsigned\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--s--\r\n"
    post(server, "signed", fields="MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=s\r\n", text=sealed)
    assert bytes(arrived(server, CAROL, "signed")).endswith(sealed.encode())


def test_each_has_a_message_of_his_own_where_it_is_personal(server):
    server.ctl("list", "set", DEV, "personal", "yes")
    server.ctl("list", "set", DEV, "footer_text", "for {name} at {address}")
    server.ctl("list", "unset", DEV, "header_text")
    server.ctl("list", "member", "set", DEV, CAROL, "--name", "Carol C", "--topics", "")
    post(server, "personal", sender=DAVE)
    assert arrived(server, CAROL, "personal").get_content() == f"Hello.\r\n\r\nfor Carol C at {CAROL}\r\n"
    assert f"at {BOB}" in arrived(server, BOB, "personal").get_content()
    server.ctl("list", "set", DEV, "personal", "no")
    server.ctl("list", "unset", DEV, "footer_text")
    said = server.smtp()
    said.helo("x")
    said.sendmail("x@remote.example", ["dev-part@demo.example"], "From: x@remote.example\r\nSubject: sly\r\n\r\nhi\r\n")
    said.quit()
    postbus.wait(lambda: "no part of a post" in str(server.ctl("trace", "--to", "dev-part@demo.example")), "dropped")
    assert not any("sly" in s for s in subjects(server, CAROL))


def test_posts_are_numbered(server):
    server.ctl("list", "set", DEV, "prefix", "[dev {count}]")
    post(server, "counted")
    assert arrived(server, CAROL, "counted")["Subject"] == "[dev 1] counted"
    post(server, "Re: [dev 1] again", sender=DAVE)
    assert arrived(server, CAROL, "again")["Subject"] == "[dev 2] Re: again"
    server.ctl("list", "set", DEV, "prefix", "[dev]")


def test_groups_bring_their_members_once(server):
    server.ctl("group", "create", "staff@demo.example", "--members", f"{ALICE},{CAROL}")
    server.ctl("list", "set", DEV, "groups", "staff@demo.example")
    post(server, "to the staff too")
    arrived(server, ALICE, "to the staff too")
    arrived(server, CAROL, "to the staff too")


def test_groups_bring_nobody_back_who_as_a_member_wants_no_posts(server):
    server.ctl("group", "create", "all@demo.example", "--members", f"{ALICE},{BOB},{DAVE}")
    server.ctl("list", "set", DEV, "groups", "all@demo.example")
    for personal in "no", "yes":            # Dave gets none, Bob none of his own
        server.ctl("list", "set", DEV, "personal", personal)
        id = post(server, f"with all, {personal}")
        assert server.wait_log(rf"event=list\.posted .*id={id} .*members=(\d+)").group(1) == "2"
        arrived(server, ALICE, f"with all, {personal}")
        arrived(server, CAROL, f"with all, {personal}")
    assert not [s for who in (BOB, DAVE) for s in subjects(server, who) if "with all" in s]
    server.ctl("list", "unset", DEV, "groups")
    server.ctl("list", "set", DEV, "personal", "no")


def test_an_anonymous_list_tells_nothing_of_the_poster(server):
    server.ctl("list", "set", DEV, "anonymous", "yes")
    post(server, "whistle", fields="X-Mailer: bob's\r\nMessage-ID: <from.bob@laptop.bob>\r\n")
    m = arrived(server, CAROL, "whistle")
    assert m["From"] == f"Developers <{DEV}>" and "bob" not in "".join(v for k, v in m.items() if k not in ("Return-Path", "Delivered-To")).lower(), m.as_string()
    server.ctl("list", "unset", DEV, "anonymous")


def test_what_goes_to_the_owner_goes_on(server):
    post(server, "a question", to="dev-owner@demo.example", sender=DAVE)
    assert arrived(server, ALICE, "a question")["Subject"] == "a question"


def test_a_list_that_is_deleted_is_gone_with_its_members(server):
    server.ctl("list", "delete", DEV)
    assert server.ctl("list", "list")["lists"] == []
    try:
        post(server, "too late")
        raise AssertionError("it was taken")
    except Exception as refused:
        assert "550" in str(refused), refused
    server.ctl("list", "create", DEV)
    assert server.ctl("list", "show", DEV)["members"] == 0


postbus.run(sys.modules[__name__])
