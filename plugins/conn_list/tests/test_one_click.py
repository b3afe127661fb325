# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaving in one click: the URL of a personal post, the page, and what is no request."""
import email, email.policy, http.client, os, re, socket, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus

ALICE, BOB, DEV = "alice@demo.example", "bob@demo.example", "dev@demo.example"
CONFIG = {"plugins": {"conn_list": {"listen": {"unsubscribe": {"enabled": True}, "unsubscribes": {"enabled": True}}}}}
FORM = "application/x-www-form-urlencoded"


def ask(server, method, path, body=None, type=FORM, tls=False):
    port = server.ports["unsubscribes" if tls else "unsubscribe"]
    c = http.client.HTTPSConnection("127.0.0.1", port, context=postbus.no_check(), timeout=120) if tls else http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    c.request(method, path, body=body, headers={"Content-Type": type} if body is not None else {})
    answer = c.getresponse()
    return answer.status, answer.read().decode(), answer


def members(server):
    return [m["address"] for m in server.ctl("list", "member", "list", DEV)["members"]]


def path_of(server, who, subject):
    """The path of the URL in the post with this subject."""
    def look():
        found = [email.message_from_bytes(raw, policy=email.policy.SMTP) for raw in server.messages(who)]
        return [m for m in found if m["Subject"] == subject]
    m = postbus.wait(look, f"{subject} at {who}")[0]
    assert m["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "<mailto:dev-unsubscribe@demo.example>" in m["List-Unsubscribe"]
    return re.search(r"<https://lists\.example(/\S+)>", "".join(m["List-Unsubscribe"].split())).group(1), m


def test_a_personal_post_has_the_url_and_the_url_ends_one_membership(server):
    server.ctl("list", "create", DEV)
    server.ctl("list", "member", "add", DEV, ALICE, BOB)
    server.ctl("list", "set", DEV, "personal", "yes")
    server.ctl("list", "set", DEV, "one_click_url", "https://lists.example/x")
    server.send(f"From: {BOB}\r\nTo: {DEV}\r\nSubject: hello\r\n\r\nx\r\n", sender=BOB, to=(DEV,))
    path, _ = path_of(server, BOB, "hello")
    other, _ = path_of(server, ALICE, "hello")
    assert path.startswith("/x/u/") and path != other
    # Looking at it does nothing.
    status, page, _ = ask(server, "GET", path)
    assert status == 200 and BOB in page and 'method="post"' in page
    status, page, answer = ask(server, "HEAD", path)
    assert (status, page) == (200, "") and int(answer.getheader("Content-Length")) > 100
    assert ask(server, "POST", path, "x=y")[0] == 400
    assert members(server) == [ALICE, BOB]
    assert ask(server, "POST", path, "List-Unsubscribe=One-Click", tls=True)[0] == 200
    assert members(server) == [ALICE]
    assert ask(server, "POST", path, "List-Unsubscribe=One-Click")[0] == 200     # once more is no fault
    postbus.wait(lambda: any(b"You have left" in m for m in server.messages(BOB)), "a letter")
    form = "--q\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--q--\r\n"
    assert ask(server, "POST", other, form, "multipart/form-data; boundary=q")[0] == 200
    assert members(server) == []
    server.ctl("list", "member", "add", DEV, BOB)


def test_a_name_that_was_not_written_here_is_nobody(server):
    mac = "0" * 20
    path = "/u/ZGV2QGRlbW8uZXhhbXBsZQpib2JAZGVtby5leGFtcGxl." + mac
    assert ask(server, "GET", path)[0] == 404 and ask(server, "POST", path, "List-Unsubscribe=One-Click")[0] == 404
    assert ask(server, "GET", "/")[0] == 404 and ask(server, "GET", "/u/" + "a" * 2000)[0] == 404
    assert members(server) == [BOB]


def test_what_is_no_request_gets_an_error(server):
    def say(text):
        with socket.create_connection(("127.0.0.1", server.ports["unsubscribe"]), 120) as s:
            s.sendall(text)
            s.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: s.recv(4096), b"")).split(b"\r\n")[0]
    head = b"POST /u/x HTTP/1.1\r\nHost: x\r\nContent-Type: " + FORM.encode() + b"\r\n"
    assert b" 405 " in say(b"DELETE /u/x HTTP/1.1\r\n\r\n")
    assert b" 400 " in say(b"EHLO x\r\n")
    assert b" 400 " in say(b"GET /u/x\r\n\r\n")
    assert b" 400 " in say(b"GET /u/x HTTP/1.1\nHost: x\n\n")
    assert b" 414 " in say(b"GET /u/" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n")
    assert b" 411 " in say(head + b"\r\n")
    assert b" 411 " in say(head + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert b" 413 " in say(head + b"Content-Length: 99999\r\n\r\n")
    assert b" 400 " in say(head + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab")
    assert b" 400 " in say(head + b"Content-Length : 1\r\n\r\na")
    assert b" 400 " in say(head + b"Content-Length: -1\r\n\r\n")
    assert b" 400 " in say(b"GET /u/x HTTP/1.1\r\n" + b"a: b\r\n" * 100 + b"\r\n")
    assert b" 503 " not in say(b"") and ask(server, "GET", "/")[0] == 404


postbus.run(sys.modules[__name__], make=lambda: postbus.Server(config=CONFIG))
