# SPDX-License-Identifier: GPL-3.0-or-later
"""What we sign, others verify, and the reverse: dkimpy, Mail::DKIM and OpenDKIM, DKIM and ARC alike. And SPF records with the verdicts of pyspf beside ours.
Whoever is not installed counts as skipped."""
import json, os, random, re, shutil, subprocess, sys, tempfile

TOP = os.environ.get("srcdir") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRY = os.path.join(os.environ.get("builddir") or ".", "mailauth", "tests", "try_mailauth")
DEBIAN = "/usr/bin/python3"


def module(name):
    """Debian's modules are Debian's Python's: where another one runs this, that one takes over."""
    try:
        return __import__(name)
    except ImportError:
        if os.path.exists(DEBIAN) and not os.environ.get("POSTBUS_AGAIN") and os.path.realpath(sys.executable) != os.path.realpath(DEBIAN):
            os.environ["POSTBUS_AGAIN"] = "1"
            os.execv(DEBIAN, [DEBIAN, os.path.abspath(__file__)])
        return None


dkim, spf, nacl = module("dkim"), module("spf"), module("nacl")


class Skip(Exception):
    pass


class Ours:
    def __init__(self):
        self.process = subprocess.Popen([TRY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def __call__(self, what, **words):
        self.process.stdin.write(json.dumps(dict(words, do=what)) + "\n")
        self.process.stdin.flush()
        said = json.loads(self.process.stdout.readline())
        return said


ours = Ours()
MESSAGES = {
    "plain": "From: Ann <ann@b.example>\r\nTo: bob@c.example\r\nSubject: Hello\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@b.example>\r\n\r\nHi.\r\n",
    "blanks": "From:  Ann\t <ann@b.example> \r\nTo: bob@c.example,\r\n  carol@c.example\r\nSubject: a \t b\r\n\tc \r\n\r\na  b\t \r\n\r\n\r\n c\r\n\r\n\r\n",
    "no body": "From: ann@b.example\r\nSubject: nothing\r\n\r\n",
    "empty lines": "From: ann@b.example\r\nSubject: lines\r\n\r\n\r\n\r\n",
    "no end": "From: ann@b.example\r\nSubject: end\r\n\r\nwithout a line end",
    "twice": "From: ann@b.example\r\nReceived: by b\r\nReceived: by a\r\nList-Id: <l.b.example>\r\nSubject: twice\r\nX-Y: z\r\n\r\nbody\r\n",
    "long": "From: ann@b.example\r\nSubject: long\r\n\r\n" + "".join(f"{'x' * (i % 90)} {' ' * (i % 3)}{i}\r\n" for i in range(800)),
}
CANONS = ("relaxed/relaxed", "simple/simple", "relaxed/simple", "simple/relaxed")
KEYS = {kind: ours("key", kind=kind, bits=1024) for kind in ("rsa", "ed25519")}
WORLD = {f"{kind}._domainkey.b.example TXT": [f"v=DKIM1; k={kind}; p={key['public']}"] for kind, key in KEYS.items()}


def txt(name, timeout=5):
    return (WORLD.get(name.decode().rstrip(".").lower() + " TXT") or [""])[0].encode()


def sign(kind, canon, message, **more):
    said = ours("sign", message=message, key=KEYS[kind]["key"], domain="b.example", selector=kind, canon=canon, now=1700000000, **more)
    return said["headers"] + message


def bare_key():
    """Mail::DKIM wants the lines of an RSAPrivateKey."""
    if not shutil.which("openssl"):
        raise Skip("openssl is not installed")
    pem = subprocess.run(["openssl", "pkey", "-traditional"], input=KEYS["rsa"]["key"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return "".join(line for line in pem.splitlines() if not line.startswith("-"))


def kinds():
    return [k for k in KEYS if k == "rsa" or nacl]


def need(thing, name):
    if not thing:
        raise Skip(f"{name} is not installed")


# ---- dkimpy ----

def test_dkimpy_verifies_ours():
    need(dkim, "dkimpy")
    for kind in kinds():
        for canon in CANONS:
            for name, message in MESSAGES.items():
                signed = sign(kind, canon, message)
                assert dkim.verify(signed.encode(), dnsfunc=txt), (kind, canon, name, signed)
                assert not dkim.verify(signed.replace("Subject: ", "Subject: x").encode(), dnsfunc=txt), (kind, canon, name)
                added = signed.replace("\r\nFrom:", "\r\nFrom: <eve@b.example>\r\nFrom:", 1)
                assert ours("verify", message=added, dns=WORLD)["result"] == "fail", "a second From is sealed out"
    signed = sign("rsa", "relaxed/relaxed", MESSAGES["plain"], length=True, identity="@b.example", lifetime=10 ** 9)
    assert dkim.verify(signed.encode(), dnsfunc=txt), signed


def test_we_verify_dkimpy():
    need(dkim, "dkimpy")
    for canon in CANONS:
        for name, message in MESSAGES.items():
            for length in (False, True):
                forms = tuple(word.encode() for word in canon.split("/"))
                field = dkim.sign(message.encode(), b"rsa", b"b.example", KEYS["rsa"]["key"].encode(), canonicalize=forms, length=length).decode()
                said = ours("verify", message=field + message, dns=WORLD)
                assert said["result"] == "pass", (canon, name, said)
                assert ours("verify", message=field + message.replace("Subject: ", "Subject: x"), dns=WORLD)["result"] == "fail", (canon, name)


def test_arc_with_dkimpy():
    need(dkim, "dkimpy")
    dkim.get_txt = txt
    message, chain = MESSAGES["plain"], "none"
    for step in range(4):
        if step % 2:
            if "Authentication-Results: mx.example; arc=pass\r\n" not in message:
                message = "Authentication-Results: mx.example; arc=pass\r\n" + message
            fields = dkim.arc_sign(message.encode(), b"rsa", b"b.example", KEYS["rsa"]["key"].encode(), b"mx.example", linesep=b"\r\n")
            message = b"".join(fields).decode() + message
        else:
            said = ours("seal", message=message, key=KEYS["rsa"]["key"], domain="b.example", selector="rsa", host="mx.example", results="spf=pass; dkim=none", chain=chain)
            assert said["instance"] == step + 1, said
            message = said["headers"] + message
        chain = "pass"
        said = ours("arc", message=message, dns=WORLD)
        assert said["result"] == "pass" and said["instances"] == step + 1, (step, said, message)
        assert dkim.arc_verify(message.encode(), dnsfunc=txt)[0] == b"pass", (step, message)
    for what, changed in (("body", message.replace("Hi.", "Ho.")), ("subject", message.replace("Hello", "Hallo")), ("a set", message.replace("ARC-Seal: i=2", "X-Seal: i=2"))):
        assert ours("arc", message=changed, dns=WORLD)["result"] == "fail", what
        assert dkim.arc_verify(changed.encode(), dnsfunc=txt)[0] == b"fail", what


# ---- Mail::DKIM ----

PERL = r"""
use strict; use JSON::PP; use Mail::DKIM::Verifier; use Mail::DKIM::Signer; use Mail::DKIM::PrivateKey; use Mail::DKIM::ARC::Verifier; use Mail::DKIM::ARC::Signer; use Net::DNS::RR;
my $in = decode_json(do { local $/; <STDIN> });
my %world = %{$in->{dns}};
{ no warnings; *Mail::DKIM::DNS::query = sub { my ($n, $t) = @_; my $l = $world{lc("$n $t")} || $world{lc($n) . " $t"}; return () unless $l;
  return map { Net::DNS::RR->new(owner => $n, type => "TXT", txtdata => [$_ =~ /(.{1,200})/g]) } @$l; }; }
my @out;
for my $job (@{$in->{jobs}}) {
  my $o;
  if ($job->{do} eq "verify") { $o = Mail::DKIM::Verifier->new(); }
  elsif ($job->{do} eq "arc") { $o = Mail::DKIM::ARC::Verifier->new(); }
  elsif ($job->{do} eq "sign") { $o = Mail::DKIM::Signer->new(Algorithm => "rsa-sha256", Method => $job->{canon}, Domain => "b.example", Selector => "rsa",
    Key => Mail::DKIM::PrivateKey->load(Data => $job->{key})); }
  elsif ($job->{do} eq "seal") { $o = Mail::DKIM::ARC::Signer->new(Algorithm => "rsa-sha256", Domain => "b.example", Selector => "rsa", SrvId => "mx.example", Chain => $job->{chain},
    Key => Mail::DKIM::PrivateKey->load(Data => $job->{key})); }
  $o->PRINT($job->{message}); $o->CLOSE;
  push @out, $job->{do} eq "sign" ? $o->signature->as_string : $job->{do} eq "seal" ? join("\r\n", $o->as_strings) : $o->result_detail;
}
print encode_json(\@out);
"""


def perl(jobs):
    if not shutil.which("perl") or subprocess.run(["/usr/bin/perl", "-MMail::DKIM::ARC::Verifier", "-e1"], stderr=subprocess.DEVNULL).returncode:
        raise Skip("Mail::DKIM is not installed")
    done = subprocess.run(["/usr/bin/perl", "-e", PERL], input=json.dumps({"dns": WORLD, "jobs": jobs}), stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def test_mail_dkim_verifies_ours():
    cases = [(canon, name) for canon in CANONS for name in MESSAGES if name != "no end"]    # it does not add the line end to simple bodies
    said = perl([{"do": "verify", "message": sign("rsa", canon, MESSAGES[name])} for canon, name in cases])
    assert [s for s in said if s != "pass"] == [], [c for c, s in zip(cases, said) if s != "pass"]
    wrong = perl([{"do": "verify", "message": sign("rsa", "relaxed/relaxed", MESSAGES["plain"]).replace("Hi.", "Ho.")}])
    assert wrong[0].startswith("fail"), wrong


def test_we_verify_mail_dkim():
    cases = [(canon, name) for canon in CANONS for name in MESSAGES if name != "no end"]
    fields = perl([{"do": "sign", "canon": canon, "message": MESSAGES[name], "key": bare_key()} for canon, name in cases])
    for case, field in zip(cases, fields):
        said = ours("verify", message=field + "\r\n" + MESSAGES[case[1]], dns=WORLD)
        assert said["result"] == "pass", (case, said, field)


def test_arc_with_mail_dkim():
    message = MESSAGES["blanks"]
    said = ours("seal", message=message, key=KEYS["rsa"]["key"], domain="b.example", selector="rsa", host="mx.example", results="spf=pass; dkim=none", chain="none")
    message = said["headers"] + message
    theirs, fields = perl([{"do": "arc", "message": message}, {"do": "seal", "message": "Authentication-Results: mx.example; arc=pass\r\n" + message, "chain": "pass", "key": bare_key()}])
    assert theirs.startswith("pass"), (theirs, message)
    message = fields + "\r\nAuthentication-Results: mx.example; arc=pass\r\n" + message
    said = ours("arc", message=message, dns=WORLD)
    assert said["result"] == "pass" and said["instances"] == 2, (said, message)
    said = ours("seal", message=message, key=KEYS["rsa"]["key"], domain="b.example", selector="rsa", host="mx.example", results="arc=pass", chain="pass")
    theirs = perl([{"do": "arc", "message": said["headers"] + message}, {"do": "arc", "message": said["headers"] + message.replace(" c\r\n", " d\r\n")}])
    assert theirs[0].startswith("pass") and not theirs[1].startswith("pass"), theirs


# ---- OpenDKIM ----

def opendkim(where, mode, message, canon="relaxed/relaxed"):
    """What it says of this message."""
    program = shutil.which("opendkim", path=os.environ.get("PATH", "") + ":/usr/sbin")
    need(program, "OpenDKIM")
    files = {"key": KEYS["rsa"]["key"], "m": message, "keys": "".join(f"{name[:-4]} {records[0]}\n" for name, records in WORLD.items())}
    files["conf"] = f"Mode {mode}\nSyslog no\nRequireSafeKeys no\nTestPublicKeys {where}/keys\n"
    if mode == "s":
        files["conf"] += f"Domain b.example\nSelector rsa\nKeyFile {where}/key\nCanonicalization {canon}\nSignatureAlgorithm rsa-sha256\n"
    for name, text in files.items():
        with open(os.path.join(where, name), "w", newline="", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write(text)
    return subprocess.run([program, "-x", f"{where}/conf", "-t", f"{where}/m", "-v"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def test_opendkim_verifies_ours():
    with tempfile.TemporaryDirectory() as where:
        for canon in CANONS:
            for name in ("plain", "twice", "long"):
                signed = sign("rsa", canon, MESSAGES[name])
                said = opendkim(where, "v", signed)
                assert "succeeded" in said, (canon, name, said, signed)
        assert "failed" in opendkim(where, "v", signed.replace("Subject: ", "Subject: x"))


def test_we_verify_opendkim():
    with tempfile.TemporaryDirectory() as where:
        for canon in CANONS:
            for name in ("plain", "twice", "long"):
                field = re.search(r"^DKIM-Signature:.*?\n(?=\n|\S)", opendkim(where, "s", MESSAGES[name], canon) + "\n", re.M | re.S).group(0)
                signed = field.replace("\n", "\r\n") + MESSAGES[name]
                said = ours("verify", message=signed, dns=WORLD)
                assert said["result"] == "pass", (canon, name, said, signed)


# ---- SPF ----

ZONES = {
    "a.example A": ["192.0.2.1"], "a.example AAAA": ["2001:db8::1"], "a.example MX": ["10 m1.example", "20 m2.example"], "m1.example A": ["192.0.2.10"], "m2.example A": ["192.0.2.20"],
    "m2.example AAAA": ["2001:db8::20"], "1.2.0.192.in-addr.arpa PTR": ["a.example"], "9.2.0.192.in-addr.arpa PTR": ["liar.a.example"], "liar.a.example A": ["203.0.113.9"],
    "pass.example TXT": ["v=spf1 +all"], "fail.example TXT": ["v=spf1 -all"], "soft.example TXT": ["other", "v=spf1 ~all"], "neutral.example TXT": ["v=spf1"],
    "two.example TXT": ["v=spf1 -all", "v=spf1 +all"], "text.example TXT": ["v=spf10 -all"], "loop.example TXT": ["v=spf1 include:loop.example -all"], "gone.example TXT": None,
    "list.example A": ["127.0.0.2"], "1.2.0.192.bob.list.example A": ["127.0.0.2"], "bob._spf.list.example A": ["127.0.0.2"], "why.example TXT": ["%{i} is not one of %{d}'s"],
    "syntax.example TXT": ["v=spf1 a:"], "many.example MX": [f"10 m{i}.example" for i in range(11)], "redirect.example TXT": ["v=spf1 redirect=fail.example"],
}
WORDS = ["all", "a", "mx", "ptr", "a:a.example", "mx:a.example", "a:nobody.example", "mx:nobody.example", "a:gone.example", "ip4:192.0.2.0/24", "ip4:192.0.2.1", "ip4:203.0.113.0/0", "ip4:192.0.2.1/33",
         "ip6:2001:db8::/32", "ip6:2001:db8::1", "ip6:::/0", "include:pass.example", "include:fail.example", "include:soft.example", "include:neutral.example", "include:two.example",
         "include:text.example", "include:nobody.example", "include:loop.example", "include:gone.example", "include:syntax.example", "include:redirect.example", "exists:list.example",
         "exists:%{ir}.%{l}.list.example", "exists:%{l}._spf.list.example", "exists:%{i}.nobody.example", "a:a.example/24", "a:a.example/24//64", "a:a.example//32", "mx:a.example/28", "mx:many.example",
         "ptr:a.example", "ptr:example", "include:", "a:", "exists", "include", "ip4", "ip4:1.2.3", "ip6:192.0.2.1", "all:x.example", "nosuch", "a:museum", "a:foo.-bar", "a:%{z}.example", "a:%{d}", "a:%{d1}.example",
         "redirect=pass.example", "redirect=fail.example", "redirect=nobody.example", "exp=why.example", "redirect=", "exp=", "unknown=x", "a/24", "mx/24//64", "a/033", "A:A.EXAMPLE", "IP4:192.0.2.1"]
CLIENTS = ["192.0.2.1", "192.0.2.9", "192.0.2.20", "203.0.113.5", "2001:db8::1", "2001:db8::20", "2001:db9::1"]


def pyspf_lookup(name, qtype, tcpfallback=True, timeout=30):
    key = f"{name.rstrip('.').lower()} {qtype}"
    values = ZONES.get(key, [])
    if values is None:
        raise spf.TempError("DNS says nothing")
    if qtype == "TXT":
        return [((name, qtype), [v.encode()]) for v in values]
    if qtype == "MX":
        return [((name, qtype), (int(v.split()[0]), v.split()[1])) for v in values]
    return [((name, qtype), v) for v in values]


def theirs(client, sender, helo):
    query = spf.query(i=client, s=sender, h=helo, strict=True, timeout=20, querytime=0)
    return query.check()[0]


def spf_cases():
    dice = random.Random(7208)
    for word in WORDS:
        for tail in (" -all", " ?all", ""):
            for client in CLIENTS:
                yield client, f"v=spf1 {word}{tail}"
    for _ in range(300):
        terms = [dice.choice(("", "", "", "-", "~", "?", "+")) * (i >= 0) + dice.choice(WORDS[:40]) for i in range(dice.randint(1, 4))]
        yield dice.choice(CLIENTS), "v=spf1 " + " ".join(terms) + dice.choice((" -all", " ~all", "", " redirect=soft.example"))


def test_spf_beside_pyspf():
    need(spf, "pyspf")
    spf.DNSLookup = pyspf_lookup
    asked, differ = 0, []
    for client, record in spf_cases():
        ZONES["try.example TXT"] = [record]
        said, want = ours("spf", client=client, helo="a.example", sender="bob@try.example", dns=ZONES), theirs(client, "bob@try.example", "a.example")
        asked += 1
        if said["result"] != want:
            differ.append((record, client, said["result"], want, said["reason"]))
    assert asked > 1500 and not differ, (asked, len(differ), differ[:20])


def main():
    passed = failed = skipped = 0
    for name, test in sorted((n, t) for n, t in globals().items() if n.startswith("test_")):
        try:
            test()
            passed += 1
            print(f"ok {name}", flush=True)
        except Skip as why:
            skipped += 1
            print(f"skip {name}: {why}", flush=True)
        except Exception as e:
            failed += 1
            print(f"FAILED {name}: {type(e).__name__}: {str(e)[:3000]}", flush=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


main()
