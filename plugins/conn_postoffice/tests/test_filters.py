# SPDX-License-Identifier: GPL-3.0-or-later
"""What filters make of a delivery, through real ports: folders, flags, redirection, refusal, changed messages, scripts that are broken."""
import os, re, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus
from postbus import wait

REQUIRE = 'require ["fileinto", "mailbox", "imap4flags", "copy", "reject", "editheader", "variables", "vnd.postbus.do", "special-use"];\n'
MAIL = "From: someone@remote.example\r\nTo: {to}@demo.example\r\nSubject: {subject}\r\n\r\nhello\r\n"


def script(server, text, *owner, require=REQUIRE):
    path = os.path.join(server.home, "test.sieve")
    with open(path, "w") as f:
        f.write(require + text)
    server.ctl("script", "put", "test", path, "--activate", *owner)


def fresh(server, name):
    server.ctl("mailbox", "create", user(name))
    server.ctl("mailbox", "password", user(name), stdin=postbus.PASSWORD + "\n")
    return ("--mailbox", f"{name}@demo.example")


def send(server, to, subject, **more):
    return server.send(MAIL.format(to=to, subject=subject), to=(f"{to}@demo.example",), **more)


def user(name):
    return f"{name}@demo.example"


USERS = REQUIRE.replace(', "vnd.postbus.do"', "")


def test_a_message_goes_into_folders_with_flags(server):
    owner = fresh(server, "files")
    script(server, 'fileinto :create :flags ["\\\\Flagged", "work"] "Projects/One"; fileinto "Junk"; fileinto :specialuse "\\\\Archive" "Nowhere"; keep;', *owner, require=USERS)
    send(server, "files", "one")
    for folder in ("Projects/One", "Junk", "Archive", "INBOX"):
        found = server.wait_messages(1, user("files"), folder)
        assert len(found) == 1 and b"Subject: one" in found[0], (folder, found)
    i = server.imap(user("files"))
    i.select('"Projects/One"')
    assert b"\\Flagged" in i.fetch("1", "(FLAGS)")[1][0] and b"work" in i.fetch("1", "(FLAGS)")[1][0]
    i.logout()


def test_a_missing_folder_means_the_inbox(server):
    owner = fresh(server, "missing")
    script(server, 'fileinto "No such folder";', *owner, require=USERS)
    send(server, "missing", "two")
    assert len(server.wait_messages(1, user("missing"))) == 1


def test_discard_leaves_nothing_and_the_trace_says_why(server):
    owner = fresh(server, "drops")
    script(server, 'if header "subject" "away" { discard; }', *owner, require=USERS)
    queued = send(server, "drops", "away")
    send(server, "drops", "stay")
    found = server.wait_messages(1, user("drops"))
    assert len(found) == 1 and b"Subject: stay" in found[0]
    trace = str(wait(lambda: (lambda t: t if "dropped" in str(t) else None)(server.ctl("trace", queued)), "the trace"))
    assert "discarded by a filter" in trace, trace


def test_reject_is_told_to_the_sender(server):
    owner = fresh(server, "rejects")
    fresh(server, "author")
    script(server, 'reject "not from\nyou";', *owner, require=USERS)
    server.submit(MAIL.replace("someone@remote.example", user("author")).format(to="rejects", subject="three"), user("author"), (user("rejects"),))
    report = server.wait_messages(1, user("author"))[0]
    assert b"550 5.7.1 not from you" in report and b"Action: failed" in report, report
    assert server.messages(user("rejects")) == []


def test_redirect_sends_it_on_and_not_in_a_circle(server):
    here, there = fresh(server, "here"), fresh(server, "there")
    script(server, 'redirect "there@demo.example";', *here, require=USERS)
    script(server, 'redirect "here@demo.example";', *there, require=USERS)
    send(server, "here", "four")
    wait(lambda: server.messages(user("here")) + server.messages(user("there")), "the message in one of them")
    wait(lambda: all(l.get("ready", 0) == 0 and l.get("leased", 0) == 0 for l in server.call("queue.counts")["lanes"]), "a quiet queue")
    assert len(server.messages(user("here")) + server.messages(user("there"))) == 1


def test_what_a_script_changed_is_what_is_kept_and_sent_on(server):
    owner = fresh(server, "edits")
    fresh(server, "reader")
    script(server, 'addheader "X-Seen-By" "the filter"; deleteheader "subject"; addheader "Subject" "changed"; redirect :copy "reader@demo.example"; fileinto "Archive"; keep;', *owner,
           require=USERS)
    send(server, "edits", "five")
    for who, folder in (("edits", "INBOX"), ("edits", "Archive"), ("reader", "INBOX")):
        found = server.wait_messages(1, user(who), folder)
        assert len(found) == 1 and b"X-Seen-By: the filter\r\n" in found[0] and b"Subject: changed\r\n" in found[0] and b"Subject: five" not in found[0], (who, folder, found)
        assert b"Delivered-To: " + user(who).encode() in found[0] and b"Return-Path: <someone@remote.example>" in found[0], found


def test_a_folder_is_found_by_its_id_whatever_it_is_called(server):
    owner = fresh(server, "named")
    i = server.imap(user("named"))
    made = re.search(rb"MAILBOXID \((.*?)\)", i.create("Bills")[1][0]).group(1).decode()
    i.rename("Bills", "Paid")
    i.logout()
    script(server, f'if mailboxidexists "{made}" {{ fileinto :mailboxid "{made}" "INBOX"; }} if not mailboxidexists "{made}0" {{ fileinto :mailboxid "{made}0" "Archive"; }}', *owner,
           require='require ["fileinto", "mailboxid"];\n')
    send(server, "named", "bill")
    for folder in ("Paid", "Archive"):
        assert len(server.wait_messages(1, user("named"), folder)) == 1, folder
    assert server.messages(user("named")) == []


def test_each_action_gets_the_message_as_it_was_when_it_was_its_turn(server):
    owner = fresh(server, "moments")
    for name in ("early", "late"):
        fresh(server, name)
    script(server, 'redirect :copy "early@demo.example"; fileinto :copy :create "Before"; addheader "X-One" "1"; fileinto :copy :create "Between"; '
           'deleteheader "subject"; addheader "Subject" "made"; redirect :copy "late@demo.example"; keep; addheader "X-Two" "2"; fileinto :create "After";', *owner, require=USERS)
    send(server, "moments", "came")
    for who, folder, there, away in (("moments", "Before", [b"Subject: came"], [b"X-"]), ("moments", "Between", [b"Subject: came", b"X-One: 1"], [b"X-Two"]),
                                     ("moments", "INBOX", [b"Subject: made", b"X-One: 1"], [b"X-Two", b"came"]), ("moments", "After", [b"Subject: made", b"X-Two: 2"], [b"came"]),
                                     ("early", "INBOX", [b"Subject: came"], [b"X-"]), ("late", "INBOX", [b"Subject: made", b"X-One: 1"], [b"X-Two", b"came"])):
        found = server.wait_messages(1, user(who), folder)
        assert len(found) == 1 and all(b + b"\r\n" in found[0] for b in there) and not any(b in found[0] for b in away), (who, folder, found)


def test_the_post_office_filters_before_the_mailbox(server):
    owner = fresh(server, "both")
    script(server, 'if header "subject" "spam" { vnd_postbus_do "spam"; } if header "subject" "gone" { discard; } addheader "X-Office" "yes";', "--postoffice", "demo")
    try:
        script(server, 'if header "x-office" "yes" { fileinto "Archive"; } else { fileinto "Drafts"; }', *owner, require=USERS)
        send(server, "both", "six")
        assert len(server.wait_messages(1, user("both"), "Archive")) == 1
        server.ctl("script", "activate", *owner)
        send(server, "both", "spam")
        assert len(server.wait_messages(1, user("both"), "Junk")) == 1
    finally:
        server.ctl("script", "activate", "--postoffice", "demo")


def test_a_broken_script_loses_nothing_and_its_owner_hears_of_it_once(server):
    owner = fresh(server, "broken")
    script(server, 'set "a" "x"; ' + 'set "a" "${a}${a}";' * 30 + 'discard;', *owner, require=USERS)
    script(server, 'if header "subject" "number 1" { error "another one"; } error "no way";', *owner, require='require "ihave";\n')
    for k in range(3):
        send(server, "broken", f"number {k}")
        found = server.wait_messages(2 + k, user("broken"))
    notices = [m for m in found if b"mail filter has a fault" in m]
    assert len(found) == 4 and len(notices) == 1, [m[:300] for m in found]
    assert b"no way" in notices[0] and b"line 2" in notices[0], notices
    assert "event=filter.fault" in server.log()


def test_scripts_of_users_write_in_their_own_name(server):
    owner, _ = fresh(server, "poser"), fresh(server, "asker")

    def answered(text, number, *whose, require='require ["vacation", "enotify"];\n'):
        script(server, text, *(whose or owner), require=require)
        sent = MAIL.format(to="poser", subject=f"number {number}").replace("someone@remote.example", user("asker"))
        queued = server.submit(sent, user=user("asker"), to=(user("poser"),))
        answer = server.wait_messages(number, user("asker"))[-1].split(b"\r\n\r\n")[0].decode()
        return re.findall(r"(?mi)^from: .*?$", answer.replace("\r", "")), queued

    own = [f"From: {user('poser')}"]
    found, queued = answered('vacation :from "The Chief <chief@demo.example>" "gone";', 1)
    assert found == own, found
    wait(lambda: "from.refused" in server.ctl("trace", queued, json_out=False), "why")
    assert answered('vacation :from "chief@remote.example" :handle "2" "gone";', 2)[0] == own
    assert answered(f'vacation :from "{user("poser")}, chief@demo.example" :handle "3" "gone";', 3)[0] == own
    assert answered('vacation :mime :handle "4" "From: chief@demo.example\r\nContent-Type: text/plain\r\nfrom : chief@demo.example\r\n\r\ngone";', 4)[0] == own
    assert answered(f'notify :from "chief@demo.example" :message "x" "mailto:{user("asker")}";', 5)[0] == own
    assert answered('vacation :from "Poser <poser+away@demo.example>" :handle "6" "gone";', 6)[0] == ["From: Poser <poser+away@demo.example>"]
    script(server, "keep;", *owner, require="")
    assert answered('vacation :from "Office <office@demo.example>" :handle "7" "gone";', 7, "--postoffice", "demo")[0] == ["From: Office <office@demo.example>"]
    server.ctl("script", "activate", "", "--postoffice", "demo")
    _, queued = answered('notify :message "x" "mailto:' + ",".join([user("asker")] + [f"n{k}@remote.example" for k in range(20)]) + '";', 8)
    wait(lambda: "delivered" in server.ctl("trace", queued, json_out=False), "the delivery")
    assert server.ctl("trace", queued, json_out=False).count("notify ") == 10


def test_what_leaves_the_house_has_a_sender_of_ours_and_reports_find_back(server):
    owner = fresh(server, "forwards")
    script(server, 'redirect "friend@far.example";', *owner, require="")
    server.ctl("queue", "list")
    queued = send(server, "forwards", "srs")
    trace = wait(lambda: (lambda t: t if "SRS0=" in t else None)(str(server.ctl("trace", queued)) + str(server.ctl("queue", "list", "--lane", "conn_smtp.outgoing")) +
                                                                 str(server.ctl("queue", "show", queued))), "a rewritten sender")
    address = re.search(r"SRS0=[\w=.-]+@demo\.example", trace).group(0)
    assert server.ctl("srs", "decode", address)["address"] == "someone@remote.example"
    assert server.ctl("directory", "resolve", address)["target"] == "redirect/someone@remote.example"
    with server.smtp() as s:
        s.ehlo()
        assert s.mail("")[0] == 250
        assert s.rcpt(address)[0] == 250
        assert s.rcpt(address.replace("SRS0=", "SRS0=A"))[0] == 550
    server.ctl("policy", "set", "redirect_sender", "keep", *owner)
    kept = send(server, "forwards", "kept")
    shown = wait(lambda: (lambda t: t if "friend@far.example" in t else None)(str(server.ctl("queue", "show", kept))), "what is sent on")
    assert "SRS0=" not in shown


def test_long_and_odd_senders_find_back_too_and_the_servers_filters_rewrite_as_well(server):
    owner = fresh(server, "forwards2")
    script(server, 'redirect "friend@far.example";', *owner, require="")
    server.ctl("filter", "add", "away", "--when", "subject is away", "--do", "redirect friend@far.example")
    for sender, to in (("0100018d2bd1c1a2-7b1e6a6a-6c9f-4f4e-9d0a-000000000000-000000@eu-west-1.ses.example", "forwards2"), ('"a b"@remote.example', "forwards2"), ("someone@remote.example", "away")):
        with server.smtp() as s:
            s.ehlo()
            assert s.docmd(f"MAIL FROM:<{sender}>")[0] == 250 and s.rcpt(user("forwards2"))[0] == 250
            queued = re.search(rb"queued as (\w+)", s.data(MAIL.format(to=user("forwards2"), subject=to))[1]).group(1).decode()
        shown = wait(lambda: (lambda t: t if "SRS0=" in t else None)(str(server.ctl("queue", "show", queued))), "a rewritten sender")
        address = re.search(r"SRS0=[\w=.-]+@demo\.example", shown).group(0)
        assert len(address.split("@")[0]) <= 64 and server.ctl("srs", "decode", address)["address"] == sender, address
        assert server.ctl("directory", "resolve", address)["target"] == "redirect/" + sender
    server.ctl("filter", "delete", "away")


def test_a_redirection_to_a_list_reaches_the_group_or_nobody(server):
    owner = fresh(server, "tolist")
    server.ctl("postoffice", "create", "elsewhere")
    server.ctl("domain", "create", "elsewhere.example", "--postoffice", "elsewhere")
    server.ctl("mailbox", "create", "stranger@elsewhere.example")
    server.ctl("group", "create", "theirs@elsewhere.example", "--members", "stranger@elsewhere.example")
    server.ctl("group", "create", user("ours"), "--members", "bob@demo.example")
    redirect = 'redirect :list "urn:postbus:group:{}";'
    script(server, redirect.format(user("ours")), *owner, require='require ["extlists"];\n')
    send(server, "tolist", "for all of us")
    wait(lambda: any(b"for all of us" in m for m in server.messages("bob@demo.example")), "it reaches the group")
    for group in ("theirs@elsewhere.example", user("nobodys")):
        script(server, redirect.format(group), *owner, require='require ["extlists"];\n')
        send(server, "tolist", f"not for {group}")
        wait(lambda: any(f"not for {group}".encode() in m for m in server.messages(user("tolist"))), f"it is kept, since {group} is no list")
    assert "which is no list here" in server.log()


def test_a_redirection_has_a_time_by_which_it_comes_back(server):
    fresh(server, "hurries")
    owner = ("--mailbox", user("hurries"))
    script(server, 'redirect :bytimeabsolute "2020-01-01T00:00:00Z" :bymode "return" "friend@far.example";', *owner, require='require ["redirect-deliverby"];\n')
    queued = send(server, "hurries", "late")
    wait(lambda: "554 5.4.7" in str(server.ctl("trace", queued)), "its return")
    script(server, 'redirect :bytimerelative 86400 :bymode "return" "friend@far.example";', *owner, require='require ["redirect-deliverby"];\n')
    queued = send(server, "hurries", "in time")
    wait(lambda: "redirected" in str(server.ctl("trace", queued)) and "friend@far.example" in str(server.ctl("queue", "show", queued)), "it waits")
    assert "5.4.7" not in str(server.ctl("trace", queued))


def test_groups_are_lists_in_their_own_post_office_alone(server):
    owner = fresh(server, "lists")
    server.ctl("postoffice", "create", "foreign")
    server.ctl("domain", "create", "foreign.example", "--postoffice", "foreign")
    for group in ("friends@demo.example", "friends@foreign.example"):
        server.ctl("group", "create", group, "--members", "someone@remote.example")
    script(server, 'if address :list "from" "urn:postbus:group:friends@foreign.example" { discard; } if address :list "from" "urn:postbus:group:friends@demo.example" { fileinto "Archive"; }',
           *owner, require='require ["extlists", "fileinto"];\n')
    send(server, "lists", "from a friend")
    assert len(server.wait_messages(1, user("lists"), "Archive")) == 1


postbus.run(sys.modules[__name__], lambda: postbus.Server(postbus.NOWHERE))
