# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the source as it lies there: who includes whom, what must not be called, what every file and every plugin folder has to bring.

Each rule is one test; it prints every place that breaks it. Before it is asked, each rule is shown a source that breaks it and must say so.
"""
import json, os, re, sys

TOP = os.environ.get("srcdir") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ARCHITECTURE.md, "Rooms": each room of the kernel may use those before it. Clock, log and config stand beside each other.
ROOMS = ["clock", "log", "config", "store", "queue", "session", "bus", "plugin", "control"]
RANK = {room: max(0, i - 2) for i, room in enumerate(ROOMS)}
# The tables of the kernel itself: what a room gives to plugins is declared in host.h; kernel.h is for the code that stands between the rooms.
KERNEL_WIDE = {"kernel/host.h", "kernel/sandbox.h"}
BANNED = {"strcpy", "strcat", "sprintf", "vsprintf", "strtok", "gets", "atoi", "atol", "longjmp", "alloca", "tmpnam", "mktemp"}
# Headers of a plugin: C, POSIX and Linux, and libraries that its local.mk links. A kernel header never has this form.
OWN_TREES = ("kernel", "sdk", "sieve", "mailproto", "mailauth", "notices", "bounces", "plugins", "tools", "testkit", "tests")
# Rooms of their own that plugins link: they know the SDK and themselves.
LIBRARIES = ("bounces", "mailauth", "mailproto", "notices", "sieve")


def is_test(path):
    return "/tests/" in path or path.startswith("tests/")


class Tree:
    """The source files: path to text. Another tree can be given for the rules' own tests."""

    def __init__(self, files=None):
        self.files = files if files is not None else self.read()
        self.bare = {p: blank(t) for p, t in self.files.items() if p.endswith((".c", ".h"))}

    @staticmethod
    def read():
        files = {}
        for folder in OWN_TREES + ("packaging", "man"):
            for where, folders, names in os.walk(os.path.join(TOP, folder)):
                folders[:] = [f for f in folders if f not in ("__pycache__", ".libs", ".deps", "corpus")]
                for name in names:
                    path = os.path.join(where, name)
                    if name.endswith((".c", ".h", ".py", ".sh", ".def", ".json", ".md", ".talk", ".mk")) and not name.endswith("_json.h"):
                        files[os.path.relpath(path, TOP)] = open(path, encoding="utf-8", errors="replace").read()
        return files

    def c(self):
        return [(p, self.files[p]) for p in sorted(self.bare)]


def blank(text):
    """Comments and string contents as blanks, so that only code is searched; lines stay where they are."""
    def gone(m):
        return re.sub(r"[^\n]", " ", m.group(0)) if m.group(0)[0] == "/" else m.group(0)[0] + " " * (len(m.group(0)) - 2) + m.group(0)[-1]
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', gone, text, flags=re.S)


def includes(text):
    for number, line in enumerate(text.split("\n"), 1):
        found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if found:
            yield number, found.group(1), found.group(2)


def rule_kernel_uses_only_the_rooms_below(tree):
    for path, text in tree.c():
        at = re.match(r"kernel/(\w+)/", path)
        if not at or at.group(1) not in RANK:
            continue
        room = at.group(1)
        for number, form, name in includes(text):
            of = re.match(r"kernel/(\w+)/", name)
            if of and of.group(1) != room and (of.group(1) not in RANK or RANK[of.group(1)] >= RANK[room] and RANK[room] > 0 or RANK[of.group(1)] > RANK[room]):
                yield f"{path}:{number}: {room} includes {name}, which is not below it"
            elif name.startswith(("plugins/", "tools/", "testkit/")):
                yield f"{path}:{number}: the kernel includes {name}"
            elif name == "kernel/kernel.h" and not is_test(path) and not re.search(r"\bhost_\w+\(|\bstruct kernel\b", tree.bare[path]):
                yield f"{path}:{number}: kernel.h is for what a room gives to plugins"


# Headers of libraries of this tree that plugins may link.
PLUGIN_LIBRARIES = {"bounces/bounces.h", "sieve/sieve.h", "mailproto/header.h", "mailproto/network.h", "mailproto/params.h", "mailproto/received.h", "mailproto/replies.h", "notices/automatic.h",
                    "mailauth/arc.h", "mailauth/dkim.h", "mailauth/dmarc.h", "mailauth/results.h", "mailauth/spf.h",
                    "notices/footer.h", "notices/mailto.h"}


def rule_plugins_use_only_the_sdk(tree):
    for path, text in tree.c():
        at = re.match(r"(plugins/\w+|sdk/example|testkit)/", path)
        if not at or is_test(path):
            continue
        home = at.group(1)
        for number, form, name in includes(text):
            if form == "<" and name.startswith("postbus/"):
                if f"sdk/include/{name}" not in tree.files:
                    yield f"{path}:{number}: there is no <{name}>"
            elif form == '"':
                lies = os.path.normpath(os.path.join(os.path.dirname(path), name))
                if not (lies.startswith(home + "/") and lies in tree.files) and name not in PLUGIN_LIBRARIES:
                    yield f'{path}:{number}: includes "{name}", which is not its own'
            elif name.split("/")[0] in OWN_TREES:
                yield f"{path}:{number}: includes <{name}>"


def rule_the_sdk_knows_nothing_of_the_kernel(tree):
    for path, text in tree.c():
        if not path.startswith("sdk/") or path.startswith("sdk/example/"):
            continue
        for number, form, name in includes(text):
            if name.startswith(("kernel/", "plugins/", "tools/", "testkit/")) or path.startswith("sdk/include/") and form == '"':
                yield f"{path}:{number}: includes {name}"


def rule_libraries_know_the_sdk_and_themselves(tree):
    for path, text in tree.c():
        if path.split("/")[0] in LIBRARIES and not is_test(path):
            for number, form, name in includes(text):
                if form == '"' and name.split("/")[0] != path.split("/")[0]:
                    yield f"{path}:{number}: includes {name}"


def rule_headers_of_rooms_are_not_passed_around_by_source(tree):
    for path, text in tree.c():
        for number, form, name in includes(text):
            if name.endswith(".c"):
                yield f"{path}:{number}: includes the source file {name}"


def rule_no_banned_functions(tree):
    for path, text in tree.c():
        if is_test(path):
            continue
        for number, line in enumerate(tree.bare[path].split("\n"), 1):
            for name in re.findall(r"\b([a-z]+)\s*\(", line):
                if name in BANNED:
                    yield f"{path}:{number}: {name}()"


def rule_the_licence_comes_first(tree):
    for path, text in sorted(tree.files.items()):
        if not path.endswith((".c", ".h", ".py", ".sh", ".def")):
            continue
        want = "Apache-2.0" if path.startswith(("sdk/", "tests/abi/1.")) else "(Apache-2.0|GPL-3.0-or-later)" if path.startswith("testkit/") else "GPL-3.0-or-later"
        lines = text.split("\n")
        first = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
        if path.startswith("testkit/skeleton/"):
            continue	# becomes its author's own
        if not re.search(f"SPDX-License-Identifier: {want}", first):
            yield f"{path}:1: does not begin with SPDX-License-Identifier: {want}"


def rule_a_file_says_what_it_is_for(tree):
    for path, text in sorted(tree.files.items()):
        lines = text.split("\n")
        if path.endswith((".c", ".h")) and not path.startswith("testkit/skeleton/") and not (len(lines) > 1 and lines[1].startswith("/*")):
            yield f"{path}:2: no comment that says what the file is for"
        elif path.endswith(".py") and not re.match(r'(#[^\n]*\n)+"""', text):
            yield f"{path}:2: no docstring that says what the file is for"


def rule_nothing_is_left_to_do(tree):
    for path, text in sorted(tree.files.items()):
        if path.endswith("check_source.py"):
            continue
        for number, line in enumerate(text.split("\n"), 1):
            if re.search(r"(\bTODO|\bFIXME|\bXXX)\b(:|\()|/[/*] *(TODO|FIXME|XXX)\b|#\s*(TODO|FIXME|XXX)\b", line):
                yield f"{path}:{number}: {line.strip()[:80]}"


def rule_lines_end_clean_and_are_not_too_long(tree):
    for path, text in tree.c():
        for number, line in enumerate(text.split("\n"), 1):
            if len(line) > 180 and not is_test(path):
                yield f"{path}:{number}: {len(line)} characters"
            if line != line.rstrip():
                yield f"{path}:{number}: blanks at the end"


def rule_a_plugin_brings_manifest_manual_and_tests(tree):
    for folder in sorted({p.split("/")[1] for p in tree.files if p.startswith("plugins/") and p.count("/") > 1}):
        home = f"plugins/{folder}"
        for needed in (f"{folder}.json", "README.md", "local.mk"):
            if f"{home}/{needed}" not in tree.files:
                yield f"{home}: no {needed}"
        if not any(p.startswith(f"{home}/tests/") for p in tree.files):
            yield f"{home}: no tests"
        try:
            manifest = json.loads(tree.files.get(f"{home}/{folder}.json", "{}"))
            if manifest and manifest.get("name") != folder:
                yield f"{home}/{folder}.json: its name is {manifest.get('name')!r}"
        except ValueError as e:
            yield f"{home}/{folder}.json: {e}"


def rule_public_functions_are_documented(tree):
    for path, text in tree.c():
        if not path.startswith("sdk/include/"):
            continue
        said = False	# a comment stands above, with no blank line between, or at the end of the declaration's line
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                said = False
            if "/*" in line or "*/" in line or line.startswith(" *"):
                said = True
            found = re.match(r"(?!static|typedef|#|\s)[\w *]*?\b\*?(pb_\w+)\(", line)
            if found and not said:
                yield f"{path}:{number}: {found.group(1)} is not documented"


def rule_what_is_shipped_is_listed(tree):
    """A source that no list names is not in the tarball, and its test never runs."""
    lists = "\n".join(t for p, t in tree.files.items() if p.endswith(".mk"))
    for path in sorted(tree.files):
        if path.endswith((".c", ".h", ".talk", ".def")) or path.startswith("tests/") and path.endswith(".py"):
            name = os.path.basename(path)
            if not re.search(r"(?<![\w.-])" + re.escape(name), lists):
                yield f"{path}: in no local.mk"


RULES = {n: f for n, f in list(globals().items()) if n.startswith("rule_")}

HEAD = "/* SPDX-License-Identifier: GPL-3.0-or-later */\n/* For a test. */\n"
BROKEN = {
    "rule_kernel_uses_only_the_rooms_below": {"kernel/store/a.c": HEAD + '#include "kernel/queue/queue.h"\n'},
    "rule_plugins_use_only_the_sdk": {"plugins/p/a.c": HEAD + '#include "kernel/host.h"\n'},
    "rule_the_sdk_knows_nothing_of_the_kernel": {"sdk/src/a.c": HEAD + '#include "kernel/host.h"\n'},
    "rule_libraries_know_the_sdk_and_themselves": {"sieve/a.c": HEAD + '#include "kernel/bus/bus.h"\n'},
    "rule_headers_of_rooms_are_not_passed_around_by_source": {"kernel/store/a.c": HEAD + '#include "b.c"\n'},
    "rule_no_banned_functions": {"kernel/a.c": HEAD + "void f(char *a) { strcpy(a, a); }\n"},
    "rule_the_licence_comes_first": {"sdk/src/a.c": HEAD},
    "rule_a_file_says_what_it_is_for": {"kernel/a.c": HEAD.split("\n")[0] + "\nint a;\n"},
    "rule_nothing_is_left_to_do": {"kernel/a.c": HEAD + "/* TODO later */\n"},
    "rule_lines_end_clean_and_are_not_too_long": {"kernel/a.c": HEAD + "int a; \n"},
    "rule_a_plugin_brings_manifest_manual_and_tests": {"plugins/p/a.c": HEAD, "plugins/p/p.json": "{}", "plugins/p/README.md": "p"},
    "rule_public_functions_are_documented": {"sdk/include/postbus/a.h": HEAD + "\nint pb_a(void);\n"},
    "rule_what_is_shipped_is_listed": {"kernel/a.c": HEAD, "kernel/local.mk": "kernel/b.c"},
}


def main():
    passed = failed = 0
    tree = Tree()
    for name, rule in RULES.items():
        if not list(rule(Tree(BROKEN[name]))):
            failed += 1
            print(f"FAILED {name}: says nothing about a source that breaks it")
            continue
        wrong = list(rule(tree))
        passed, failed = passed + (not wrong), failed + bool(wrong)
        print(f"{'FAILED' if wrong else 'ok'} {name[5:].replace('_', ' ')}")
        for line in wrong:
            print("   " + line)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


main()
