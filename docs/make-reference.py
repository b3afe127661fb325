# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes from the manifests: docs/reference/<plugin>.md, postbus.json's page and its man page, and the commands in man/postbusctl.1.
With --check: says which pages are not what the manifests give, and ends with 1."""
import json, os, sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")


def value(field):
    if "default" not in field:
        return "required" if field.get("required") else ""
    return "`" + cell(json.dumps(field["default"])) + "`"


def limits(field):
    words = []
    if field.get("enum"):
        words.append(" ".join(f"`{w}`" for w in field["enum"]))
    for key, text in (("min", "at least"), ("max", "at most"), ("max_length", "length at most")):
        if key in field:
            words.append(f"{text} {field[key]}")
    if isinstance(field.get("items"), dict) and field["items"].get("type"):
        words.append(f"of {field['items']['type']}")
    return ", ".join(words)


def config_rows(fields, prefix=""):
    for key, f in fields.items():
        yield f"| `{prefix}{key}`{' (secret)' if f.get('secret') else ''} | {f['type']} | {value(f)} | {cell(limits(f))} | {cell(f.get('doc', ''))} |"
        nested = f.get("properties") or (f.get("items") or {}).get("properties") or ((f.get("values") or {}).get("properties"))
        if nested:
            inner = f"{prefix}{key}" + ("[]." if f["type"] == "list" else ".NAME." if f.get("values") else ".")
            yield from config_rows(nested, inner)


def config_table(fields):
    return ["| key | type | default | allowed | what |", "| --- | --- | --- | --- | --- |"] + list(config_rows(fields))


def usage(method, spec):
    params = spec.get("params", {})
    words = ["postbusctl"] + method.split(".")
    placed = sorted((f["position"], k, f) for k, f in params.items() if f.get("position"))
    words += [k.upper() + ("..." if f["type"] == "list" else "") if f.get("required") else f"[{k.upper()}]" for _, k, f in placed]
    if len(placed) < len(params):
        words.append("[options]")
    return " ".join(words)


def method_section(name, spec):
    lines = [f"### {name}", "", spec["summary"] + ".", ""]
    if spec.get("doc"):
        lines += [spec["doc"], ""]
    role = spec.get("role", "system")
    lines += ([f"    {usage(name, spec)}", ""] if spec.get("cli", True) else []) + [f"Role: {role}." + ("" if spec.get("cli", True) else " For plugins only."), ""]
    params = spec.get("params", {})
    if params:
        lines += ["| parameter | type | default | what |", "| --- | --- | --- | --- |"]
        lines += [f"| `{k}`{' (secret: asked for, or from standard input)' if f.get('secret') else ' (a file; `-`: standard input)' if f.get('file') else ''} | {f['type']} | {value(f)} | {cell(f.get('doc', ''))} |" for k, f in params.items()]
        lines.append("")
    returns = {k: f for k, f in spec.get("returns", {}).items() if isinstance(f, dict)}
    if returns:
        lines += ["Gives: " + "; ".join(f"`{k}`" + (f" ({cell(f['doc']).rstrip('.')})" if f.get("doc") else "") for k, f in returns.items()) + ".", ""]
    return lines


def plugin_page(m):
    lines = [f"# {m['name']}", "", f"{m['summary']}. Kind: {m['kind']}, version {m['version']}, SDK {m['sdk']}.", ""]
    if m.get("doc"):
        lines += [m["doc"], ""]
    if m.get("required"):
        lines += ["The daemon does not start without it.", ""]
    if m.get("listens"):
        lines += ["## Listens", "", "| name | port | TLS | protocol |", "| --- | --- | --- | --- |"]
        lines += [f"| `{l['name']}` | {l['port']} | {l.get('tls', 'none')} | {l['protocol']} |" for l in m["listens"]] + [""]
    if m.get("config"):
        lines += ["## Configuration", "", f"Under `plugins.{m['name']}.config` in postbus.json, or `postbusctl config set {m['name']} KEY VALUE`.", ""]
        lines += config_table(m["config"]) + [""]
    methods = m.get("provides", {}).get("methods", {})
    if methods:
        lines += ["## Methods", ""]
        for name in sorted(methods):
            lines += method_section(name, methods[name])
    for key, title, text in (("requires", "Requires", "What it cannot do without, and is permitted."), ("optional", "Uses where it is there", "")):
        if m.get(key):
            lines += [f"## {title}", ""] + ([text, ""] if text else []) + [", ".join(f"`{w}`" for w in m[key]) + ".", ""]
    if m.get("points"):
        lines += ["## Decision points it asks at", "", "| point | facts |", "| --- | --- |"]
        lines += [f"| `{k}` | {cell(v if isinstance(v, str) else v.get('doc', json.dumps(v)))} |" for k, v in m["points"].items()] + [""]
    if m.get("hooks"):
        lines += ["## Decision points it takes part in", "", ", ".join(f"`{k}`" for k in m["hooks"]) + ".", ""]
    if m.get("metrics"):
        lines += ["## Metrics", "", "| name | kind | what |", "| --- | --- | --- |"]
        lines += [f"| `postbus_{k}` | {v['kind']} | {cell(v['help'])} |" for k, v in m["metrics"].items()] + [""]
    if m.get("events"):
        lines += ["## Log events", "", "| event | meaning |", "| --- | --- |"]
        lines += [f"| `{k}` | {cell(v)} |" for k, v in m["events"].items()] + [""]
    return "\n".join(lines)


# ---- man pages (mdoc) ----

def roff(text):
    """As mdoc text: backslashes are escaped, and no line or word begins a macro."""
    text = str(text).replace("\\", "\\e").replace("\n", " ")
    return "\\&" + text if text[:1] in (".", "'") else text


def word(text):
    """One argument of a macro."""
    text = roff(text).replace('"', "\\(dq")
    return '"' + text + '"' if " " in text or len(text) < 3 or text != roff(text) or not text.isalnum() else text


def man_rows(fields, prefix=""):
    for key, f in fields.items():
        notes = [f["type"]] + ([f"default {json.dumps(f['default'])}"] if "default" in f else ["required"] if f.get("required") else [])
        if limits(f):
            notes.append(limits(f).replace("`", ""))
        yield f".It Cm {word(prefix + key)}\n{roff(f.get('doc', ''))}\n.Pq {word(', '.join(notes))}"
        nested = f.get("properties") or (f.get("items") or {}).get("properties") or ((f.get("values") or {}).get("properties"))
        if nested:
            yield from man_rows(nested, f"{prefix}{key}" + ("[]." if f["type"] == "list" else ".NAME." if f.get("values") else "."))


def man_option(key, field):
    if field.get("secret"):
        return f"{roff(field.get('doc', ''))} It is asked for, or read from standard input."
    name = key.replace("_", "-")
    if field["type"] == "boolean":
        return f".It Fl {word('-' + name)} , {word('-no-' + name)}\n{roff(field.get('doc', ''))}"
    return f".It Fl {word('-' + name)} Ar {word(field['type'])}\n{roff(field.get('doc', ''))}"


def man_command(name, spec):
    params = spec.get("params", {})
    placed = [(k, f) for _, k, f in sorted((f["position"], k, f) for k, f in params.items() if f.get("position"))]
    head = ".It Ic " + word(" ".join(name.split("."))) + "".join(
        (" Ar " if f.get("required") else " Op Ar ") + word(k) + (" ..." if f["type"] == "list" else "") for k, f in placed)
    lines = [head, roff(spec["summary"]) + "."]
    options = [(k, f) for k, f in params.items() if not f.get("position") and not f.get("secret")]
    lines += [man_option(k, f) for k, f in params.items() if f.get("secret")]
    if options:
        lines += [".Bl -tag -width Ds -compact"] + [man_option(k, f) for k, f in options] + [".El"]
    return "\n".join(lines)


def manifests():
    for name in sorted(os.listdir(os.path.join(TOP, "plugins"))):
        path = os.path.join(TOP, "plugins", name, name + ".json")
        if os.path.exists(path):
            yield name, json.load(open(path))


def man_commands(kernel):
    methods = dict(kernel)
    for _, m in manifests():
        methods.update(m.get("provides", {}).get("methods", {}))
    shown = [man_command(n, methods[n]) for n in sorted(methods) if methods[n].get("cli", True)]
    return "\n".join([".Bl -tag -width Ds"] + shown + [".El"])


def between(text, mark, new):
    """text with what stands between its two comments replaced."""
    begin, end = f'.\\" begin {mark}\n', f'.\\" end {mark}\n'
    head, rest = text.split(begin)
    return head + begin + new + "\n" + end + rest.split(end)[1]


def pages():
    for name, manifest in manifests():
        yield f"docs/reference/{name}.md", plugin_page(manifest)
    kernel = json.load(open(os.path.join(TOP, "kernel", "control", "kernel.json")))
    lines = ["# kernel", "", "The methods that the kernel itself provides.", "", "## Methods", ""]
    for name in sorted(kernel):
        lines += method_section(name, kernel[name])
    yield "docs/reference/kernel.md", "\n".join(lines)
    fields = json.load(open(os.path.join(TOP, "kernel", "config", "fields.json")))
    yield "docs/reference/postbus.json.md", "\n".join(["# postbus.json", "", "The administrator's file: only ever read. Times may be written `90`, `\"90s\"`, `\"15m\"`, "
                                                      "`\"2h\"`, `\"5d\"`; sizes `1048576`, `\"64K\"`, `\"10M\"`, `\"2G\"`.", ""] + config_table(fields)) + "\n"
    for path, mark, text in (("man/postbus.json.5", "keys", "\n".join([".Bl -tag -width Ds"] + list(man_rows(fields)) + [".El"])),
                             ("man/postbusctl.1", "commands", man_commands(kernel))):
        yield path, between(open(os.path.join(TOP, path)).read(), mark, text)
    fields = json.load(open(os.path.join(TOP, "kernel", "plugin", "manifest_fields.json")))
    yield "docs/reference/manifest.md", "\n".join(["# Manifest", "", "Keys of `<name>.json`. A field (of `config`, `params`, `returns`) is an object with `type` (`string integer boolean seconds "
                                                  "bytes address host path enum list object any`), `required`, `default`, `min`, `max`, `max_length`, `enum`, `items`, `properties`, "
                                                  "`values`, `doc`; parameters also have `position`, `secret` and `file` (on the command line a file's name, whose content is sent as `text` or as `base64`).", ""] + config_table(fields)) + "\n"


def main():
    check, bad = "--check" in sys.argv, 0
    for name, text in pages():
        path = os.path.join(TOP, name)
        old = open(path).read() if os.path.exists(path) else ""
        if check and old != text:
            bad += 1
            print(f"{name} is not what the manifests give: run python3 docs/make-reference.py")
        elif not check and old != text:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            open(path, "w").write(text)
    if check:
        print(f"{0 if bad else 1} passed, {1 if bad else 0} failed")
    sys.exit(1 if bad else 0)


main()
