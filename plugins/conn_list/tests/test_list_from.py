# SPDX-License-Identifier: GPL-3.0-or-later
"""What the authors' domains ask for (DMARC), and what becomes of From then; signatures and seals; two lists that are members of each other."""
import email, email.policy, os, re, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus

ALICE, BOB, DEV = "alice@demo.example", "bob@demo.example", "dev@demo.example"
ZONE = [f'_dmarc.{p}.example. 300 IN TXT "v=DMARC1; p={p}"' for p in ("none", "quarantine", "reject")]
ZONE += [f'{p}.example. 300 IN TXT "v=spf1 -all"' for p in ("none", "quarantine", "reject", "demo")]
ZONE += ['_dmarc.demo.example. 300 IN TXT "v=DMARC1; p=none"', 'proven.example. 300 IN TXT "v=spf1 ip4:127.0.0.1 -all"', '_dmarc.proven.example. 300 IN TXT "v=DMARC1; p=reject"']


def make():
    # What comes from this machine is checked as if it came from outside.
    server = postbus.Server(config={"plugins": {"agent_auth": {"config": {"trusted": [], "dmarc_action": "none"}}, "agent_dns": {"config": {"local": ZONE, "zones": ["example. static"], "timeout": 60}}, "conn_list": {"config": {"interval": 1}}}})
    server.ctl("list", "create", DEV, "--posting", "anyone")
    server.ctl("list", "member", "add", DEV, BOB)
    return server


def post(server, subject, sender="Ann <ann@reject.example>", fields="", text="Hello.\r\n", to=DEV):
    server.send(f"From: {sender}\r\nTo: {DEV}\r\nSubject: {subject}\r\n{fields}\r\n{text}", sender=re.sub(r".*<|>", "", sender), to=(to,))


def arrived(server, subject, who=BOB):
    def look():
        found = [m for m in (email.message_from_bytes(raw, policy=email.policy.SMTP) for raw in server.messages(who)) if m["Subject"] == subject]
        assert len(found) < 2, f"{who} has {subject} {len(found)} times"
        return found
    return postbus.wait(look, f"{subject} at {who}")[0]


def test_from_is_changed_where_the_policy_asks_for_it_only(server):
    for when, policies in ("policy", ("quarantine", "reject")), ("reject", ("reject",)), ("always", ("none", "quarantine", "reject")):
        server.ctl("list", "set", DEV, "from_when", when)
        for policy in "none", "quarantine", "reject":
            post(server, f"{when} {policy}", f"Ann <ann@{policy}.example>")
            m = arrived(server, f"{when} {policy}")
            if policy in policies:
                assert (m["From"], m["Reply-To"], m["X-Original-From"]) == (f"Ann via dev <{DEV}>", f"Ann <ann@{policy}.example>", f"Ann <ann@{policy}.example>"), m.as_string()
            else:
                assert (m["From"], m["Reply-To"]) == (f"Ann <ann@{policy}.example>", None), m.as_string()
    server.ctl("list", "unset", DEV, "from_when")
    post(server, "of this house", f"Alice <{ALICE}>")
    assert arrived(server, "of this house")["From"] == f"Alice <{ALICE}>"
    server.ctl("list", "set", DEV, "from", "untouched")
    post(server, "untouched")
    assert arrived(server, "untouched")["From"] == "Ann <ann@reject.example>"
    server.ctl("list", "unset", DEV, "from")


def test_the_verdict_that_came_with_a_post_is_enough(server):
    post(server, "checked")
    arrived(server, "checked")
    assert re.search(r"event=auth\.checked .*dmarc=fail", server.log())
    # The domain has its policy and its proof: a change is made at once, which is else to be confirmed.
    for who, delivery in ("ann@proven.example", "plain"), ("ann@reject.example", "each"):
        server.ctl("list", "member", "add", DEV, who)
        post(server, "set delivery plain", sender=who, to="dev-request@demo.example")
        server.wait_settled()
        assert server.ctl("list", "member", "show", DEV, who)["delivery"] == delivery
        server.ctl("list", "member", "remove", DEV, who)


def test_who_wrote_it_can_be_answered_wherever_answers_go(server):
    post(server, "his own", fields="Reply-To: ann@home.example\r\n")
    assert arrived(server, "his own")["Reply-To"] == "ann@home.example"
    post(server, "nameless", sender="ann@reject.example")
    assert arrived(server, "nameless")["From"] == f"ann via dev <{DEV}>"    # no address of another domain in the name
    server.ctl("list", "set", DEV, "reply_to", "list")
    post(server, "to the list", fields="Cc: Carl <carl@else.example>\r\nBcc: hidden@else.example\r\n")
    m = arrived(server, "to the list")
    assert (m["Reply-To"], m["Cc"], m["Bcc"]) == (DEV, "Carl <carl@else.example>, Ann <ann@reject.example>", None)
    post(server, "nothing to change", sender="Ann <ann@none.example>", fields="Cc: carl@else.example\r\n")
    m = arrived(server, "nothing to change")
    assert (m["Reply-To"], m["Cc"]) == (DEV, "carl@else.example")
    server.ctl("list", "unset", DEV, "reply_to")


def test_a_wrapped_post_is_an_answer_in_its_thread(server):
    server.ctl("list", "set", DEV, "from", "wrap")
    server.ctl("list", "set", DEV, "prefix", "[dev]")
    post(server, "wrapped", fields="Message-ID: <2@reject.example>\r\nIn-Reply-To: <1@reject.example>\r\nReferences: <0@reject.example>\r\n <1@reject.example>\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n")
    m = arrived(server, "[dev] wrapped")
    assert (m["From"], m["Reply-To"], m["In-Reply-To"]) == (f"Ann via dev <{DEV}>", "Ann <ann@reject.example>", "<1@reject.example>")
    assert m["References"].split() == ["<0@reject.example>", "<1@reject.example>"] and m["Date"] == "Mon, 01 Jan 2024 00:00:00 +0000" and m["Message-ID"] != "<2@reject.example>"
    inner = m.get_payload(0)
    assert (inner["From"], inner["Message-ID"]) == ("Ann <ann@reject.example>", "<2@reject.example>") and inner.get_content() == "Hello.\r\n"
    server.ctl("list", "unset", DEV, "from")
    server.ctl("list", "unset", DEV, "prefix")


def test_posts_are_signed_and_sealed_with_the_fields_of_the_list(server):
    server.ctl("dkim", "key", "create", "demo.example")
    server.ctl("list", "set", DEV, "one_click_url", "https://lists.example/")
    server.ctl("list", "set", DEV, "personal", "yes")
    post(server, "signed", fields="DKIM-Signature: v=1; a=rsa-sha256; d=reject.example; s=x; h=From; bh=; b=\r\n")
    m = arrived(server, "signed")
    assert [name for name in m.keys() if name.startswith(("ARC", "DKIM"))][:4] == ["ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results", "DKIM-Signature"]
    ours = re.sub(r"\s", "", m.get_all("DKIM-Signature")[0])
    names = re.search(r";h=([^;]*)", ours).group(1).lower().split(":")
    assert ";d=demo.example;" in ours and {"from", "list-id", "list-unsubscribe", "list-unsubscribe-post"} <= set(names), ours   # RFC 8058 4
    assert m["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click" and "https://lists.example/" in m["List-Unsubscribe"]
    server.ctl("list", "set", DEV, "personal", "no")


def test_a_post_without_date_and_id_gets_them_once_for_all(server):
    server.ctl("list", "member", "add", DEV, ALICE)
    for personal in "no", "yes":
        server.ctl("list", "set", DEV, "personal", personal)
        post(server, f"bare, {personal}")
        both = [arrived(server, f"bare, {personal}", who) for who in (ALICE, BOB)]
        assert all(m["Date"] and m["Message-ID"].endswith("@demo.example>") for m in both) and both[0]["Message-ID"] == both[1]["Message-ID"]
    server.ctl("list", "set", DEV, "personal", "no")


def test_two_lists_that_have_each_other_send_each_post_once(server):
    server.ctl("list", "member", "remove", DEV, ALICE)
    server.ctl("list", "create", "two@demo.example", "--posting", "anyone")
    server.ctl("list", "member", "add", "two@demo.example", DEV, ALICE)
    server.ctl("list", "member", "add", DEV, "two@demo.example")
    for headers in "yes", "no":
        server.ctl("list", "set", DEV, "list_headers", headers)
        post(server, f"in a circle, {headers}", sender="Ann <ann@none.example>")
        arrived(server, f"in a circle, {headers}", ALICE)
        server.wait_settled()
        arrived(server, f"in a circle, {headers}", ALICE)
        arrived(server, f"in a circle, {headers}", BOB)


postbus.run(sys.modules[__name__], make)
