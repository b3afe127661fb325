# SPDX-License-Identifier: GPL-3.0-or-later
"""Local delivery and reports: groups, maps, redirection, quota, loops; every DSN is read by Python's email package."""
import email, email.policy, itertools, os, re, socket, sys, threading, time
import postbus

counter = itertools.count()


class Remote:
    """A remote server: takes everything, but refuses recipients that begin with "bad" and puts off those that begin with "late"."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.mails = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        with connection, connection.makefile("rwb") as f:
            def say(text):
                f.write(text.encode() + b"\r\n")
                f.flush()
            say("220 remote.example ESMTP")
            sender, to = None, []
            for line in f:
                word = line.strip().decode("utf-8", "replace")
                verb = word[:4].upper()
                if verb == "EHLO":
                    say("250-remote.example\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 PIPELINING")
                elif verb == "MAIL":
                    sender, to = re.search("<(.*?)>", word).group(1), []
                    say("250 2.1.0 ok")
                elif verb == "RCPT":
                    address = re.search("<(.*?)>", word).group(1)
                    if address.startswith("bad"):
                        say("550-5.1.1 no such\r\n550 5.1.1 user <here>")
                    elif address.startswith("late"):
                        say("451 4.7.1 come again")
                    else:
                        to.append(address)
                        say("250 2.1.5 ok")
                elif verb == "DATA":
                    if not to:
                        say("554 5.5.1 no recipients")
                        continue
                    say("354 go on")
                    lines = []
                    for one in f:
                        if one == b".\r\n":
                            break
                        lines.append(one[1:] if one.startswith(b".") else one)
                    self.mails.append((sender, to, b"".join(lines)))
                    say("250 2.0.0 taken")
                elif verb == "QUIT":
                    say("221 2.0.0 bye")
                    return
                else:
                    say("250 2.0.0 ok")


remote = Remote()


def make():
    return postbus.Server(config={"plugins": {
        "conn_smtp": {"config": {"smart_host": f"127.0.0.1:{remote.port}", "retry_ladder": ["1s"], "retry_notice": "1s", "smart_host_tls": "none"}},
        "agent_mta": {"config": {"double_bounce": "postmaster@demo.example", "return_max": "10K"}}}})


def person(s, **settings):
    """A new mailbox with a password; gives its address."""
    address = f"p{next(counter)}@demo.example"
    s.ctl("mailbox", "create", address, *itertools.chain(*((f"--{k.replace('_', '-')}", v) for k, v in settings.items())))
    s.ctl("mailbox", "password", address, stdin=postbus.PASSWORD + "\n")
    return address


def used(s, address):
    return s.call("mailbox.show", mailbox=address)["used_messages"]


def drained(s):
    """Nothing is on its way any more. What was delivered counts at once (used()), and is shown to sessions when it is on the disk."""
    postbus.wait(lambda: not s.call("queue.list")["items"], "an empty queue")


def report(s, address, n=1):
    """The DSN in a mailbox: (message, per-message fields, [fields of each recipient], the returned part)."""
    raw = s.wait_messages(n, address)[-1]
    m = email.message_from_bytes(raw, policy=email.policy.default)
    assert m.get_content_type() == "multipart/report" and m.get_param("report-type") == "delivery-status", raw
    assert m["Return-Path"] == "<>" and m["Auto-Submitted"] == "auto-replied" and m["To"] == f"<{address}>" or m["To"] == address, raw
    assert not m.defects and m["Date"] and m["Message-ID"] and m["From"], (m.defects, raw)
    words, status, returned = m.iter_parts()
    assert words.get_content_type() == "text/plain" and status.get_content_type() == "message/delivery-status", raw
    about, *each = status.get_payload()
    assert about["Reporting-MTA"] == "dns; mail.demo.example" and about["Arrival-Date"], raw
    assert all(one["Final-Recipient"] and one["Action"] and re.fullmatch(r"[245]\.\d+\.\d+", one["Status"]) for one in each), raw
    return m, about, each, returned


def test_return_path_and_delivered_to_come_first(s):
    a = person(s)
    s.send(postbus.message(to=a), sender="From.Me@remote.example", to=[a])
    assert s.wait_messages(1, a)[0].startswith(f"Return-Path: <From.Me@remote.example>\r\nDelivered-To: {a}\r\nReceived: ".encode())


def test_addresses_that_lead_to_one_mailbox_make_one_copy(s):
    a = person(s)
    local = a.split("@")[0]
    s.ctl("address-map", "create", f"map-{local}@demo.example", "--to", a)
    s.ctl("group", "create", f"group-{local}@demo.example", "--members", a)
    s.ctl("domain", "create", f"{local}.example", "--postoffice", "demo", "--alias-of", "demo.example")
    s.send(postbus.message(), to=[a, f"{local}+tag@demo.example", f"map-{local}@demo.example", f"group-{local}@demo.example", f"{local.upper()}@{local}.example"])
    drained(s)
    assert used(s, a) == 1


def original(s, sender):
    """Whom a rewritten sender stands for: what leaves the house has one of ours."""
    assert sender.endswith("@demo.example"), sender
    return s.ctl("srs", "decode", sender)["address"]


def test_groups_in_groups_reach_everybody_once(s):
    a, b, c = person(s), person(s), person(s)
    inner, outer = f"inner-{a}", f"outer-{a}"
    s.ctl("group", "create", inner, "--members", a, "--members", b)
    s.ctl("group", "create", outer, "--members", inner)
    code, said = s.ctl("group", "add", outer, outer, check=False)
    assert code == 6 and "member of itself" in str(said), said
    s.ctl("group", "add", outer, c, a, "far@remote.example")
    s.ctl("group", "add", inner, outer, "gone@demo.example")
    before = len(remote.mails)
    id = s.send(postbus.message("to the group"), sender="writer@remote.example", to=[outer])
    drained(s)
    assert [used(s, x) for x in (a, b, c)] == [1, 1, 1]
    assert [(original(s, m[0]), m[1]) for m in remote.mails[before:]] == [("writer@remote.example", ["far@remote.example"])]
    assert b"Delivered-To: " + b.encode() in s.wait_messages(1, b)[0]
    trace = s.ctl("trace", id, json_out=False)
    assert "gone@demo.example" in trace and "expanded to 4 members" in trace, trace


def test_a_thousand_mailboxes_share_one_body(s):
    people = [f"p{next(counter)}@demo.example" for _ in range(1000)]
    for x in people:
        s.call("mailbox.create", address=x)
    for x in (people[0], people[999]):
        s.call("mailbox.password", mailbox=x, password=postbus.PASSWORD)
    crowd = f"crowd-{people[0]}"
    s.ctl("group", "create", crowd)
    for at in range(0, 1000, 250):
        s.ctl("group", "add", crowd, *people[at:at + 250])
    path = os.path.join(s.home, "crowd.sieve")
    with open(path, "w") as f:
        f.write('require ["fileinto", "imap4flags"];\nif header :contains "subject" "filtered" { addflag "\\\\Flagged"; fileinto "Archive"; stop; }\n')
    body = "one body for all of them " * 4000
    s.ctl("script", "put", "crowd", path, "--activate", "--postoffice", "demo")
    try:
        for n, (subject, folder) in enumerate((("plain", "INBOX"), ("filtered", "Archive")), 1):
            was = s.ctl("status")["store"]
            s.send(postbus.message(subject, body + "\r\n"), to=[crowd])
            drained(s)
            now = s.ctl("status")["store"]
            assert [x for x in people if used(s, x) != n] == []
            assert now["bodies"] == was["bodies"] + 1, (subject, was, now)
            assert len(body) < now["body_bytes"] - was["body_bytes"] < len(body) + 2000, (subject, was, now)
            for x in (people[0], people[999]):
                copy, = s.wait_messages(1, x, folder)
                assert body.encode() in copy and b"Delivered-To: " + x.encode() in copy
    finally:
        s.ctl("script", "activate", "--postoffice", "demo")


def test_an_empty_group_is_reported(s):
    a = person(s)
    s.ctl("group", "create", f"none-{a}")
    s.submit(postbus.message(sender=a), user=a, to=[f"none-{a}"])
    _, _, each, _ = report(s, a)
    assert each[0]["Status"] == "5.2.4" and "no members" in each[0]["Diagnostic-Code"]


def test_a_catch_all_catches_what_is_left(s):
    a = person(s)
    s.ctl("domain", "create", "catch.example", "--postoffice", "demo")
    s.ctl("mailbox", "create", "real@catch.example")
    s.ctl("address-map", "create", "*@catch.example", "--to", a)
    s.send(postbus.message(), to=["real@catch.example", "anything@catch.example", "else+x@catch.example"])
    drained(s)
    assert used(s, "real@catch.example") == 1 and used(s, a) == 1
    s.ctl("address-map", "set", "*@catch.example", "--to", "Shop@remote.example")
    before = len(remote.mails)
    s.send(postbus.message(), to=["third@catch.example"])
    drained(s)
    assert remote.mails[before][1] == ["Shop@remote.example"]


def test_an_idn_domain_takes_mail_in_both_forms(s):
    s.ctl("domain", "create", "grüße.example", "--postoffice", "demo")
    s.ctl("mailbox", "create", "jörg@grüße.example")
    with s.smtp() as c:
        c.ehlo()
        for address in "jörg@grüße.example", "JÖRG@xn--gre-6ka8l.example":
            assert c.docmd(f"MAIL FROM:<someone@remote.example> SMTPUTF8")[0] == 250
            c.command_encoding = "utf-8"
            assert c.docmd(f"RCPT TO:<{address}>")[0] == 250
            assert c.data(postbus.message())[0] == 250
    postbus.wait(lambda: used(s, "jörg@grüße.example") == 2, "both messages")


def test_over_quota_is_told_to_the_sender(s):
    a, full = person(s), person(s, quota_bytes="3K")
    s.submit(postbus.message("small", sender=a), user=a, to=[full])
    postbus.wait(lambda: used(s, full) == 1, "the small one")
    s.submit(postbus.message("too much", "x" * 70 + "\r\n" + ("y" * 76 + "\r\n") * 60, sender=a, to=full), user=a, to=[full])
    m, about, each, returned = report(s, a)
    assert (each[0]["Action"], each[0]["Status"], each[0]["Final-Recipient"]) == ("failed", "5.2.2", f"rfc822; {full}")
    assert "full" in each[0]["Diagnostic-Code"] and "quota" in m.get_body(("plain",)).get_content()
    assert returned.get_content_type() == "message/rfc822" and "too much" in str(returned.get_payload(0)["Subject"])
    assert used(s, full) == 1
    s.ctl("mailbox", "set", full, "--quota-bytes", "0")
    s.submit(postbus.message("more", "z" * 70 + "\r\n" + ("y" * 76 + "\r\n") * 60, sender=a, to=full), user=a, to=[full])
    postbus.wait(lambda: used(s, full) == 2, "the one that fits now")


def test_unknown_and_disabled_recipients_are_reported(s):
    a, off = person(s), person(s)
    s.ctl("domain", "create", f"{a.split('@')[0]}.late.example", "--postoffice", "demo")
    member = f"list-{a}"
    s.ctl("group", "create", member, "--members", f"x@{a.split('@')[0]}.late.example")
    s.ctl("mailbox", "set", off, "--no-enabled")
    with s.smtp() as c:
        c.ehlo()
        c.mail(a)
        assert c.rcpt("nobody@demo.example")[0] == 550 and c.rcpt(off)[0] == 550
    s.ctl("address-map", "create", f"to-{a}", "--to", "conn_postoffice:mailbox/nosuchid")
    s.submit(postbus.message(sender=a), user=a, to=[f"to-{a}"])
    _, _, each, _ = report(s, a)
    assert each[0]["Status"] == "5.1.1"


def test_what_a_remote_refuses_comes_back_in_its_words(s):
    a = person(s)
    with s.smtp("submission") as c:
        c.starttls(context=postbus.no_check())
        c.login(a, postbus.PASSWORD)
        c.ehlo()
        extensions = b"DSN" in c.ehlo_resp
        assert c.docmd(f"MAIL FROM:<{a}>" + (" ENVID=QQ+2B1 RET=FULL" if extensions else ""))[0] == 250
        assert c.docmd("RCPT TO:<good@remote.example>")[0] == 250
        assert c.docmd("RCPT TO:<bad@remote.example>" + (" ORCPT=rfc822;First@remote.example NOTIFY=FAILURE" if extensions else ""))[0] == 250
        assert c.data(postbus.message("hello", sender=a))[0] == 250
    m, about, each, returned = report(s, a)
    assert len(each) == 1, each
    one = each[0]
    assert (one["Action"], one["Status"], one["Final-Recipient"]) == ("failed", "5.1.1", "rfc822; bad@remote.example")
    assert one["Diagnostic-Code"].startswith("smtp; 550") and "no such" in one["Diagnostic-Code"] and one["Remote-MTA"].startswith("dns; ")
    assert one["Last-Attempt-Date"] and returned.get_content_type() == "message/rfc822" and m["References"] == returned.get_payload(0)["Message-ID"]
    if extensions:
        assert about["Original-Envelope-Id"] == "QQ+1" and one["Original-Recipient"] == "rfc822; First@remote.example"


def test_a_large_original_is_returned_as_its_header(s):
    a = person(s)
    s.submit(postbus.message("large", ("x" * 76 + "\r\n") * 400, sender=a), user=a, to=["bad2@remote.example"])
    _, _, _, returned = report(s, a)
    assert returned.get_content_type() == "text/rfc822-headers" and "Subject: large" in returned.get_content()


def test_a_delay_is_told_once_and_no_more(s):
    a = person(s)
    id = s.submit(postbus.message("slow", sender=a), user=a, to=["late@remote.example"])
    m, about, each, returned = report(s, a)
    assert (each[0]["Action"], each[0]["Status"]) == ("delayed", "4.7.1") and each[0]["Will-Retry-Until"]
    assert returned.get_content_type() == "text/rfc822-headers"
    attempts = lambda: len(re.findall("retry", s.ctl("trace", id, json_out=False)))
    n = attempts()
    postbus.wait(lambda: attempts() >= n + 2, "two more attempts")
    assert used(s, a) == 1
    s.ctl("queue", "delete", id)
    drained(s)


def test_a_failed_report_goes_to_the_postmaster_and_no_further(s):
    p = person(s)
    s.ctl("postoffice", "set", "demo", "--postmaster", p)
    s.send(postbus.message("bounce of a bounce"), sender="", to=["alice@demo.example"])
    s.ctl("address-map", "create", f"dead-{p}", "--to", "bad3@remote.example")
    s.send(postbus.message("bounce of a bounce"), sender="", to=[f"dead-{p}"])
    raw = s.wait_messages(1, p)[0]
    assert raw.startswith(b"Return-Path: <>") and b"multipart/report" in raw
    drained(s)
    assert used(s, p) == 1


def test_a_looping_message_is_cut(s):
    a = person(s)
    loops = b"".join(b"Received: from a by b; Mon, 1 Jan 2024 00:00:00 +0000\r\n" for _ in range(60))
    s.submit(loops + postbus.message("round and round", sender=a), user=a, to=["bob@demo.example"])
    _, _, each, _ = report(s, a)
    assert each[0]["Status"] == "5.4.6"


def test_redirection_with_and_without_a_copy(s):
    a, b = person(s), person(s)
    s.ctl("mailbox", "set", a, "--redirect", b, "--redirect", "far@remote.example", "--redirect-keep")
    before = len(remote.mails)
    s.send(postbus.message(), sender="writer@remote.example", to=[a])
    drained(s)
    assert (used(s, a), used(s, b)) == (1, 1)
    assert [(original(s, m[0]), m[1]) for m in remote.mails[before:]] == [("writer@remote.example", ["far@remote.example"])]
    s.ctl("mailbox", "set", a, "--no-redirect-keep")
    s.send(postbus.message(), to=[a])
    drained(s)
    assert (used(s, a), used(s, b)) == (1, 2)


def test_redirections_in_a_circle_lose_and_double_nothing(s):
    a, b, c = person(s), person(s), person(s)
    s.ctl("mailbox", "set", a, "--redirect", b, "--no-redirect-keep")
    s.ctl("mailbox", "set", b, "--redirect", c, "--no-redirect-keep")
    s.ctl("mailbox", "set", c, "--redirect", a, "--no-redirect-keep")
    s.send(postbus.message(), to=[a])
    drained(s)
    assert (used(s, a), used(s, b), used(s, c)) == (1, 0, 0)
    for one in a, b, c:
        s.ctl("mailbox", "set", one, "--redirect-keep")
    s.send(postbus.message(), to=[b])
    drained(s)
    assert (used(s, a), used(s, b), used(s, c)) == (2, 1, 1)


def test_what_came_back_from_outside_stays(s):
    a = person(s)
    s.ctl("mailbox", "set", a, "--redirect", "far@remote.example", "--no-redirect-keep")
    before = len(remote.mails)
    s.send(f"Delivered-To: {a.upper()}\r\n".encode() + postbus.message(), to=[a])
    drained(s)
    assert used(s, a) == 1 and len(remote.mails) == before


def test_success_is_reported_when_asked_for(s):
    a, b = person(s), person(s)
    with s.smtp("submission") as c:
        c.starttls(context=postbus.no_check())
        c.login(a, postbus.PASSWORD)
        c.ehlo()
        if b"DSN" not in c.ehlo_resp:
            raise postbus.Skip("DSN is not offered")
        assert c.docmd(f"MAIL FROM:<{a}> ENVID=env1")[0] == 250
        assert c.docmd(f"RCPT TO:<{b}> NOTIFY=SUCCESS")[0] == 250
        assert c.data(postbus.message(sender=a))[0] == 250
    _, about, each, returned = report(s, a)
    assert about["Original-Envelope-Id"] == "env1"
    assert (each[0]["Action"], each[0]["Status"], each[0]["Final-Recipient"]) == ("delivered", "2.1.5", f"rfc822; {b}")
    assert returned.get_content_type() == "text/rfc822-headers"


postbus.run(sys.modules[__name__], make)
