#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts on IMAP events (RFC 6785) with Python's imaplib: who runs when, what a script sees, what it may do, and that no message is lost by it."""
import imaplib, os, re, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import postbus

ALICE, BOB = "alice@demo.example", "bob@demo.example"
ENTRY = "/shared/imapsieve/script"


def script(server, name, text, user=ALICE):
    path = os.path.join(server.home, "event.sieve")
    with open(path, "w") as f:
        f.write(text)
    server.ctl("script", "put", name, path, "--mailbox", user)


class Client:
    def __init__(self, server, user=ALICE):
        self.i, self.server, self.user = server.imap(user), server, user

    def bind(self, folder, name):
        """The folder has this script from now on; made, and empty, if it was there."""
        if folder:
            self.i.create(folder)
        value = "NIL" if name is None else f'"{name}"'
        kind, data = self.i.xatom("SETMETADATA", folder or '""', f"({ENTRY} {value})")
        assert kind == "OK", data

    def append(self, folder, subject, flags=None):
        kind, data = self.i.append(folder, flags, None, postbus.message(subject))
        assert kind == "OK", data

    def look(self, folder):
        """Subjects and flags of a folder, as another session sees them."""
        other = self.server.imap(self.user)
        try:
            kind, count = other.select(folder, readonly=True)
            if kind != "OK" or count == [b"0"]:         # not there, or just made; RFC 9051 9: "*" in an empty folder is BAD
                return []
            found = other.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
            return [(f[1].decode().split("Subject: ")[1].strip(), sorted(w.decode() for w in imaplib.ParseFlags(f[0]) if w != b"\\Recent")) for f in found if isinstance(f, tuple)]
        finally:
            other.logout()

    def wait(self, folder, want):
        postbus.wait(lambda: self.look(folder) == want, f"{folder} to hold {want}")


def test_capability(server):
    i = server.imap()
    assert b" IMAPSIEVE=sieve://mail.demo.example " in i.capability()[1][0] + b" "
    server.ctl("config", "set", "svc_imap", "sieve_server", "sieve.example.org:6190")
    assert b" IMAPSIEVE=sieve://sieve.example.org:6190 " in i.capability()[1][0] + b" "
    server.ctl("config", "set", "svc_imap", "filter_events", "false")
    assert b"IMAPSIEVE" not in i.capability()[1][0]
    server.ctl("config", "unset", "svc_imap", "filter_events")
    server.ctl("config", "unset", "svc_imap", "sieve_server")


def test_what_a_script_sees(server):
    script(server, "see", 'require ["imapsieve", "environment", "imap4flags", "variables", "fileinto", "mailbox", "copy"];\n'
           'if allof (environment :is "location" "MS", environment :is "phase" "post", environment :is "imap.user" "alice@demo.example",\n'
           '  environment :is "imap.email" "alice@demo.example", environment :is "imap.mailbox" "See",\n'
           '  environment :matches "imap.cause" "*") {\n'
           '  set "cause" "${1}"; fileinto :copy :create :flags "" "See-${cause}"; }\n'
           'if environment :matches "imap.changedflags" "?*" { fileinto :copy :create :flags "" "Changed-${1}${2}"; }\n'
           'if hasflag "\\\\Flagged" { fileinto :copy :create :flags "" "Seen-Flagged"; }\n')
    c = Client(server)
    c.bind("See", "see")
    c.append("See", "one")
    c.wait("See-APPEND", [("one", [])])
    c.append("Drafts", "two")
    c.i.select("Drafts")
    c.i.copy("1", "See")
    c.wait("See-COPY", [("two", [])])
    c.i.select("See")
    c.i.store("1", "+FLAGS", "(\\Flagged Grün)".replace("ü", "u"))
    c.wait("Seen-Flagged", [("one", [])])
    assert ("one", []) in c.look("See-FLAG") and c.look('"Changed-\\\\Flagged Grun"') == [("one", [])]
    c.i.store("1", "+FLAGS", "(\\Flagged)")         # nothing changes
    c.i.store("1", "-FLAGS", "(Grun)")
    c.wait("Changed-Grun", [("one", [])])
    assert len(c.look("See-FLAG")) == 2
    c.i.fetch("2", "(BODY[])")                       # \\Seen by reading
    c.wait('"Changed-\\\\Seen"', [("two", [])])
    c.i.select("Drafts")
    c.i.store("1", "+FLAGS", "(\\Flagged)")          # a folder without a script
    c.append("Sent", "three")
    c.i.select("See")
    c.i.store("2", "+FLAGS", "(\\Answered)")
    c.wait('"Changed-\\\\Answered"', [("two", [])])
    c.i.store("1", "+FLAGS", "(\\Answered \\Seen)")  # in an order of their own
    c.wait('"Changed-\\\\Seen \\\\Answered"', [("one", [])])
    assert [s for s, _ in c.look("See-FLAG")] == ["one", "one", "two", "two", "one"]


def test_what_a_script_may_do(server):
    server.ctl("group", "create", "ours@demo.example", "--members", BOB)
    script(server, "do", 'require ["imapsieve", "imap4flags", "fileinto", "mailbox", "copy", "enotify", "extlists"];\n'
           'if allof(header :is "subject" "list", valid_ext_list "urn:postbus:group:ours@demo.example") { addflag "known"; }\n'
           'if header :is "subject" "flag" { addflag "$Seen-by-script"; addflag "\\\\Flagged"; }\n'
           'if header :is "subject" "clear" { setflag ""; }\n'
           'if header :is "subject" "drop" { discard; }\n'
           'if header :is "subject" "file" { fileinto :create "Filed"; }\n'
           'if header :is "subject" "both" { fileinto :copy "Filed"; }\n'
           'if header :is "subject" "here" { fileinto "Do"; }\n'
           'if header :is "subject" "nowhere" { fileinto "No/Such"; }\n'
           'if header :is "subject" "send" { redirect :copy "bob@demo.example"; }\n'
           'if header :is "subject" "tell" { notify :message "There was news" "mailto:bob%40demo.example"; keep; }\n')
    c = Client(server)
    c.bind("Do", "do")
    c.append("Do", "clear", "(\\Flagged \\Seen)")
    for subject in ("flag", "drop", "file", "both", "here", "nowhere", "send", "tell", "list", "last"):
        c.append("Do", subject)
    c.wait("Do", [("clear", []), ("flag", ["$Seen-by-script", "\\Flagged"]), ("drop", ["\\Deleted"]), ("file", ["\\Deleted"]),
                  ("both", []), ("here", []), ("nowhere", []), ("send", []), ("tell", []), ("list", ["known"]), ("last", [])])
    assert c.look("Filed") == [("file", []), ("both", [])]
    assert "event=event.failed" in server.log() and "No/Such" in server.log()
    postbus.wait(lambda: any(b"Subject: send" in m for m in server.messages(BOB, "INBOX")), "the redirected message")
    postbus.wait(lambda: any(b"Subject: There was news" in m and b"Auto-Submitted: auto-notified" in m for m in server.messages(BOB, "INBOX")), "the notification")
    server.ctl("config", "set", "svc_imap", "expunge_discarded", "true")
    c.append("Do", "drop")
    c.append("Do", "file")
    c.append("Do", "flag")
    c.wait("Do", [("clear", []), ("flag", ["$Seen-by-script", "\\Flagged"]), ("drop", ["\\Deleted"]), ("file", ["\\Deleted"]), ("both", []), ("here", []), ("nowhere", []),
                  ("send", []), ("tell", []), ("list", ["known"]), ("last", []), ("flag", ["$Seen-by-script", "\\Flagged"])])
    server.ctl("config", "unset", "svc_imap", "expunge_discarded")


def test_a_copy_is_the_message_as_it_was(server):
    """What delivery put before it, its date and its flags with it."""
    script(server, "twin", 'require ["fileinto", "mailbox", "copy"];\nfileinto :copy :create "Twin";\n')
    server.send(postbus.message("delivered"))
    postbus.wait(lambda: "delivered" in [s for s, _ in Client(server).look("INBOX")], "the message")
    c = Client(server)
    c.bind("INBOX", "twin")
    c.i.select("INBOX")
    at = [s for s, _ in c.look("INBOX")].index("delivered") + 1
    assert c.i.store(str(at), "+FLAGS", "(\\Flagged Kept)")[0] == "OK"
    c.wait("Twin", [("delivered", ["Kept", "\\Flagged"])])
    Client(server).bind("INBOX", "")

    def whole(folder, number):
        c.i.select(folder, readonly=True)
        head, text = c.i.fetch(number, "(INTERNALDATE EMAILID BODY.PEEK[])")[1][0]
        return re.search(rb"INTERNALDATE (.*?) BODY", head).group(1), text
    twin = whole("Twin", "1")
    assert twin == whole("INBOX", str(at)) and b"Return-Path: <someone@remote.example>\r\nDelivered-To: alice@demo.example" in twin[1], twin


def test_which_script_is_meant(server):
    script(server, "mine", 'require ["imap4flags"];\naddflag "mine";\n', BOB)
    script(server, "all", 'require ["imap4flags"];\naddflag "all";\n', BOB)
    c = Client(server, BOB)
    c.bind("A", "mine")
    c.bind("B", None)
    c.bind("", "all")
    c.bind("C", "")
    c.bind("D", "missing")
    for folder in "ABCD":
        c.append(folder, "x")
    c.append("B", "y")
    c.wait("A", [("x", ["mine"])])
    c.wait("B", [("x", ["all"]), ("y", ["all"])])
    assert c.look("C") == [("x", [])] and c.look("D") == [("x", [])]
    c.i.rename("A", "E")
    c.append("E", "y")
    c.wait("E", [("x", ["mine"]), ("y", ["mine"])])
    server.ctl("annotation", "set", BOB, ENTRY)
    server.ctl("annotation", "set", BOB, ENTRY, "all", "--folder", "E")
    c.append("B", "z")
    c.append("E", "z")
    c.wait("E", [("x", ["mine"]), ("y", ["mine"]), ("z", ["all"])])
    assert c.look("B")[2] == ("z", [])


def test_a_fault_loses_nothing_and_is_told_once(server):
    c = Client(server)
    for name, text in (("refuse", 'require ["reject"];\nreject "no";\n'), ("edit", 'require ["editheader"];\naddheader "X-A" "b";\ndiscard;\n'),
                       ("public", 'require ["fileinto", "mailbox"];\nfileinto :create "Public/Mine";\n'), ("loop", 'require ["foreverypart", "mime", "variables", "imap4flags"];\nset "a" "b";\n' + "if true {\n" * 10 + "addflag \"x\";" + "}" * 10)):
        script(server, name, text)
    c.bind("Fault", "refuse")
    c.append("Fault", "one")
    c.append("Fault", "two")
    c.bind("Fault", "edit")
    c.append("Fault", "three")
    c.bind("Fault", "public")
    c.append("Fault", "public")
    c.bind("Fault", "loop")
    c.append("Fault", "four")
    c.wait("Fault", [("one", []), ("two", []), ("three", []), ("public", []), ("four", ["x"])])
    postbus.wait(lambda: sum(b"Subject: Your mail filter has a fault" in m for m in server.messages(ALICE, "INBOX")) == 2, "a notice of each fault, once")


def test_many_messages_and_a_client_that_does_not_wait(server):
    script(server, "many", 'require ["imap4flags"];\naddflag "done";\n')
    c = Client(server)
    c.bind("Many", "many")
    c.bind("Many", None)
    for k in range(150):
        c.append("Many", str(k))
    c.bind("Many", "many")
    c.i.select("Many")
    assert c.i.store("1:*", "+FLAGS", "(\\Seen)")[0] == "OK"
    c.wait("Many", [(str(k), ["\\Seen", "done"]) for k in range(150)])
    server.ctl("config", "set", "svc_imap", "events_max", "10")
    assert c.i.store("1:*", "-FLAGS", "(\\Seen done)")[0] == "OK"
    server.wait_log(r"event=event\.dropped .*messages=150 reason=full")
    assert c.look("Many") == [(str(k), []) for k in range(150)]
    server.ctl("config", "unset", "svc_imap", "events_max")
    server.ctl("plugin", "disable", "agent_filter")
    try:
        assert c.i.store("1:5", "+FLAGS", "(\\Seen)")[0] == "OK"
        c.append("Many", "last")
        assert c.look("Many")[-1] == ("last", [])
    finally:
        server.ctl("plugin", "enable", "agent_filter")


def test_public_folders_have_nobodys_script(server):
    script(server, "mark", 'require ["imap4flags"];\naddflag "mine";\n')
    server.ctl("public", "create", "Same", "--postoffice", "demo", "--write", "members")
    c = Client(server)
    c.bind("Same", None)
    c.append("Same", "own")
    c.append("Public/Same", "public")
    c.bind("Same", "mark")
    c.i.select("Public/Same")
    assert c.i.store("1", "+FLAGS", "(\\Flagged)")[0] == "OK"
    c.append("Public/Same", "more")
    c.append("Same", "last")                         # events of a mailbox run in order: behind this one nothing is under way
    c.wait("Same", [("own", []), ("last", ["mine"])])
    assert c.look("Public/Same") == [("public", ["\\Flagged"]), ("more", [])]


def test_what_waits_while_there_are_no_filters_runs_when_they_are_back(server):
    n = 60
    script(server, "later", 'require ["imap4flags"];\nif hasflag "once" { addflag "twice"; } else { addflag "once"; }\n')
    c = Client(server)
    c.bind("Later", None)
    for k in range(n):
        c.append("Later", str(k))
    c.bind("Later", "later")
    c.i.select("Later")
    assert c.i.store("1:*", "+FLAGS.SILENT", "(\\Seen)")[0] == "OK"
    server.ctl("plugin", "disable", "agent_filter")
    server.ctl("plugin", "enable", "agent_filter")
    c.append("Later", "last", "(\\Seen)")             # whatever comes next wakes those that wait
    c.wait("Later", [(str(k), ["\\Seen", "once"]) for k in range(n)] + [("last", ["\\Seen", "once"])])


def test_what_was_acknowledged_runs_once_whenever_the_daemon_is_killed(server):
    """80 messages and two more wait when the daemon is killed, and are killed again while they run. The script turns a flag over, so it must not run twice on what
    it changed."""
    n, want = 80, {"odd", "done", "\\Seen"}
    script(server, "once", 'require ["imapsieve", "imap4flags", "fileinto", "mailbox", "copy"];\n'
           'fileinto :copy :create "Once-filed"; redirect :copy "bob@demo.example"; addflag "done";\n'
           'if hasflag "odd" { removeflag "odd"; } else { addflag "odd"; }\n')
    c = Client(server)
    for folder in ("Once", "Once-away", "Once-filed"):
        c.bind(folder, None)
    for k in range(n):
        c.append("Once", f"once-{k}")
    c.append("Once-away", "once-copied")
    c.bind("Once", "once")
    at = len(server.log())
    c.i.select("Once")
    assert c.i.store("1:*", "+FLAGS.SILENT", "(\\Seen)")[0] == "OK"
    c.append("Once", "once-appended", "(\\Seen)")
    c.i.select("Once-away")
    assert c.i.store("1", "+FLAGS.SILENT", "(\\Seen)")[0] == "OK" and c.i.copy("1", "Once")[0] == "OK"
    server.kill()
    every = [f"once-{k}" for k in range(n)] + ["once-appended", "once-copied"]
    for _ in range(3):          # it goes on before it is ready, so that each life does some of it
        server.start()
        server.kill()
    left = [int(k) for k in re.findall(r"event=event\.resumed plugin=svc_imap messages=(\d+)", server.log()[at:])]
    assert left and left == sorted(left, reverse=True), left
    server.start()
    postbus.wait(lambda: len(c.look("Once")) == n + 2 and all(set(flags) == want for _, flags in c.look("Once")), "all scripts to have run")
    assert sorted(s for s, _ in c.look("Once-filed")) == sorted(every)
    got = lambda: [line for m in server.messages(BOB, "INBOX") for line in m.decode().splitlines() if line.startswith("Subject: once-")]
    postbus.wait(lambda: len(got()) >= n + 2 and not server.call("queue.list")["items"], "what was redirected")
    assert sorted(got()) == sorted(f"Subject: {s}" for s in every)


postbus.run(sys.modules[__name__])
