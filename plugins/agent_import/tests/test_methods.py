# SPDX-License-Identifier: GPL-3.0-or-later
"""agent_import's methods over the control socket, as postbusctl import calls them: pieces, keys that are known, what is refused."""
import base64, json, os, socket, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "tests", "platform"))
import postbus

ALICE = "alice@demo.example"


def call(s, method, **params):
    """The result, or the error's code."""
    with socket.socket(socket.AF_UNIX) as c:
        c.connect(os.path.join(s.home, "control.sock"))
        c.sendall(json.dumps({"method": method, "params": params}).encode() + b"\n")
        answer = json.loads(c.makefile("rb").readline())
    return answer["result"] if "result" in answer else answer["error"]["code"]


def b64(text):
    return base64.b64encode(text.encode()).decode()


def box(s):
    return call(s, "import.open", mailbox=ALICE)["mailbox"]


def used(s):
    return s.ctl("mailbox", "show", ALICE)["used_messages"]


def test_a_message_is_added_once(s):
    before, what = used(s), dict(mailbox=box(s), folder="INBOX", key="k1", data=b64("Subject: a\r\n\r\nx\r\n"), flags=["\\seen", "Key", "bad key"], date=1600000000000000)
    first = call(s, "import.message", **what)
    assert first["added"] and first["uid"] > 0 and first["left_out"] == 1, first
    assert call(s, "import.known", keys=["k1", "k2"]) == {"known": [True, False]}
    assert not call(s, "import.message", **what)["added"] and used(s) == before + 1


def test_a_key_that_was_not_written_down_is_known_by_its_token(s):
    what = dict(mailbox=box(s), folder="INBOX", key="k3", data=b64("Subject: b\r\n\r\nx\r\n"))
    assert call(s, "import.message", **what)["added"]
    s.kill()
    s.start()
    before = used(s)
    assert not call(s, "import.message", **what)["added"] and used(s) == before
    call(s, "import.flush")
    s.kill()
    s.start()
    assert call(s, "import.known", keys=["k3"]) == {"known": [True]}


def test_a_message_in_pieces(s):
    upload = call(s, "import.data", data=b64("Subject: pieces\r\n\r\n"))["upload"]
    assert call(s, "import.data", upload=upload, data=b64("one "))["upload"] == upload
    assert call(s, "import.message", mailbox=box(s), folder="INBOX", key="k4", upload=upload, data=b64("two\r\n"))["added"]
    assert any(m.endswith(b"\r\n\r\none two\r\n") for m in s.messages(ALICE))
    assert call(s, "import.data", upload=upload, data="") == "not found"


def test_too_many_pieces_at_once_and_what_is_no_base64(s):
    uploads = [call(s, "import.data", data=b64("x")) for _ in range(16)]
    assert call(s, "import.data", data=b64("x")) == "busy"
    for u in uploads:
        assert call(s, "import.data", upload=u["upload"], data="no base64!") == "invalid"
    assert call(s, "import.data", data=b64("x"))["upload"] > uploads[-1]["upload"]


def test_what_is_not_there(s):
    assert call(s, "import.open", mailbox="nobody@demo.example") == "not found"
    assert call(s, "import.message", mailbox=box(s), folder="Nowhere", key="k5", data=b64("x")) == "not found"
    assert call(s, "import.message", mailbox=box(s), folder="INBOX", key="", data=b64("x")) == "invalid"
    assert call(s, "import.known", keys=["k5"]) == {"known": [False]}
    assert call(s, "import.folder", mailbox=box(s), folder="New/Below") == {"made": True}
    assert call(s, "import.folder", mailbox=box(s), folder="New/Below") == {"made": False}


def test_the_largest_message(s):
    s.ctl("config", "set", "agent_import", "size_max", "65536")
    assert call(s, "import.message", mailbox=box(s), folder="INBOX", key="k6", data=b64("x" * 70000)) == "too big"
    assert call(s, "import.message", mailbox=box(s), folder="INBOX", key="k6", data=b64("x" * 60000))["added"]


postbus.run(sys.modules[__name__])
