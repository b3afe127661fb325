# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation says exists: commands and options of sh fences, SDK examples compile, JSON parses, links lead somewhere, generated pages are current.

Each check is made on broken examples first: one that cannot fail proves nothing. Commands are compared with what a running server describes."""
import glob, json, os, re, shlex, socket, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "platform"))
import postbus

TOP = postbus.TOP
OWN = {     # commands of the tool itself: options, words at least and at most
    "init": ({"hostname": 1, "port-base": 1, "listen": 1, "demo": 0, "password": 1}, 1, 1),
    "backup": ({"without-keys": 0}, 1, 1),
    "restore": ({"force": 0}, 1, 1),
    "import": ({"mailbox": 1, "domain": 1, "folder": 1, "postoffice": 1, "date": 1, "keep-quotes": 0, "create": 0, "over-quota": 0, "dry-run": 0}, 2, 2),
    "help": ({}, 0, 2),
}
SHELL_END = {"|", ";", "&&", "||", "&", ">", "<", ">>", ")"}
PRELUDE = "#include <stdlib.h>\n" + "".join(f"#include <postbus/{os.path.basename(p)}>\n" for p in sorted(glob.glob(os.path.join(TOP, "sdk", "include", "postbus", "*.h"))))
COMPILER = ["-std=gnu11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-unused-const-variable", "-Wno-unused-variable", "-x", "c", "-"]


def pages():
    names = glob.glob(os.path.join(TOP, "*.md")) + glob.glob(os.path.join(TOP, "docs", "**", "*.md"), recursive=True)
    return sorted(names + glob.glob(os.path.join(TOP, "plugins", "*", "README.md")) + glob.glob(os.path.join(TOP, "sdk", "example", "*.md")))


def fences(path, language):
    """(line, text) of each fence of this language."""
    inside, begin, lines = None, 0, []
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        if line.startswith("```"):
            if inside is None:
                inside, begin, lines = line[3:].strip(), number, []
            else:
                if inside == language:
                    yield begin, "".join(lines)
                inside = None
        elif inside is not None:
            lines.append(line)


def commands(text):
    """The words behind each postbusctl of a shell text, options of the tool itself stripped."""
    lexer = shlex.shlex(text.replace("\\\n", " ").replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words, out = list(lexer), []
    for i, word in enumerate(words):
        if word != "postbusctl":
            continue
        rest = []
        for w in words[i + 1:]:
            if w in SHELL_END:
                break
            rest.append(w)
        while rest and (rest[0] == "--json" or rest[0] in ("-c", "--config")):
            rest = rest[1 if rest[0] == "--json" else 2:]
        out.append([w for w in rest if w != "--json"])
    return out


def count_words(words, options, positions):
    """None where the words fit; else what is wrong. options: name: how many values; positions: (least, most) words."""
    placed, i = 0, 0
    while i < len(words):
        if words[i].startswith("--"):
            name, equals, _ = words[i][2:].partition("=")
            if name not in options:
                return f"no option --{name}"
            i += options[name] if not equals else 0
            if i >= len(words):
                return f"--{name} needs a value"
        else:
            placed += 1
        i += 1
    if not positions[0] <= placed <= positions[1]:
        return f"{placed} words, wanted {positions[0]} to {positions[1]}"
    return None


def is_secret_key(plugin, key):
    path = os.path.join(TOP, "plugins", plugin, plugin + ".json")
    return os.path.exists(path) and bool(json.load(open(path)).get("config", {}).get(key, {}).get("secret"))


def fault(words, methods):
    """What is wrong with the words of a postbusctl command, or None."""
    if not words:
        return "no command"
    if words[0] in OWN:
        options, least, most = OWN[words[0]]
        return count_words(words[1:], options, (least, most))
    if words[:2] == ["config", "set"] and len(words) > 3 and is_secret_key(*words[2:4]):
        return "a secret on the command line" if len(words) > 4 else None
    used = next((n for n in (3, 2, 1) if ".".join(words[:n]) in methods), 1)
    spec = methods.get(".".join(words[:used]))
    if not spec or spec.get("cli") is False:
        return "no such command"
    options, placed, least, endless = {}, 0, 0, False
    for key, field in spec.get("params", {}).items():
        dashed = key.replace("_", "-")
        if field.get("secret"):
            options[dashed + "-stdin"] = 0
        elif field["type"] == "boolean":
            options[dashed] = options["no-" + dashed] = 0
        else:
            options[dashed] = 1
        if field.get("position"):
            as_option = any(w.partition("=")[0] == "--" + dashed for w in words)    # such a word may be named as well
            placed, least = placed + 1, least + bool(field.get("required") and not as_option)
            endless |= field["type"] == "list"
    missing = [k for k, f in spec.get("params", {}).items() if f.get("required") and not f.get("position") and not f.get("secret")
               and not any(w.partition("=")[0] == "--" + k.replace("_", "-") for w in words)]
    return f"--{missing[0]} is required" if missing else count_words(words[used:], options, (least, 1000 if endless else placed))


def compile_fault(text):
    flags = subprocess.run(["pkg-config", "--cflags", "jansson"], stdout=subprocess.PIPE, text=True).stdout.split()
    compiler = (os.environ.get("CC") or "cc").split()
    done = subprocess.run(compiler + flags + ["-I" + os.path.join(TOP, "sdk", "include")] + COMPILER, input=PRELUDE + text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    return done.stdout if done.returncode else None


def anchors(path):
    for line in open(path, encoding="utf-8"):
        if line.startswith("#"):
            yield re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")


def link_fault(path, target):
    """None where a link of a page leads somewhere."""
    if re.match(r"[a-z]+:", target):
        return None
    file, _, anchor = target.partition("#")
    there = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
    if not os.path.exists(there):
        return "leads nowhere"
    return "has no such section" if anchor and anchor not in anchors(there) else None


def describe(server):
    """All methods: what the server says of itself over its control socket, and those of the plugins that the SDK guide builds."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.path.join(server.home, "control.sock"))
        s.sendall(b'{"method":"control.describe","params":{}}\n')
        methods = json.loads(s.makefile().readline())["result"]["methods"]
    for manifest in (os.path.join(TOP, "sdk", "example", "conn_hello.json"), os.path.join(TOP, "testkit", "skeleton", "plugin.json")):
        methods.update(json.loads(open(manifest).read().replace("@WORD@", "echo"))["provides"]["methods"])
    return methods


class Tally:
    passed = failed = 0

    def say(self, fault, what):
        if fault:
            self.failed += 1
            print(f"FAILED {what}: {fault}")
        else:
            self.passed += 1


def check_commands(t, methods):
    for wrong in ("nothing at-all", "mailbox create", "mailbox create a@b.example --colour red", "queue list surplus", "init", "mailbox set a@b.example --no-name", "restore --hard x",
                  "address-map create a@b.example", "mailbox password a@b.example --password x",
                  "config set conn_smtp smart_host_password x", "config set conn_smtp banner"):
        t.say(None if fault(wrong.split(), methods) else "is taken for right", f"broken example '{wrong}'")
    found = 0
    for path in pages():
        for line, text in fences(path, "sh"):
            for words in commands(text):
                found += 1
                t.say(fault(words, methods), f"{os.path.relpath(path, TOP)}:{line}: postbusctl {' '.join(words)}")
    t.say(None if found > 50 else f"only {found} found", "commands in sh fences")


def check_examples(t):
    t.say(None if compile_fault("static int f(void) { return pb_no_such_thing(); }\n") else "compiles", "broken C example")
    found = 0
    for path in pages():
        for line, text in fences(path, "c"):
            found += 1
            t.say(compile_fault(text), f"{os.path.relpath(path, TOP)}:{line}: C example")
        for line, text in fences(path, "json"):
            try:
                json.loads(text if text.lstrip().startswith("{") else "{" + text + "}")
                t.say(None, "")
            except ValueError as why:
                t.say(why, f"{os.path.relpath(path, TOP)}:{line}: JSON example")
    t.say(None if found >= 8 else f"only {found} found", "C examples")


def check_links(t):
    readme = os.path.join(TOP, "README.md")
    t.say(None if link_fault(readme, "docs/nowhere.md") and link_fault(readme, "#nowhere") else "is taken for right", "broken link")
    for path in pages():
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", open(path, encoding="utf-8").read(), flags=re.S)):
            t.say(link_fault(path, target), f"{os.path.relpath(path, TOP)}: link {target}")


def check_reference(t):
    done = subprocess.run([sys.executable, os.path.join(TOP, "docs", "make-reference.py"), "--check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    t.say(done.stdout if done.returncode else None, "pages made from manifests")


def check_config(t, server):
    """Files in the admin guide's JSON fences, as the daemon reads them."""
    page = os.path.join(TOP, "docs", "admin-guide.md")
    for line, text in [(0, '"listn": []')] + list(fences(page, "json")):
        doc = dict(json.load(open(server.file)), **json.loads("{" + text + "}"))
        for pair in doc["certificates"]:        # files of the reader's: here they are the server's own
            assert set(pair) == {"cert", "key"}, pair
            pair.update(cert="tls/cert.pem", key="tls/key.pem")
        with tempfile.NamedTemporaryFile("w", suffix=".json", dir=server.home) as f:
            json.dump(doc, f)
            f.flush()
            done = subprocess.run([postbus.program("postbusd"), "-c", f.name, "--check"], env=server.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if line == 0:
            t.say(None if done.returncode else "is taken for right", "broken configuration")
        else:
            t.say(done.stderr if done.returncode else None, f"docs/admin-guide.md:{line}: configuration")


def main():
    t = Tally()
    check_reference(t)
    check_links(t)
    check_examples(t)
    off = ("agent_antivirus", "agent_auth", "agent_bayes")      # have commands too, once they are enabled
    with postbus.Server({"plugins": {name: {"enabled": True} for name in off}}) as server:
        check_commands(t, describe(server))
        check_config(t, server)
    print(f"{t.passed} passed, {t.failed} failed")
    sys.exit(1 if t.failed else 0)


main()
