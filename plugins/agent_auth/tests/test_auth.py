# SPDX-License-Identifier: GPL-3.0-or-later
"""Who sent a message: keys made and shown, what goes out is signed behind everything that changes it, what comes in is checked, noted for filters, and put aside or
refused as its author's domain asks; results that a stranger wrote in our name are gone."""
import email, json, os, re, shutil, stat, subprocess, sys, tempfile

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus, probe
from postbus import wait
from smtp_peer import Peer

ALICE = "alice@demo.example"
peer = Peer()
own = tempfile.mkdtemp(prefix="pb-own-")
DNS = ['good.example. TXT "v=spf1 ip4:127.0.0.1 -all"', '_dmarc.good.example. TXT "v=DMARC1; p=reject"', 'bad.example. TXT "v=spf1 -all"',
       '_dmarc.bad.example. TXT "v=DMARC1; p=quarantine; sp=reject"', '_dmarc.strict.example. TXT "v=DMARC1; p=reject"', 'helo.example. TXT "v=spf1 a -all"', 'helo.example. A 127.0.0.1']


# What a list does: a message of its own is signed, then sealed with what was found when the post came in.
LIST = r"""
#include <postbus/bus.h>
#include <postbus/queue.h>
static int load(struct pb_host *host, void **self, struct pb_error *err) { *self = host; return 0; }
static int call(void *self, const struct pb_caller *who, const json_t *params, json_t **ret, struct pb_error *err)
{
	struct pb_spool *spool = pb_spool_begin(self, 0, err);
	struct pb_envelope *env = pb_envelope_new();
	struct pb_subject about = { .envelope = env, .changed = spool };
	json_t *ask = json_pack("{s:O}", "domain", json_object_get(params, "domain")), *one = NULL, *two = NULL;
	int rc;

	pb_spool_write(spool, json_string_value(json_object_get(params, "message")), json_string_length(json_object_get(params, "message")));
	json_object_update(env->notes, json_object_get(params, "notes"));
	rc = pb_call_about(self, &about, "dkim.sign", ask, &one, err);
	json_object_set(ask, "front", json_object_get(one, "headers"));
	if (!rc)
		rc = pb_call_about(self, &about, "arc.seal", ask, &two, err);
	if (!rc)
		*ret = json_pack("{s:O, s:O, s:O, s:O}", "signature", json_object_get(one, "headers"), "seal", json_object_get(two, "headers"), "chain", json_object_get(two, "chain"), "instance",
				 json_object_get(two, "instance"));
	json_decref(ask), json_decref(one), json_decref(two);
	pb_envelope_free(env);
	pb_spool_discard(spool);
	return rc;
}
static const struct pb_method methods[] = { { "agent_sealer.call", call }, { 0 } };
PB_PLUGIN(agent_sealer) = { PB_PLUGIN_HEAD("agent_sealer"), .load = load, .methods = methods };
"""


def make_list(where):
    text = {"type": "string", "doc": "x"}
    manifest = {"name": "agent_sealer", "kind": "agent", "version": "1.0.0", "sdk": "1.0", "summary": "Seals", "requires": ["dkim.sign", "arc.seal", "queue.accept"],
                "provides": {"methods": {"agent_sealer.call": {"summary": "Call", "role": "system",
                    "params": {"message": dict(text, max_length=10000, file="text", position=1), "domain": dict(text, max_length=100), "notes": {"type": "object", "doc": "x"}},
                    "returns": {"signature": text, "seal": text, "chain": text, "instance": {"type": "integer", "doc": "x"}}}}}}
    with open(os.path.join(where, "agent_sealer.json"), "w") as f:
        json.dump(manifest, f)
    with open(os.path.join(where, "sealer.c"), "w") as f:
        f.write(LIST)
    root = os.environ.get("POSTBUS_BIN")
    include = os.path.join(os.path.dirname(root), "include") if root else os.path.join(postbus.TOP, "sdk", "include")
    lib = os.path.join(os.path.dirname(root), "lib") if root else os.path.join(postbus.BUILD, ".libs")
    subprocess.run(["cc", "-std=gnu11", "-w", "-fPIC", "-shared", "-I", include, "-o", os.path.join(where, "agent_sealer.so"), f.name, "-L", lib, "-lpostbus", "-ljansson"], check=True)


def make():
    config = {"plugins": {
        "agent_auth": {"enabled": True, "config": {"trusted": []}},
        "agent_dns": {"config": {"local": DNS, "zones": ["example static"], "trust_anchor": ""}},
        "agent_mta": {"config": {"quarantine_verdict": "quarantine"}},
        "conn_smtp": {"config": {"smart_host": f"127.0.0.1:{peer.port}"}},
    }}
    if shutil.which("cc"):
        make_list(own)
        config["plugin_path"] = [own, probe.others()]
    return postbus.Server(config)


def publish(server, *more):
    server.ctl("config", "set", "agent_dns", "local", json.dumps(DNS + list(more)))


def publish_keys(server, *selectors):
    keys = [server.ctl("dkim", "key", "show", "demo.example", "--selector", name) for name in selectors]
    publish(server, *[f'{k["name"]}. TXT "{k["record"][:200]}" "{k["record"][200:]}"' for k in keys])


def mail(subject, sender="bob@good.example", head=""):
    return f"{head}From: Bob <{sender}>\r\nTo: {ALICE}\r\nSubject: {subject}\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <{subject.replace(' ', '.')}@x>\r\n\r\nHello.\r\n"


def arrived(server, subject, user=ALICE, folder="INBOX"):
    def look():
        for m in server.messages(user, folder):
            if email.message_from_bytes(m)["Subject"] == subject:
                return m
    return wait(look, f"'{subject}' in {folder}")


def sent_out(subject):
    def look():
        for _, _, data in peer.messages:
            if f"Subject: {subject}\r\n".encode() in data:
                return data.replace(b"\r\n..", b"\r\n.")
    return wait(look, f"'{subject}' at the other server")


def check(server, message, *words):
    text = message if isinstance(message, str) else message.decode()
    return server.ctl("auth", "check", "-", *words, stdin=text)


def test_keys_live_in_files_and_their_records_in_the_dns(server):
    made = server.ctl("dkim", "key", "create", "demo.example", "--selector", "One", "--algorithm", "rsa", "--bits", "1024")
    assert made["name"] == "one._domainkey.demo.example" and made["record"].startswith("v=DKIM1; k=rsa; p=MIG"), made
    code, said = server.ctl("dkim", "key", "create", "demo.example", "--selector", "one", check=False)
    assert code and "already" in said["error"]["text"], said
    for words, want in ((("nobody.example",), "nobody.example"), (("demo.example", "--selector", "a/b"), "selector")):
        code, said = server.ctl("dkim", "key", "create", *words, check=False)
        assert code and want in said["error"]["text"], said
    files = [os.path.join(where, name) for where, _, names in os.walk(os.path.join(server.home, "state", "agent_auth")) for name in names]
    assert len(files) == 1 and stat.S_IMODE(os.stat(files[0]).st_mode) == 0o600 and "PRIVATE KEY" in open(files[0]).read(), files
    assert server.ctl("dkim", "key", "show", "demo.example")["published"] == "no"
    publish(server, f'{made["name"]}. TXT "{made["record"][:200]}" "{made["record"][200:]}"')
    shown = server.ctl("dkim", "key", "show", "demo.example", "--selector", "one")
    assert shown["published"] == "yes" and shown["record"] == made["record"] and shown["active"] and shown["bits"] == 1024, shown
    assert "".join(re.findall('"([^"]*)"', shown["zone"])) == made["record"], shown
    made = server.ctl("dkim", "key", "create", "demo.example", "--algorithm", "ed25519", "--inactive")
    assert re.fullmatch(r"pb\d{6}e", made["selector"]), made
    assert [(k["selector"], k["active"]) for k in server.ctl("dkim", "key", "list", "demo.example")["keys"]] == [(made["selector"], False), ("one", True)]
    server.stop()
    server.start()
    assert len(server.ctl("dkim", "key", "list")["keys"]) == 2, "they are there after a start"
    server.ctl("dkim", "key", "delete", "demo.example", made["selector"])
    assert len(server.ctl("dkim", "key", "list")["keys"]) == 1
    code, said = server.ctl("dkim", "key", "show", "demo.example", "--selector", made["selector"], check=False)
    assert code == 3, said


def test_keys_go_with_their_domain(server):
    def files():
        return sorted(n for where, _, names in os.walk(os.path.join(server.home, "state", "agent_auth")) for n in names if "gone.example" in n)

    for domain in ("gone.example", "gone.example.net"):
        server.ctl("domain", "create", domain, "--postoffice", "demo")
        for words in (("a",), ("b", "--inactive")):
            server.ctl("dkim", "key", "create", domain, "--algorithm", "ed25519", "--selector", *words)
    server.ctl("domain", "delete", "Gone.Example")
    assert server.ctl("dkim", "key", "list", "gone.example")["keys"] == []
    assert files() == ["a._domainkey.gone.example.net.pem", "b._domainkey.gone.example.net.pem"], files()
    server.ctl("domain", "create", "gone.example", "--postoffice", "demo")
    assert server.ctl("dkim", "key", "create", "gone.example", "--algorithm", "ed25519", "--selector", "a")["selector"] == "a"
    server.stop()
    server.start()
    for domain, want in (("gone.example", ["a"]), ("gone.example.net", ["a", "b"])):
        assert sorted(k["selector"] for k in server.ctl("dkim", "key", "list", domain)["keys"]) == want, domain
        server.ctl("domain", "delete", domain)
    assert files() == []


def test_what_logins_send_is_signed_behind_all_that_changes_it(server):
    server.ctl("dkim", "key", "create", "demo.example", "--selector", "two", "--algorithm", "ed25519")
    publish_keys(server, "one", "two")
    server.ctl("policy", "set", "footer_text", "sent from the demo")
    server.submit(mail("signed", ALICE), to=["someone@far.example"])
    server.ctl("policy", "unset", "footer_text")
    signed = sent_out("signed")
    assert signed.startswith(b"DKIM-Signature:") and signed.count(b"DKIM-Signature:") == 2 and b"sent from the demo" in signed, signed
    said = check(server, signed)
    assert [s["result"] for s in said["signatures"]] == ["pass", "pass"], said
    assert check(server, signed.replace(b"Hello", b"Hallo"))["dkim"] == "fail"
    try:
        import dkim
    except ImportError:
        postbus.leave_out("dkimpy is not there to verify it too")
    else:
        one = server.ctl("dkim", "key", "show", "demo.example", "--selector", "one")
        first = 0 if b"s=one" in signed.split(b"DKIM-Signature:")[1] else 1
        assert dkim.DKIM(signed).verify(idx=first, dnsfunc=lambda name, timeout=5: one["record"].encode()), signed
    server.ctl("dkim", "key", "activate", "demo.example", "two", "--off")
    server.submit(mail("signed once", ALICE), to=["someone@far.example"])
    assert sent_out("signed once").count(b"DKIM-Signature:") == 1


def test_what_is_not_ours_is_not_signed(server):
    server.ctl("mailbox", "set", "bob@demo.example", "--redirect", "bob@far.example")
    server.send(mail("sent on", "bob@good.example"), sender="bob@good.example", to=["bob@demo.example"])
    server.send(mail("pretends", ALICE), sender="bob@good.example", to=["bob@demo.example"])
    for subject in ("sent on", "pretends"):
        assert b"DKIM-Signature" not in sent_out(subject), subject
    server.ctl("mailbox", "set", "bob@demo.example", "--redirect", "")


def test_results_are_noted_for_filters_and_written_into_the_header(server):
    server.ctl("filter", "add", "proven", "--mailbox", ALICE, "--when", "spf is pass", "--when", "dmarc is pass", "--do", "move Proven")
    server.send(mail("proven"), sender="bob@good.example")
    m = email.message_from_bytes(arrived(server, "proven", folder="Proven"))
    assert m["Authentication-Results"] == "mail.demo.example; spf=pass smtp.mailfrom=good.example; dmarc=pass (p=reject) header.from=good.example; dkim=none", m["Authentication-Results"]
    server.ctl("filter", "delete", "proven", "--mailbox", ALICE)
    server.send(mail("not proven", "bob@bad.example"), sender="bob@good.example")
    m = email.message_from_bytes(arrived(server, "not proven"))
    assert "dmarc=fail (p=quarantine)" in m["Authentication-Results"] and "spf=pass" in m["Authentication-Results"], m["Authentication-Results"]


def test_results_in_our_name_are_ours_alone(server):
    theirs = "Authentication-Results: mail.demo.example;\r\n dkim=pass header.d=bank.example\r\n"
    other = "Authentication-Results: relay.example; dkim=pass header.d=x.example\r\n"
    server.send(mail("forged", head=other + theirs + theirs.replace("mail.", "MAIL.")), sender="bob@good.example")
    m = arrived(server, "forged")
    assert b"bank.example" not in m and b"relay.example; dkim=pass" in m and m.count(b"Authentication-Results:") == 2, m
    assert m.endswith(b"\r\n\r\nHello.\r\n"), m


def test_what_fails_is_treated_as_its_domain_asks_and_the_setting_lets(server):
    def items():
        return {i["subject"]: i["id"] for i in server.ctl("quarantine", "list")["messages"]}
    stops = server.log().count("event=plugin.stopped plugin=agent_auth")
    server.ctl("config", "set", "agent_auth", "dmarc_action", "quarantine")
    assert server.log().count("event=plugin.stopped plugin=agent_auth") == stops, "a change is taken over while mail is checked"
    server.send(mail("put aside", "bob@bad.example", "Authentication-Results: mail.demo.example; dkim=pass header.d=bank.example\r\n"), sender="bob@good.example")
    wait(lambda: "put aside" in items(), "the message in quarantine")
    server.ctl("quarantine", "release", items()["put aside"])
    assert b"bank.example" not in arrived(server, "put aside"), "forged results are gone from there, too"
    server.ctl("config", "set", "agent_auth", "dmarc_action", "reject")
    id = server.send(mail("refused", "bob@strict.example"), sender="bob@good.example")
    wait(lambda: "asks to refuse mail" in server.ctl("trace", id, json_out=False), "the refusal")
    wait(lambda: any("<bob@good.example>" in str(rcpts) and b"5.7.1" in data for _, rcpts, data in peer.messages), "the report to who sent it")
    server.send(mail("no report", "bob@strict.example"), sender="someone@bad.example")
    wait(lambda: "no report" in items(), "what nobody would be told of in quarantine")
    server.send(mail("sub", "bob@sub.bad.example"), sender="")
    wait(lambda: "sub" in items(), "the one without a sender in quarantine")
    server.ctl("config", "set", "agent_auth", "dmarc_action", "none")
    server.send(mail("let pass", "bob@strict.example"), sender="bob@good.example")
    arrived(server, "let pass")


def test_lists_sign_and_seal_what_they_made_of_a_post(server):
    if not shutil.which("cc"):
        raise postbus.Skip("no C compiler")

    def seal(message, domain="demo.example", **notes):
        return server.ctl("agent_sealer", "call", "-", "--domain", domain, "--notes", json.dumps(notes), stdin=message, check=False)
    publish_keys(server, "one")
    post = mail("post", "bob@good.example")
    code, said = seal(post, arc="none", auth_results="spf=pass smtp.mailfrom=good.example; dkim=none")
    assert code == 0 and said["instance"] == 1 and said["chain"] == "none", said
    sealed = said["seal"] + said["signature"] + post
    assert "ARC-Authentication-Results: i=1; mail.demo.example; spf=pass" in sealed, sealed
    found = check(server, sealed)
    assert found["arc"] == "pass" and found["dkim"] == "pass", found
    code, said = seal(sealed.replace("Hello", "[list] Hello"), arc="pass", auth_results="arc=pass")
    assert code == 0 and said["instance"] == 2, "changed since, but it was whole when it came in"
    assert check(server, said["seal"] + said["signature"] + sealed.replace("Hello", "[list] Hello"))["arc"] == "pass"
    code, said = seal(sealed.replace("Hello", "[list] Hello"))
    assert code == 0 and said["chain"] == "fail" and said["seal"] == "" and said["instance"] == 0, said
    code, said = seal(post, "other.example")
    assert code == 3 and "no key" in said["error"]["text"], said


def test_a_list_passes_on_what_its_readers_servers_take(server):
    """From outside through conn_list and out again: the notes of the check decide about the From, keys of the list's domain vouch for the copy."""
    publish_keys(server, "one")
    server.ctl("list", "create", "dev@demo.example", "--posting", "anyone")
    server.ctl("list", "set", "dev@demo.example", "prefix", "[dev]")
    server.ctl("list", "member", "add", "dev@demo.example", "reader@far.example")
    for domain, kept in (("good.example", False), ("helo.example", True)):
        sender = f"bob@{domain}"
        server.send(mail(f"to the list from {domain}", sender).replace(ALICE, "dev@demo.example"), sender=sender, to=["dev@demo.example"])
        copy = sent_out(f"[dev] to the list from {domain}")
        said = check(server, copy)
        assert (sender in email.message_from_bytes(copy)["From"]) == kept, (kept, copy)
        assert said["arc"] == "pass" and [(s["domain"], s["result"]) for s in said["signatures"]] == [("demo.example", "pass")], said
        results = email.message_from_bytes(copy)["ARC-Authentication-Results"]
        assert "spf=pass" in results and "dmarc=" + ("none" if kept else "pass") in results, results


def test_policies_and_checks_can_be_asked_for(server):
    said = server.ctl("dmarc", "policy", "mail.bad.example")
    assert said == {"domain": "mail.bad.example", "published": True, "policy": "reject", "found_at": "bad.example", "organizational": "bad.example", "subdomain_policy": "reject",
                    "percent": 100, "strict_dkim": False, "strict_spf": False}, said
    assert server.ctl("dmarc", "policy", "none.example")["published"] is False
    said = check(server, mail("x").replace("\r\n", "\n"), "--client", "127.0.0.1", "--helo", "helo.example")
    assert said["spf"] == "pass" and said["dmarc"] == "fail" and "smtp.helo=helo.example" in said["auth_results"], said
    said = check(server, mail("x"), "--client", "192.0.2.1", "--sender", "bob@good.example")
    assert said["spf"] == "fail" and said["arc"] == "none" and said["from_domain"] == "good.example" and said["dmarc_policy"] == "reject", said
    code, said = server.ctl("config", "set", "agent_auth", "trusted", '["nonsense"]', check=False)
    assert code and "trusted" in str(said), said


def test_logins_and_trusted_networks_are_not_checked(server):
    server.submit(mail("from a login", ALICE), to=[ALICE])
    assert b"Authentication-Results" not in arrived(server, "from a login")
    server.ctl("config", "set", "agent_auth", "trusted", '["127.0.0.0/8"]')
    server.send(mail("from a relay", head="Authentication-Results: mail.demo.example; spf=pass\r\n"), sender="bob@bad.example")
    assert arrived(server, "from a relay").count(b"Authentication-Results") == 1
    server.ctl("config", "unset", "agent_auth", "trusted")


try:
    postbus.run(sys.modules[__name__], make)
finally:
    shutil.rmtree(own)
