#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sieve scripts that others wrote, each of which must put its message into "PASS"; and the same, and scripts of our own, beside Pigeonhole's sieve-test where that is installed.
Without the cases, or without Pigeonhole, what needs them counts as skipped."""
import json, os, random, re, shutil, subprocess, sys, tempfile

TOP = os.environ.get("srcdir") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRY = os.path.join(os.environ.get("builddir") or ".", "sieve", "tests", "try_sieve")
CASES = os.path.join(os.environ.get("POSTBUS_SHARED") or os.path.join(os.path.dirname(TOP), "shared"), "data", "sieve", "cases-dev.json")

# What the cases' own test suite sets up around them.
WORLD = ["--list", "urn:ietf:params:sieve:addrbook:default", "user35@example.org", "--list", "urn:ietf:params:sieve:addrbook:company", "nobody@example.org",
         "--metadata", "INBOX", "/private/frop", "a", "--metadata", "INBOX", "/private/friep", "b", "--metadata", "INBOX", "/private/frml", "c",
         "--environment", "vnd.dovecot.username", "nico"]
# And what it configures for one of them: fields that an administrator protects.
SETTINGS = {"extensions/editheader/protected.svtest: Configured protected": ["--fixed", "delivery-date", "delete", "--fixed", "x-frop", "add"],
            "extensions/editheader/protected.svtest: Configured forbid_add/forbid_delete": ["--fixed", "x-frop", "add", "--fixed", "x-friep", "delete"]}
# Their text cannot lead to PASS: the one asks for the hour of a Date that its message lacks, the other for a variable that a script sets which it does not include.
IMPOSSIBLE = {"extensions/date/zones.svtest: Specified Zone", "extensions/include/variables.svtest: Basic"}

# Scripts for the comparison with Pigeonhole: the same actions must come of each.
SCRIPTS = {
    "rules": 'require ["fileinto", "copy"]; if header :contains "subject" "prutser" { fileinto :copy "A"; } if address :domain "to" "example.com" { fileinto "B"; }',
    "flags": 'require ["imap4flags", "fileinto"]; addflag "\\\\Seen"; addflag ["one two", "one"]; removeflag "two"; fileinto "F";',
    "wildcards": 'require ["variables", "fileinto"]; if header :matches "subject" "*i* een *" { fileinto "${1}|${2}|${3}"; }',
    "loops": 'require ["foreverypart", "mime", "variables", "fileinto"]; set "n" ""; foreverypart { set "n" "${n}x"; } fileinto "P${n}";',
    "regex": 'require ["regex", "variables", "fileinto"]; if header :regex "subject" "^([A-Z][a-z]+) is (.*)$" { fileinto "${1}-${2}"; }',
    "numbers": 'require ["relational", "comparator-i;ascii-numeric", "fileinto"]; if header :count "ge" :comparator "i;ascii-numeric" ["to", "cc", "from"] "2" { fileinto "many"; }',
    "sizes": 'require "fileinto"; if size :over 100 { fileinto "large"; } if not size :over 1M { fileinto "small"; }',
    "dates": 'require ["date", "fileinto", "variables"]; if date :originalzone :matches "date" "iso8601" "*" { fileinto "${1}"; }',
    "sent on": 'redirect "other@example.org"; if false { discard; } else { keep; }',
    "refused": 'require "reject"; if header :contains "from" "hendrik" { reject "no"; }',
    "modifiers": 'require ["variables", "fileinto"]; set :lower :upperfirst "a" "hELLO wORLD"; set :length "b" "${a}"; fileinto "${a}${b}";',
}
# What is stored where is compared too (RFC 5293 6): each action has the message as it was then.
EDITS = {
    "in between": 'fileinto :copy "A"; addheader "X-One" "1"; fileinto :copy "B"; keep; addheader :last "X-Two" "2"; fileinto "C"; deleteheader "X-One"; fileinto "D";',
    "implicit keep": 'addheader "X-One" "1"; fileinto :copy "A"; deleteheader "subject"; addheader "Subject" "made";',
    "taken back": 'addheader "X-One" "1"; addheader "X-One" "2"; deleteheader :index 1 "X-One"; fileinto :copy "A"; deleteheader "X-One"; fileinto "B";',
    "chosen": 'deleteheader :contains "to" "harrie"; fileinto :copy "A"; deleteheader :index 1 :last "from"; fileinto "B";',
    "twice": 'fileinto :copy "A"; addheader "X-One" "1"; fileinto :copy "A"; keep; addheader "X-Two" "2"; keep;',
    "tests see it": 'addheader "X-One" "1"; if header "x-one" "1" { fileinto :copy "A"; deleteheader "x-one"; } if exists "x-one" { fileinto "B"; }',
}
MESSAGE = ("From: Hendrik <hendrik@example.com>\r\nTo: Harrie <harrie@example.com>\r\nDate: Mon, 11 Oct 2010 00:31:44 +0200\r\nSubject: Harrie is een prutser\r\n"
           "Content-Type: multipart/mixed; boundary=AA\r\n\r\n--AA\r\n\r\nfirst\r\n--AA\r\nContent-Type: text/html\r\n\r\n<p>second</p>\r\n--AA--\r\n")


def message_of(case):
    """Where the suite takes the message from a variable, it is what the script sets that to, if it does so once and for all at its head."""
    name = re.fullmatch(r"\$\{(\w+)\}\s*", case["message"])
    text = name and re.search(rf'^set "{name.group(1)}" text:\r?\n(.*?)^\.\r?\n', case["script"], re.M | re.S)
    return text.group(1) if text else case["message"]


def ours(where, script, message, sender, *more):
    for name, text in (("s", script), ("m", message)):
        with open(os.path.join(where, name), "w", newline="") as f:
            f.write(text)
    done = subprocess.run([TRY, os.path.join(where, "s"), os.path.join(where, "m"), sender, "recipient@example.org", *WORLD, *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode >= 0, f"try_sieve ended by signal {-done.returncode}"
    return done.stdout.decode(errors="replace")


def filed(text):
    """What happens to the message, as sets that both programs can be brought to say."""
    return {"fileinto": sorted(re.findall(r'^fileinto "(.*?)"', text, re.M)), "redirect": sorted(re.findall(r'^redirect "(.*?)"', text, re.M)),
            "keep": bool(re.search(r"^keep", text, re.M)), "reject": bool(re.search(r"^e?reject", text, re.M)), "failed": bool(re.search(r"^(problem|error)", text, re.M))}


def stored_by_us(where, script, message):
    kept = os.path.join(where, "kept")
    shutil.rmtree(kept, ignore_errors=True)
    os.makedirs(kept)
    for name, text in (("s", script), ("m", message)):
        with open(os.path.join(where, name), "w", newline="") as f:
            f.write(text)
    subprocess.run([TRY, os.path.join(where, "s"), os.path.join(where, "m"), "sender@example.org", "recipient@example.org", "--store", kept], check=True, stdout=subprocess.DEVNULL)
    return {name: open(os.path.join(kept, name), newline="").read().replace("\r\n", "\n") for name in os.listdir(kept)}


def stored_by_them(where, script, message):
    shutil.rmtree(os.path.join(where, "home"), ignore_errors=True)
    _, text = theirs(where, script, message, "sender@example.org", "-e", "-l", f"maildir:{where}/home/mail:LAYOUT=fs")
    found = {}
    for folder, _, files in os.walk(os.path.join(where, "home", "mail")):
        if os.path.basename(folder) == "new":
            name = os.path.relpath(os.path.dirname(folder), os.path.join(where, "home", "mail"))
            for one in files:
                found["INBOX" if name == "." else name] = open(os.path.join(folder, one), newline="").read().replace("\r\n", "\n")
    return found, text


def theirs(where, script, message, sender, *more):
    home = os.path.join(where, "home")
    os.makedirs(home, exist_ok=True)
    for name, text in (("s", script), ("m", message)):
        with open(os.path.join(where, name), "w", newline="") as f:
            f.write(text)
    with open(os.path.join(where, "dovecot.conf"), "w") as f:
        f.write(f"mail_location = maildir:{home}/mail\nmail_home = {home}\nmail_uid = nobody\nmail_gid = nogroup\nfirst_valid_uid = 1\nlog_path = /dev/stderr\nssl = no\n")
    for folder, _, files in os.walk(where):
        os.chmod(folder, 0o777)
    for name in ("s", "m", "dovecot.conf"):
        os.chmod(os.path.join(where, name), 0o644)
    command = ["env", "USER=nobody", f"HOME={home}", "sieve-test", "-c", os.path.join(where, "dovecot.conf"), "-f", sender, "-a", "recipient@example.org",
               "-r", "recipient@example.org", "-x", "+editheader +spamtest +virustest +mboxmetadata +servermetadata", *more, os.path.join(where, "s"), os.path.join(where, "m")]
    done = subprocess.run((["runuser", "-u", "nobody", "--"] if os.getuid() == 0 else []) + command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=where)
    text = done.stdout.decode(errors="replace")
    performed = text[text.find("Performed actions:"):]
    return {"fileinto": sorted(f for f in re.findall(r"store message in folder: (.*)", performed) if f != "INBOX"),
            "redirect": sorted(re.findall(r"redirect message to: <?([^>\n]*)>?", performed)), "keep": "store message in folder: INBOX" in performed,
            "reject": "reject" in performed.split("Implicit keep")[0], "failed": "error:" in text or done.returncode != 0}, text


def test_cases(where):
    if not os.path.exists(CASES):
        return None
    bad = []
    for case in json.load(open(CASES)):
        if case["name"] in IMPOSSIBLE:
            continue
        said = ours(where, case["script"], message_of(case), case["from"], *SETTINGS.get(case["name"], ()))
        if not said.startswith('fileinto "PASS"'):
            bad.append(f"{case['name']}: {said[:200]}")
    assert not bad, "\n".join(bad)


def test_beside_pigeonhole(where):
    if not shutil.which("sieve-test"):
        return None
    bad = []
    for name, script in SCRIPTS.items():
        mine, (other, text) = filed(ours(where, script, MESSAGE, "sender@example.org")), theirs(where, script, MESSAGE, "sender@example.org")
        if mine != other:
            bad.append(f"{name}: {mine}\n   Pigeonhole: {other}\n{text}")
    assert not bad, "\n".join(bad)


def test_edited_messages_beside_pigeonhole(where):
    if not shutil.which("sieve-test"):
        return None
    for name, script in EDITS.items():
        script = 'require ["fileinto", "editheader", "copy", "mailbox"]; ' + script.replace("fileinto", "fileinto :create")
        mine, (other, text) = stored_by_us(where, script, MESSAGE), stored_by_them(where, script, MESSAGE)
        assert mine == other and mine, f"{name}: {mine}\n   Pigeonhole: {other}\n{text}"

# ---- at random ----

FIELDS = ["from", "to", "cc", "subject", "x-num", "x-empty", "x-none", "message-id", "received", "date", "content-type"]
KEYS = ["", "*", "hendrik@example.com", "example.com", "harrie", "harrie+sales", "sales", "10", "9", "abc", "ABC", "*a*", "?", "??", "*@*", "h*k*", "Jan, Piet", "*World", "7.5", "*.*.*",
        "*\\\\?*", "\\\\*", "a*b*c*", "multipart/mixed", "2010-10-*", "+0200", "-0730", "55480", "31", "first part", "*rich*"]
EXPRESSIONS = ["[a-z]+", "^.*$", "(a|h)(.)", "[0-9]+", "^[^@]*@", "10|9", "x.*y?", "(.)\\\\1"]
RANDOM_MESSAGE = ("From: Hendrik van der Berg <hendrik@example.com>\r\nTo: Harrie <harrie+sales@example.com>, \"Jan, Piet\" <jan@example.org>\r\n"
                  "Cc: tukkers: henk@tukkerland.ex, theo@tukkerland.ex;, last@example.net\r\nDate: Mon, 11 Oct 2010 00:31:44 +0200\r\n"
                  "Received: from a.example by b.example; Tue, 12 Oct 2010 10:00:00 -0500\r\nReceived: from c.example by d.example; Sun, 10 Oct 2010 12:00:00 +0000\r\n"
                  "Subject: =?utf-8?q?Hello?= World\r\nX-Num: 10\r\nX-Num: 9\r\nX-Num: abc\r\nX-Empty:\r\nMessage-ID: <abc@example.com>\r\nMIME-Version: 1.0\r\n"
                  "Content-Type: multipart/mixed; boundary=\"AA\"\r\n\r\npre\r\n--AA\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
                  "caf=E9 first part\r\n--AA\r\nContent-Type: text/html\r\n\r\n<p>rich <b>te</b>xt &amp; more</p>\r\n--AA\r\nContent-Type: application/octet-stream\r\n"
                  "Content-Transfer-Encoding: base64\r\n\r\nSGVsbG8gYmFzZTY0IHdvcmxk\r\n--AA--\r\n")


def some(r, words, most=3):
    chosen = [f'"{r.choice(words)}"' for _ in range(r.randint(1, most))]
    return chosen[0] if len(chosen) == 1 else "[" + ", ".join(chosen) + "]"


def a_match(r, comparator):
    """Match type and keys."""
    kind = r.choice([":is", ":contains", ":matches", ":matches", ":regex", ":value", ":count"])
    relation = r.choice(["gt", "ge", "lt", "le", "eq", "ne"])
    if kind == ":count":
        return f':count "{relation}" :comparator "i;ascii-numeric"', some(r, ["0", "1", "2", "3", "5"], 1)
    if kind == ":value":
        return f':value "{relation}" :comparator "{r.choice([comparator, "i;ascii-numeric"])}"', some(r, KEYS)
    return f'{kind} :comparator "{comparator}"', some(r, EXPRESSIONS if kind == ":regex" else KEYS)


def a_test(r, depth=0):
    """One on whose outcome the RFCs and Pigeonhole are of one mind. They are not where the details of addresses or a field that :index names are counted, and whether UTC is Z; its 'string' compares octets where no comparator is given (RFC 5229 5: i;ascii-casemap)."""
    match, keys = a_match(r, r.choice(["i;octet", "i;ascii-casemap"]))
    index = r.choice(["", ":index 1", ":index 2", ":index 1 :last", ":last :index 2"]) if ":count" not in match else ""
    part = r.choice([":all", ":localpart", ":domain"] + ([":user", ":detail"] if ":count" not in match else []))
    kind = r.randrange(9 if depth < 2 else 7)
    if kind <= 1:
        return f"header {index} {match} {some(r, FIELDS)} {keys}"
    if kind == 2:
        return f'address {index} {part} {match} {some(r, ["from", "to", "cc", "reply-to"])} {keys}'
    if kind == 3:
        return f'envelope {part} {match} {some(r, ["from", "to"])} {keys}'
    if kind == 4:
        return f'string {match} {some(r, ["${a}", "${b}", "x${1}", "${2}"])} {keys}'
    if kind == 5:
        zone = r.choice([":originalzone", ':zone "+0100"', ':zone "-0730"'])
        part = r.choice(["year", "month", "day", "date", "julian", "hour", "minute", "second", "time", "weekday", "zone", "iso8601"])
        return f'date {zone} {match} "date" "{part}" {keys}'
    if kind == 6:
        return r.choice([f"exists {some(r, FIELDS)}", f"size {r.choice([':over', ':under'])} {r.choice(['0', '10', '1K', '100K'])}",
                         f'body {r.choice([":raw", ":text", """:content "text" """])} {r.choice([":is", ":contains", ":matches"])} {some(r, KEYS)}'])
    return "not " + a_test(r, depth + 1) if kind == 7 else f"{r.choice(['anyof', 'allof'])}({a_test(r, depth + 1)}, {a_test(r, depth + 1)})"


def outcomes(text):
    """What both programs say of each test, and the match values behind it."""
    return dict(re.findall(r"#(\d+) ([01]<[^>\n]*>)", text))


def test_at_random_beside_pigeonhole(where):
    """POSTBUS_RANDOM: how many scripts; the usual few are always the same."""
    if not shutil.which("sieve-test"):
        return None
    require = 'require ["fileinto", "variables", "envelope", "relational", "comparator-i;ascii-numeric", "regex", "index", "subaddress", "date", "body", "enotify"];\n'
    for seed in range(int(os.environ.get("POSTBUS_RANDOM") or 4)):
        r = random.Random(seed)
        tests = [a_test(r) for _ in range(14)]
        script = require + 'set "a" "10"; set "b" "Ab*c";\n'
        for n, test in enumerate(tests):
            for yes in (1, 0):
                script += (f"if {test} {{ " if yes else "else { ") + f'notify :message "#{n} {yes}<${{1}}|${{2}}>" "mailto:t{n}@example.org"; }}\n'
        mine, (_, said) = ours(where, script, RANDOM_MESSAGE, "sender@example.org"), theirs(where, script, RANDOM_MESSAGE, "sender@example.org")
        mine, other = outcomes(mine), outcomes(said)
        assert len(mine) == len(other) == len(tests), f"seed {seed}: {mine}\n   Pigeonhole: {said}"
        for n, test in enumerate(tests):
            assert mine[str(n)] == other[str(n)], f"seed {seed}: {test}: {mine[str(n)]}, Pigeonhole: {other[str(n)]}"


def main():
    passed = failed = skipped = 0
    for name, test in sorted((n, t) for n, t in globals().items() if n.startswith("test_")):
        where = tempfile.mkdtemp(prefix="pb-sieve-")
        os.chmod(where, 0o755)
        try:
            if test(where) is None and (name == "test_cases" and not os.path.exists(CASES) or name.endswith("pigeonhole") and not shutil.which("sieve-test")):
                skipped += 1
                print("skipped", name)
                continue
            passed += 1
            print("ok", name)
        except AssertionError as e:
            failed += 1
            print("FAILED", name, e, sep="\n")
        finally:
            shutil.rmtree(where, ignore_errors=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 77 if not passed else 0)


main()
