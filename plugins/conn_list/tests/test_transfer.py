# SPDX-License-Identifier: GPL-3.0-or-later
"""Members in and out of lists: CSV, the lines that other list servers print, and many of them; what is wrong is told with its line and nothing is added."""
import os, sys, tempfile

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus

DEV, OPS = "dev@demo.example", "ops@demo.example"


def file(text):
    f = tempfile.NamedTemporaryFile("w", suffix=".csv", newline="")
    f.write(text)
    f.flush()
    return f


def load(server, to, text, *more, check=True):
    with file(text) as f:
        return server.ctl("list", "member", "import", to, f.name, *more, check=check)


def test_csv_goes_in_and_comes_out_again(server):
    server.ctl("list", "create", DEV)
    server.ctl("list", "create", OPS)
    text = 'address,name,delivery,moderated\r\nBob@There.example,"Bob, the builder",mime,yes\r\ncarol@there.example,=SUM(A1),,\r\n'
    assert load(server, DEV, text, "--dry-run", "yes") == {"read": 2, "added": 0, "known": 0}
    assert server.ctl("list", "show", DEV)["members"] == 0
    assert load(server, DEV, text) == {"read": 2, "added": 2, "known": 0}
    bob = server.ctl("list", "member", "show", DEV, "bob@there.example")
    assert (bob["address"], bob["name"], bob["delivery"], bob["moderated"]) == ("Bob@there.example", "Bob, the builder", "mime", True)
    out = server.ctl("list", "member", "export", DEV)["members"]
    assert '"\'=SUM(A1)"' in out
    assert load(server, OPS, out)["added"] == 2
    assert server.ctl("list", "member", "export", OPS)["members"] == out
    assert server.ctl("list", "member", "show", OPS, "carol@there.example")["name"] == "=SUM(A1)"
    assert load(server, OPS, out) == {"read": 2, "added": 0, "known": 2}


def test_what_members_chose_goes_along_and_nobody_comes_twice(server):
    server.ctl("list", "create", "one@demo.example")
    server.ctl("list", "create", "two@demo.example")
    assert load(server, "one@demo.example", "email,delivery,stopped,topics\na@there.example,digest,,build; old docs\nA@THERE.example,each,,\nB@there.example,nomail,bounces,\n") == \
        {"read": 3, "added": 2, "known": 1}
    a, b = (server.ctl("list", "member", "show", "one@demo.example", who) for who in ("a@there.example", "b@there.example"))
    assert (a["delivery"], a["topics"], b["delivery"], b["stopped"]) == ("mime", ["build", "old docs"], "none", "bounces")
    out = server.ctl("list", "member", "export", "one@demo.example")["members"]
    assert load(server, "two@demo.example", out)["added"] == 2 and server.ctl("list", "member", "export", "two@demo.example")["members"] == out


def test_names_that_look_like_parts_of_a_row_are_names(server):
    """Rows are looked through as text: keys are found behind every name, and none inside one."""
    server.ctl("list", "create", "odd@demo.example")
    server.ctl("list", "create", "even@demo.example")
    names = ['x","stopped":"bounces","y":"', "{[ \\", '\\","moderated":true,"z":"', 'ends with \\"', "}],", "Ä, ö"]
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    rows = [f"o{i}@there.example,{name},each,{'yes' if i % 2 else ''},{'bounces' if i % 3 == 0 else ''}\r\n" for i, name in enumerate(quoted)]
    assert load(server, "odd@demo.example", "address,name,delivery,moderated,stopped\r\n" + "".join(rows))["added"] == len(names)
    out = server.ctl("list", "member", "export", "odd@demo.example")["members"]
    assert load(server, "even@demo.example", out)["added"] == len(names)
    assert server.ctl("list", "member", "export", "even@demo.example")["members"] == out
    for i, name in enumerate(names):
        row = server.ctl("list", "member", "show", "even@demo.example", f"o{i}@there.example")
        assert (row["name"], row.get("moderated", False), row.get("stopped", "")) == (name, i % 2 == 1, "bounces" if i % 3 == 0 else ""), row


def test_lines_of_other_list_servers(server):
    assert load(server, OPS, "# mailman\nAnn Ä <ann@there.example>\n\ndan@there.example\n")["added"] == 2
    assert server.ctl("list", "member", "show", OPS, "ann@there.example")["name"] == "Ann Ä"


def test_what_is_wrong_is_told_with_its_line(server):
    for text, want in (("address,delivery\na@b.example,sometimes\n", "line 2: delivery"), ("address\nx@y.example\nnobody\n", "line 3"), ("name,delivery\nx,each\n", "address"), ("address,stopped\nx@y.example,perhaps\n", "line 2: stopped"),
                       ("a@b.example\nnobody\n", "line 2"), ('address\n"x\n', "quotes")):
        code, said = load(server, DEV, text, check=False)
        assert code != 0 and want in str(said), (text, said)
    assert server.ctl("list", "show", DEV)["members"] == 2


def test_many_at_once(server):
    assert load(server, DEV, "address\n" + "".join(f"member{i}@there.example\n" for i in range(20000)))["added"] == 20000
    assert server.ctl("list", "show", DEV)["members"] == 20002


postbus.run(sys.modules[__name__])
