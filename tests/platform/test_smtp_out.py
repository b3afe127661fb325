# SPDX-License-Identifier: GPL-3.0-or-later
"""The sending side of conn_smtp against servers of every temper: each recipient ends as the server said, nothing is lost, nothing is sent twice without need."""
import collections, email, os, re, socket, sys, threading
import postbus
from postbus import PASSWORD, Server, message, wait
from smtp_peer import CAPABILITIES, DROP, Peer, plain

ME = "alice@demo.example"
routes, peers = {}, {}


def peer(name, **options):
    peers[name] = Peer(**options)
    routes[f"{name}.example"] = f"127.0.0.1:{peers[name].port}"
    return peers[name]


def first_time(reply, then):
    """The reply once, then another for good."""
    seen = []

    def answer(session, line):
        seen.append(line)
        return reply if len(seen) == 1 else then
    return answer


def in_turn(*replies):
    """One after the other; the last one stays."""
    left = list(replies)
    return lambda session, line: left.pop(0) if len(left) > 1 else left[0]


def by_recipient(**replies):
    """RCPT replies by local part; a list is used up, its last reply stays."""
    left = {k: list(v) if isinstance(v, (list, tuple)) else [v] for k, v in replies.items()}

    def answer(session, line):
        words = left.get(re.search(r"<([^@>]*)", line).group(1).replace("-", "_"), ["250 2.1.5 ok"])
        return words.pop(0) if len(words) > 1 else words[0]
    return answer


def without(*names):
    return [c for c in CAPABILITIES if c.split()[0] not in names]


peer("ok")
peer("reuse")
peer("plain", capabilities=())
peer("old", capabilities=(), replies={"EHLO": "500 5.5.1 what"})
peer("mixed", replies={"RCPT": by_recipient(gone="550 5.1.1 no such user", busy=["450 4.2.1 come again", "250 2.1.5 ok"])})
peer("mixedslow", capabilities=(), replies={"RCPT": by_recipient(gone="550 no such user")})
for stage in ("MAIL", "RCPT", "DATA", "DOT"):
    end = {"MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go", "DOT": "250 2.0.0 taken"}[stage]
    peer(f"later-{stage.lower()}", replies={stage: first_time("451 4.3.0 not now", end)})
    peer(f"never-{stage.lower()}", replies={stage: "554 5.7.1 we do not want this"})
    peer(f"drop-{stage.lower()}", replies={stage: first_time(DROP, end)})
    peer(f"bye-{stage.lower()}", replies={stage: first_time("421 4.3.2 shutting down", end)})
peer("liar", replies={"DATA": first_time("250 2.0.0 done", "354 go")})
peer("nobody", replies={"CONNECT": "554 5.3.2 no service"})
peer("starts", replies={"CONNECT": first_time("421 4.3.2 try later", "220 peer.example")})
peer("clear", replies={"STARTTLS": "454 4.7.0 no TLS now"})
peer("garbage", replies={"STARTTLS": "220 go"})
peer("small", capabilities=without("SIZE") + ["SIZE 5000"])
peer("seven", capabilities=without("8BITMIME", "SMTPUTF8"))
peer("ascii", capabilities=without("SMTPUTF8"))
peer("nodsn", capabilities=without("DSN"))
peer("many", replies={"RCPT": lambda s, line: "250 ok" if len(s.rcpts) < 30 else "452 4.5.3 too many recipients"})
# six recipients, two in a transaction: what becomes of the others where the envelope of the next one is on its way already
two = lambda s, line: "250 ok" if len(s.rcpts) < 2 else "452 4.5.3 too many recipients"
peer("ahead", replies={"RCPT": two, "DOT": lambda s, line: "250 ok" if len(s.messages) == 2 or s.stream.peek(1) else DROP})
peer("ahead-mail-drop", replies={"RCPT": two, "MAIL": in_turn("250 ok", DROP, "250 ok")})
peer("ahead-mail-bye", replies={"RCPT": two, "MAIL": in_turn("250 ok", "421 4.3.2 shutting down", "250 ok")})
peer("ahead-mail-later", replies={"RCPT": two, "MAIL": in_turn("250 ok", "451 4.3.0 not now", "250 ok")})
peer("ahead-data-later", replies={"RCPT": two, "DATA": in_turn("354 go", "451 4.3.0 not now", "354 go")})
peer("ahead-data-drop", replies={"RCPT": two, "DATA": in_turn("354 go", DROP, "354 go")})
peer("ahead-dot-later", replies={"RCPT": two, "DOT": in_turn("451 4.3.0 not now", "250 ok")})
peer("ahead-dot-bye", replies={"RCPT": two, "DOT": in_turn("421 4.3.2 shutting down", "250 ok")})
peer("ahead-dot-never", replies={"RCPT": two, "DOT": in_turn("554 5.7.1 not for these", "250 ok")})
peer("wordy", replies={"RCPT": "\r\n".join(f"250-2.1.5 line {i} " + "x" * 70 for i in range(60)) + "\r\n250 2.1.5 ok"})
peer("endless", replies={"RCPT": "\r\n".join(f"250-2.1.5 line {i}" for i in range(3000)) + "\r\n250 2.1.5 ok"})
peer("echo", replies={"CONNECT": "220 mail.demo.example ESMTP Postbus"})
peer("empty", replies={"RCPT": "550 5.1.1 no", "DATA": "354 go on"}, forced=("DATA",))
peer("greeks", replies={"MAIL": first_time("this is no reply", "250 ok")})


def make():
    config = {"routes": routes, "retry_ladder": ["1s"], "connect_timeout": "5s"}
    s = Server(config={"plugins": {"conn_smtp": {"config": config}}})
    for name in ("seven", "small"):
        s.ctl("address-map", "create", f"full-{name}@demo.example", "--to", "conn_postoffice:mailbox/nosuchid")
    return s


def letter(to, text="Hello.\r\n", subject="hello"):
    return message(subject, text, sender=ME, to=to)


def send(s, to, text="Hello.\r\n"):
    to = [to] if isinstance(to, str) else to
    return s.submit(letter(to[0], text), to=to)


def taken(name, n=1):
    """The messages that a peer took, once there are n."""
    return wait(lambda: (lambda m: m if len(m) >= n else None)(peers[name].messages), f"{n} messages at {name}")


def taken_for(name, to):
    """The message that a peer took for a recipient; several come in any order."""
    return wait(lambda: next((m for m in peers[name].messages if m[1][0].startswith(f"RCPT TO:<{to}>")), None), f"the message for {to}")


def trace(s, id):
    return s.ctl("trace", id, json_out=False)


def ended(s, id, *patterns):
    """Waits until the timeline has all patterns; gives it."""
    return wait(lambda: (lambda t: t if all(re.search(p, t) for p in patterns) else None)(trace(s, id)), f"{patterns} of {id}: {trace(s, id)}")


def report(s, id):
    """The delivery report about a message, from the sender's mailbox."""
    return wait(lambda: next((m.decode() for m in s.messages(ME) if f"id {id}".encode() in m and b"delivery-status" in m), None), f"report about {id}")


# ---- what arrives ----

def test_a_message_arrives_as_it_was_accepted(s):
    text = "..two dots\r\n.\r\n\r\n. a dot and a blank\r\nlast\r\n"
    s.submit(letter("ok@ok.example", text), to=["ok@ok.example"])
    mail, rcpts, body = taken("ok")[0]
    assert mail.startswith(f"MAIL FROM:<{ME}> SIZE="), mail
    assert rcpts == ["RCPT TO:<ok@ok.example>"], rcpts
    lines = [l[1:] if l.startswith(b".") else l for l in body.split(b"\r\n")]
    plain_body = b"\r\n".join(lines)
    assert plain_body.startswith(b"Received: from client.example ([127.0.0.1])\r\n\tby mail.demo.example with ESMTPSA")
    # smtplib stuffed what it was given, the server unstuffed it, the client stuffed it again
    assert plain_body.endswith(b"\r\n\r\n" + text.encode()), plain_body


def test_several_messages_over_one_connection(s):
    for i in range(3):
        send(s, f"n{i}@reuse.example")
        taken("reuse", i + 1)
    assert len(peers["reuse"].sessions) == 1, len(peers["reuse"].sessions)
    assert len(peers["reuse"].lines("EHLO")) == 1


def test_without_any_extension(s):
    id = send(s, ["a@plain.example", "b@plain.example"])
    mail, rcpts, body = taken("plain")[0]
    assert mail == f"MAIL FROM:<{ME}>", mail
    assert len(rcpts) == 2
    ended(s, id, r"relayed +to=<a@plain.example>")


def test_a_server_that_knows_only_helo(s):
    send(s, "x@old.example")
    taken("old")
    assert peers["old"].lines("HELO") == ["HELO mail.demo.example"]


# ---- every recipient as the server said ----

def test_recipients_end_one_by_one(s):
    id = send(s, ["fine@mixed.example", "gone@mixed.example", "busy@mixed.example"])
    taken("mixed", 2)
    got = [r for m in peers["mixed"].messages for r in m[1]]
    assert got == ["RCPT TO:<fine@mixed.example>", "RCPT TO:<busy@mixed.example>"], got
    ended(s, id, r"retry +to=<busy@mixed.example> .*450 4.2.1 come again", r"failed +to=<gone@mixed.example> .*550 5.1.1 no such user",
          r"delivered +to=<busy@mixed.example>")
    r = report(s, id)
    assert "Final-Recipient: rfc822; gone@mixed.example" in r and "Status: 5.1.1" in r and "smtp; 550 5.1.1 no such user" in r, r
    assert "busy@mixed" not in r.split("message/rfc822")[0], r


def test_recipients_end_one_by_one_without_pipelining(s):
    id = send(s, ["fine@mixedslow.example", "gone@mixedslow.example"])
    taken("mixedslow")
    assert "550 5.0.0 no such user" in report(s, id)


def test_a_temporary_refusal_at_any_point_is_tried_again(s):
    for stage in ("mail", "rcpt", "data", "dot"):
        name = f"later-{stage}"
        id = send(s, f"x@{name}.example")
        taken(name)
        ended(s, id, r"retry +.*451 4.3.0 not now", r"delivered")
        assert len(peers[name].messages) == 1, (name, len(peers[name].messages))


def test_a_refusal_at_any_point_is_reported_in_its_words(s):
    for stage in ("mail", "rcpt", "data", "dot"):
        id = send(s, f"x@never-{stage}.example")
        r = report(s, id)
        assert "smtp; 554 5.7.1 we do not want this" in r, r
        assert not peers[f"never-{stage}"].messages


def test_a_connection_lost_at_any_point_is_tried_again(s):
    for stage in ("mail", "rcpt", "data"):
        id = send(s, f"x@drop-{stage}.example")
        taken(f"drop-{stage}")
        ended(s, id, r"retry +.*451 4.4.2", "delivered")


def test_a_connection_lost_behind_the_dot_is_not_hurried(s):
    id = send(s, "x@drop-dot.example")
    taken("drop-dot", 2)        # it may have been taken, so it is sent again, but by the ladder
    text = ended(s, id, r"retry +.*451 4.4.2 .*waiting for the answer to the message", "delivered")
    assert text.count("attempt ") == 2, text


def test_a_farewell_at_any_point_is_tried_again(s):
    for stage in ("mail", "rcpt", "data", "dot"):
        id = send(s, f"x@bye-{stage}.example")
        taken(f"bye-{stage}")
        ended(s, id, r"retry +.*421 4.3.2 shutting down", "delivered")


def test_an_answer_that_does_not_ask_for_the_message_gets_none(s):
    id = send(s, "x@liar.example")
    taken("liar")
    ended(s, id, r"retry +.*451 4.5.0 unexpected answer: 250 2.0.0 done", "delivered")
    assert len(peers["liar"].messages) == 1


def test_nonsense_instead_of_a_reply_is_tried_again(s):
    id = send(s, "x@greeks.example")
    taken("greeks")
    ended(s, id, r"retry +.*451 4.5.0 .*broke the protocol", "delivered")


def test_greetings_that_refuse(s):
    assert "smtp; 554 5.3.2 no service" in report(s, send(s, "x@nobody.example"))
    id = send(s, "x@starts.example")
    taken("starts")
    ended(s, id, r"retry +.*421 4.3.2 try later")


def test_nobody_accepted_and_yet_354(s):
    id = send(s, "x@empty.example")
    ended(s, id, r"failed +to=<x@empty.example> .*550 5.1.1 no")
    wait(lambda: peers["empty"].messages, "the empty message")
    assert all(body == b"" for _, _, body in peers["empty"].messages)


def test_too_many_recipients_go_in_several_transactions(s):
    to = [f"r{i}@many.example" for i in range(70)]
    send(s, to)
    wait(lambda: sum(len(m[1]) for m in peers["many"].messages) >= 70, "70 recipients")
    assert sorted(len(m[1]) for m in peers["many"].messages) == [10, 30, 30]
    assert collections.Counter(r for m in peers["many"].messages for r in m[1]).most_common(1)[0][1] == 1


def test_the_next_envelope_follows_the_final_dot(s):
    send(s, [f"r{i}@ahead.example" for i in range(6)])
    assert [len(m[1]) for m in taken("ahead", 3)] == [2, 2, 2]
    assert len(peers["ahead"].sessions) == 1


def test_whatever_ends_a_transaction_each_recipient_gets_the_message_once(s):
    names = [name for name in peers if name.startswith("ahead-")]
    ids = {name: send(s, [f"r{i}@{name}.example" for i in range(6)]) for name in names}
    for name in names:
        n = 4 if name == "ahead-dot-never" else 6
        wait(lambda: sum(len(m[1]) for m in peers[name].messages) >= n, f"{n} recipients at {name}")
    assert "not for these" in report(s, ids["ahead-dot-never"])
    wait(lambda: not any(v for lane in s.call("queue.counts")["lanes"] if lane["lane"] == "conn_smtp.outgoing" for k, v in lane.items() if k != "lane"), "an empty lane")
    for name in names:
        got = collections.Counter(r for m in peers[name].messages for r in m[1])
        assert len(got) == (4 if name == "ahead-dot-never" else 6) and set(got.values()) == {1}, (name, got)


def test_long_replies(s):
    send(s, "x@wordy.example")
    taken("wordy")


def test_endless_replies_are_not_read_to_their_end(s):
    id = send(s, "x@endless.example")
    ended(s, id, r"retry +.*451 4.5.0 .*broke the protocol")
    assert not peers["endless"].messages


# ---- TLS ----

def test_tls_that_cannot_be_had_is_done_without(s):
    send(s, "x@clear.example")
    taken("clear")
    assert len(peers["clear"].sessions) == 1
    send(s, "x@garbage.example")
    taken("garbage")
    assert len(peers["garbage"].sessions) == 2


def test_tls_is_used_where_it_is_offered(s):
    cert = (os.path.join(s.home, "tls", "cert.pem"), os.path.join(s.home, "tls", "key.pem"))
    p = Peer(cert=cert, port=0)
    with Server(config={"plugins": {"conn_smtp": {"config": {"routes": {"tls.example": f"127.0.0.1:{p.port}"}}}}}) as other:
        other.submit(letter("x@tls.example"), to=["x@tls.example"])
        wait(lambda: p.messages, "the message")
        assert p.sessions[0].tls
        assert len(p.lines("EHLO")) == 2


def test_tls_that_is_required_is_not_done_without(s):
    p = Peer()
    config = {"routes": {"tls.example": f"127.0.0.1:{p.port}"}, "tls": "encrypt"}
    with Server(config={"plugins": {"conn_smtp": {"config": config}}}) as other:
        id = other.submit(letter("x@tls.example"), to=["x@tls.example"])
        ended(other, id, r"retry +.*451 4.7.4 .*offers no TLS")
        assert not p.lines("MAIL")


# ---- what a peer cannot take ----

def test_a_message_over_the_peers_size_is_not_sent(s):
    id = send(s, "x@small.example", "x" * 70 + "\r\n" * 3000)
    r = report(s, id)
    assert "552 5.3.4" in r, r
    assert not peers["small"].lines("MAIL")
    send(s, "y@small.example")
    taken("small")


def test_eight_bit_text_is_converted_for_a_host_of_seven_bits(s):
    text = "Gr\u00fc\u00dfe\r\n.\r\n".encode()
    with s.smtp("submission") as c:
        c.starttls(context=postbus.no_check())
        c.login(ME, PASSWORD)
        for to in ("x@ascii.example", "x@seven.example"):
            c.sendmail(ME, [to], letter(to, "") + text, ["BODY=8BITMIME"])
        c.sendmail(ME, ["long@ascii.example"], letter("long@ascii.example", "y" * 2000 + "\r\n"))
        c.sendmail(ME, ["odd@seven.example"], letter("odd@seven.example", "").replace(b"To:", b"Content-Disposition: inline; filename=\xfc\r\nTo:") + text, ["BODY=8BITMIME"])
    mail, _, body = taken_for("ascii", "x@ascii.example")
    assert " BODY=8BITMIME" in mail and text[:7] in body, (mail, body)
    mail, _, body = taken_for("seven", "x@seven.example")
    assert "BODY=" not in mail and body.isascii() and b"quoted-printable" in body, (mail, body)
    assert int(re.search(r" SIZE=(\d+)", mail).group(1)) == len(body.replace(b"\r\n..", b"\r\n.")), (mail, len(body))
    got = email.message_from_bytes(body.replace(b"\r\n..", b"\r\n."))
    assert got.get_payload(decode=True) == text, got.get_payload(decode=True)
    body = taken_for("ascii", "long@ascii.example")[2]
    assert max(len(l) for l in body.split(b"\r\n")) <= 998
    assert email.message_from_bytes(body).get_payload(decode=True) == b"y" * 2000 + b"\r\n"
    wait(lambda: any(b"553 5.6.7" in m and b"odd@seven.example" in m for m in s.messages(ME)), "the report about a header that cannot be converted")


def test_a_report_always_arrives(s):
    for name in ("seven", "small"):
        body = ("Gr\u00fc\u00dfe\r\n".encode() if name == "seven" else b"x" * 70 + b"\r\n") * 80
        with s.smtp() as c:
            c.ehlo()
            assert c.docmd(f"MAIL FROM:<sender@{name}.example>" + (" BODY=8BITMIME" if name == "seven" else ""))[0] == 250
            assert c.rcpt(f"full-{name}@demo.example")[0] == 250
            assert c.data(message(f"about {name}", "", sender=f"sender@{name}.example") + body)[0] == 250
        report = wait(lambda: next((b for m, r, b in peers[name].messages if r[0].startswith(f"RCPT TO:<sender@{name}.")), None), f"the report at {name}")
        got = email.message_from_bytes(report.replace(b"\r\n..", b"\r\n."))
        assert report.isascii() and got.get_content_type() == "multipart/report", report
        kinds = [p.get_content_type() for p in got.get_payload()]
        assert kinds[:2] == ["text/plain", "message/delivery-status"] and kinds[2:] == (["text/rfc822-headers"] if name == "seven" else []), kinds


def test_internationalised_addresses(s):
    with s.smtp("submission") as c:
        c.starttls(context=postbus.no_check())
        c.login(ME, PASSWORD)
        c.ehlo()
        for to in ("j\u00fcrgen@ok.example", "j\u00fcrgen@ascii.example"):
            assert c.docmd(f"MAIL FROM:<{ME}> SMTPUTF8")[0] == 250
            c.send(f"RCPT TO:<{to}>\r\n".encode())
            assert c.getreply()[0] == 250
            assert c.data(letter("x@x.example"))[0] == 250
    wait(lambda: any("j\u00fcrgen@ok.example" in m[1][0] for m in peers["ok"].messages), "the internationalised recipient")
    mail = next(m[0] for m in peers["ok"].messages if "j\u00fcrgen" in m[1][0])
    assert mail.endswith(" SMTPUTF8"), mail
    wait(lambda: any(b"553 5.6.7" in m for m in s.messages(ME)), "the report about the address")


# ---- DSN ----

def test_dsn_parameters_go_on(s):
    with s.smtp("submission") as c:
        c.starttls(context=postbus.no_check())
        c.login(ME, PASSWORD)
        for to in ("dsn@ok.example", "dsn@nodsn.example"):
            c.sendmail(ME, [to], letter(to), ["RET=HDRS", "ENVID=my+2Bid"], ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;first+2B@demo.example"])
    found = wait(lambda: next((m for m in peers["ok"].messages if "dsn@" in m[1][0]), None), "the message")
    assert " RET=HDRS" in found[0] and " ENVID=my+2Bid" in found[0], found
    assert found[1] == ["RCPT TO:<dsn@ok.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first+2B@demo.example"], found
    r = wait(lambda: next((m.decode() for m in s.messages(ME) if b"dsn@nodsn.example" in m), None), "a report of success")
    assert "Action: relayed" in r, r
    assert not any(b"dsn@ok.example" in m for m in s.messages(ME)), "the next server reports it"


# ---- routes, exchangers ----

def test_a_host_that_is_this_one_is_a_loop(s):
    assert "554 5.4.6" in report(s, send(s, "x@echo.example"))


def local_dns(*records):
    return {"config": {"local": list(records), "zones": ["example.net static", "demo.example static"]}}


def test_mail_exchangers(s):
    first = Peer(address="127.0.0.2", replies={"CONNECT": "421 4.3.2 too busy"})
    second = Peer(address="127.0.0.3", port=first.port)
    dns = local_dns("two.example.net. MX 20 b.example.net.", "two.example.net. MX 10 a.example.net.", "a.example.net. A 127.0.0.2", "b.example.net. A 127.0.0.3",
                    "bare.example.net. A 127.0.0.3", "null.example.net. MX 0 .", "self.example.net. MX 10 mail.demo.example.", "self.example.net. MX 20 b.example.net.",
                    "mixed.example.net. MX 10 b.example.net.", "mixed.example.net. MX 20 mail.demo.example.", "lost.example.net. MX 10 gone.example.net.")
    with Server(config={"plugins": {"conn_smtp": {"config": {"port": first.port, "retry_ladder": ["1s"]}}, "agent_dns": dns}}) as other:
        def through(to):
            return other.submit(letter(to), to=[to])
        id = through("x@two.example.net")
        wait(lambda: len(second.messages) == 1, "the message at the second exchanger")
        assert len(first.sessions) == 1
        ended(other, id, r"421 4.3.2 too busy", r"delivered +.*remote=b.example.net")
        through("x@bare.example.net")
        wait(lambda: len(second.messages) == 2, "the message at the domain's own address")
        through("x@mixed.example.net")
        wait(lambda: len(second.messages) == 3, "the message at the better exchanger")
        assert "556 5.1.10" in report(other, through("x@null.example.net"))
        assert "554 5.4.6" in report(other, through("x@self.example.net"))
        assert "550 5.4.4" in report(other, through("x@lost.example.net"))
        assert "550 5.1.2" in report(other, through("x@nowhere.example.net"))
        assert other.stop() == 0


def peer_whose_port_we_may_have(address):
    """At that address, with a port that nobody has at ours."""
    while True:
        peer = Peer(address=address)
        with socket.socket() as ours:
            try:
                ours.bind(("127.0.0.1", peer.port))
                return peer
            except OSError:
                continue


def test_an_exchanger_with_our_address_is_this_host(s):
    better = peer_whose_port_we_may_have("127.0.0.3")
    dns = local_dns("alias.example.net. MX 10 other-name.example.net.", "alias.example.net. MX 20 b.example.net.", "other-name.example.net. A 127.0.0.1", "b.example.net. A 127.0.0.3",
                    "bare.example.net. A 127.0.0.1", "second.example.net. MX 10 b.example.net.", "second.example.net. MX 20 other-name.example.net.")
    config = {"port": better.port, "retry_ladder": ["1s"], "routes": {"routed.example.net": f"[127.0.0.1]:{better.port}"}}
    with Server(config={"plugins": {"conn_smtp": {"config": config, "listen": {"smtp": {"port": better.port, "address": ["127.0.0.1"]}}}, "agent_dns": dns}}) as other:
        for domain in ("alias.example.net", "bare.example.net", "[127.0.0.1]"):
            r = report(other, other.submit(letter(f"x@{domain}"), to=[f"x@{domain}"]))
            assert "554 5.4.6" in r and r.count("Received: ") == 1, r
        ended(other, other.submit(letter("x@routed.example.net"), to=["x@routed.example.net"]), "451 4.4.6")
        before = len(better.messages)
        other.submit(letter("x@second.example.net"), to=["x@second.example.net"])
        wait(lambda: len(better.messages) == before + 1, "the message at the better exchanger")


def test_address_literals(s):
    p = Peer(address="127.0.0.4")
    with Server(config={"plugins": {"conn_smtp": {"config": {"port": p.port}}}}) as other:
        other.submit(letter("x@ok.example"), to=["x@[127.0.0.4]"])
        wait(lambda: p.messages, "the message")
        assert p.messages[0][1] == ["RCPT TO:<x@[127.0.0.4]>"]


def test_a_smart_host_with_a_login(s):
    cert = (os.path.join(s.home, "tls", "cert.pem"), os.path.join(s.home, "tls", "key.pem"))
    relay, direct = Peer(cert=cert), Peer()
    config = {"smart_host": f"[127.0.0.1]:{relay.port}", "smart_host_user": "us", "smart_host_password": "secret", "smart_host_tls": "encrypt",
              "routes": {"direct.example": f"127.0.0.1:{direct.port}"}}
    with Server(config={"plugins": {"conn_smtp": {"config": config}}}) as other:
        other.submit(letter("x@anywhere.example"), to=["x@anywhere.example", "x@direct.example"])
        wait(lambda: relay.messages and direct.messages, "both messages")
        assert plain(relay.lines("AUTH")[0]) == ["us", "secret"]
        assert relay.sessions[0].tls
        assert not direct.lines("AUTH")
        code, shown = other.ctl("config", "show", "conn_smtp", check=False, json_out=False)
        assert "secret" not in str(shown) and "(set)" in str(shown), shown


def test_a_smart_host_that_refuses_the_login_makes_mail_wait(s):
    cert = (os.path.join(s.home, "tls", "cert.pem"), os.path.join(s.home, "tls", "key.pem"))
    relay = Peer(cert=cert, replies={"AUTH": "535 5.7.8 no"})
    config = {"smart_host": f"[127.0.0.1]:{relay.port}", "smart_host_user": "us", "smart_host_password": "secret"}
    with Server(config={"plugins": {"conn_smtp": {"config": config}}}) as other:
        id = other.submit(letter("x@anywhere.example"), to=["x@anywhere.example"])
        ended(other, id, r"retry +.*451 4.7.8 .*535 5.7.8 no")


def test_a_login_is_never_sent_in_the_clear(s):
    relay = Peer()
    config = {"smart_host": f"[127.0.0.1]:{relay.port}", "smart_host_user": "us", "smart_host_password": "secret"}
    with Server(config={"plugins": {"conn_smtp": {"config": config}}}) as other:
        id = other.submit(letter("x@anywhere.example"), to=["x@anywhere.example"])
        ended(other, id, r"retry +.*451 4.7.11")
        assert not relay.lines("AUTH")


# ---- time ----

def test_what_stays_late_fails_in_the_end(s):
    p = Peer(replies={"RCPT": "450 4.2.1 never ready"})
    config = {"routes": {"late.example": f"127.0.0.1:{p.port}"}, "retry_ladder": ["1s"]}
    with Server(config={"plugins": {"conn_smtp": {"config": config}}}) as other:
        id = other.submit(letter("x@late.example"), to=["x@late.example"])
        wait(lambda: len(p.lines("RCPT")) >= 2, "another attempt")
        other.ctl("config", "set", "conn_smtp", "retry_expire", "1s")
        r = report(other, id)
        said = " ".join(r.split())
        assert "127.0.0.1 said last: 450 4.2.1 never ready" in said and "said: 554" not in said and "Action: failed" in r, r


def test_what_nobody_else_said_is_nobody_elses(s):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))		# and nobody listens
        config = {"routes": {"shut.example": f"127.0.0.1:{taken.getsockname()[1]}"}, "retry_ladder": ["1s"], "retry_expire": "2s"}
        with Server(config={"plugins": {"conn_smtp": {"config": config}}}) as other:
            r = report(other, other.submit(letter("x@shut.example"), to=["x@shut.example"]))
            said = " ".join(r.split())
            assert "last: 451 4.4.1 connection to 127.0.0.1" in said, r
            assert " said" not in said and "Remote-MTA" not in said, r


def test_a_restart_loses_nothing(s):
    p = Peer(replies={"MAIL": "451 4.3.0 not now"})
    config = {"routes": {"later.example": f"127.0.0.1:{p.port}"}, "retry_ladder": ["1s"]}
    with Server(config={"plugins": {"conn_smtp": {"config": config}}}) as other:
        id = other.submit(letter("x@later.example"), to=["x@later.example"])
        ended(other, id, r"retry ")
        assert other.stop() == 0
        p.replies.clear()
        other.start()
        wait(lambda: p.messages, "the message")
        ended(other, id, "delivered")
        assert len(p.messages) == 1


def test_a_silent_server_does_not_hold_up_the_end(s):
    asked = threading.Event()

    def silence(session, line):
        asked.set()
        threading.Event().wait(100)
        return DROP
    p = Peer(replies={"MAIL": silence})
    with Server(config={"plugins": {"conn_smtp": {"config": {"routes": {"silent.example": f"127.0.0.1:{p.port}"}}}}}) as other:
        id = other.submit(letter("x@silent.example"), to=["x@silent.example"])
        assert asked.wait(120)
        assert other.stop() == 0
        p.replies.clear()
        other.start()
        other.ctl("queue", "retry", id)
        wait(lambda: p.messages, "the message")


postbus.run(sys.modules[__name__], make)
