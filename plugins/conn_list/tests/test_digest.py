# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests: kept until there is enough or it is time, as MIME and as plain text, each post in one issue. No resolver knows the author's domain."""
import email, email.policy, os, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus

ALICE, BOB, DEV = "alice@demo.example", "bob@demo.example", "dev@demo.example"


def make():
    return postbus.Server(config={"plugins": {"agent_dns": {"config": {"timeout": 1}}, "conn_list": {"config": {"interval": 1}}}})


def post(server, subject, text="Hello.\r\n", fields=""):
    return server.send(f"From: Ann <ann@there.example>\r\nTo: {DEV}\r\nSubject: {subject}\r\n{fields}\r\n{text}", sender="ann@there.example", to=(DEV,))


def issues(server, who, n):
    return [email.message_from_bytes(raw, policy=email.policy.SMTP) for raw in server.wait_messages(n, who)]


def posted(server, n):
    postbus.wait(lambda: server.ctl("queue", "list")["items"] == [] and server.log().count("event=message.accepted") >= n, "posts are worked on")


def test_both_forms_hold_all_posts(server):
    server.ctl("list", "create", DEV, "--posting", "anyone", "--description", "Developers")
    server.ctl("list", "member", "add", DEV, ALICE, "--delivery", "mime")
    server.ctl("list", "member", "add", DEV, BOB, "--delivery", "plain")
    assert server.ctl("list", "digest", DEV) == {"posts": 0}
    post(server, "one")
    posted(server, 1)
    second = post(server, "=?utf-8?q?zw=C3=B6lf?=", "Gr\u00fc\u00dfe\r\n------------------------------\r\nend\r\n",
         "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n")
    posted(server, 2)
    said = postbus.wait(lambda: (lambda t: t if "policy of the author's domain" in t else None)(server.ctl("trace", second, json_out=False)), "what is known of his policy")
    assert "a moment ago" in said, said     # the first post has waited for the DNS, and no other one does so at once
    assert server.messages(ALICE) == [] and server.messages(BOB) == []
    assert server.ctl("list", "digest", DEV) == {"posts": 2}
    mime = issues(server, ALICE, 1)[0]
    assert mime["Subject"] == "Developers Digest, No. 1" and mime["List-Id"] == "Developers <dev.demo.example>" and mime.get_content_type() == "multipart/mixed"
    masthead, digest = mime.iter_parts()
    assert "   2. zw\u00f6lf (Ann" in masthead.get_content(), masthead.get_content()
    assert digest.get_content_type() == "multipart/digest"
    inner = [part.get_payload(0) for part in digest.iter_parts()]
    assert [m["Subject"] for m in inner] == ["one", "zw\u00f6lf"] and "Gr\u00fc\u00dfe" in inner[1].get_content()
    plain = issues(server, BOB, 1)[0].get_content()
    assert plain.count("\r\n\r\n------------------------------\r\n\r\n") + plain.count("\n\n------------------------------\n\n") == 2, plain
    assert "Subject: zw\u00f6lf" in plain and "\n ------------------------------" in plain.replace("\r\n", "\n") and "End of Developers Digest, No. 1" in plain


def test_an_issue_goes_out_when_there_is_enough(server):
    server.ctl("list", "set", DEV, "digest_size", "2000")
    post(server, "small")
    posted(server, 3)
    post(server, "large", "x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 30)
    second = issues(server, ALICE, 2)[1]
    assert second["Subject"].endswith("No. 2") and [p.get_payload(0)["Subject"] for p in list(second.iter_parts())[1].iter_parts()] == ["small", "large"]


def test_an_issue_goes_out_in_time_and_after_a_crash_once(server):
    server.ctl("list", "unset", DEV, "digest_size")
    post(server, "waits")
    posted(server, 5)
    server.kill()
    server.start()
    server.ctl("list", "set", DEV, "digest_every", "1")
    third = issues(server, ALICE, 3)[2]
    assert [p.get_payload(0)["Subject"] for p in list(third.iter_parts())[1].iter_parts()] == ["waits"]
    assert server.ctl("list", "digest", DEV) == {"posts": 0}
    assert len(server.messages(ALICE)) == 3 and len(server.wait_messages(3, BOB)) == 3


postbus.run(sys.modules[__name__], make)
