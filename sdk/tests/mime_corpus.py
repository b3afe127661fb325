#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The torture messages of shared/data/mime: their structure must be what the .xml beside each says.

Looks for the data in $POSTBUS_SHARED or ../shared beside the source; skipped (77) where there is none.
"""
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

SRC = os.environ.get("srcdir", os.path.dirname(os.path.abspath(__file__)) + "/../..")
BUILD = os.environ.get("builddir", SRC)

ENCODED = "RFC 2046 5.2.1 allows message/rfc822 no encoding; sections of it are raw bytes"
BLANKS = "blanks at the end of a boundary do not count (RFC 2046 5.1.1: no boundary ends with one, gateways strip them)"
GOES_ON = "a line that is no field does not end the header, the blank line does"

# Where this scanner means to differ, and why.
DIFFERS = {
    "bad-newlines-multiple-parts-base64.msg": ENCODED,
    "base64encoded-rfc822message-nested.msg": ENCODED,
    "base64encoded-rfc822message.msg": ENCODED,
    "malformedHeaderStartsBody-nocrlfcrlf.msg": GOES_ON,
    "malformedHeaderStartsBody-noheader.msg": GOES_ON,
    "multi-2gifs-base64.msg": ENCODED,
    "very-long-boundary.msg": BLANKS,
    "very-very-long-boundary.msg": BLANKS,
    "weird-boundary.msg": BLANKS,
}


def find_data():
    for base in (os.environ.get("POSTBUS_SHARED"), os.path.join(SRC, "..", "shared")):
        if base and os.path.isdir(os.path.join(base, "data", "mime")):
            return os.path.join(base, "data", "mime")
    return None


def squeeze(text):
    """What XML and charsets leave comparable: visible ASCII."""
    return re.sub(r"[^!-~]+", "", text)


def expected(node):
    """An entity of the .xml as (kind, fields, content)."""
    fields = [squeeze(f.text or "") for f in node.find("header") or []]
    multipart, message = node.find("multipart"), node.find("message")
    if multipart is not None:
        return ("multipart", fields, [expected(p) for p in multipart.findall("body-part")])
    if message is not None:
        return ("message", fields, [expected(message)])
    body = node.find("body")
    return ("leaf", fields, squeeze(body.text or "") if body is not None else "")


def found(part, data):
    header = data[part["header"]:part["header"] + part["header_len"]].decode("latin-1")
    fields = [squeeze(f) for f in re.split(r"\r?\n(?![ \t])", header) if re.match(r"[!-9;-~]+[ \t]*:", f)]
    if part["kind"] == "leaf":
        return ("leaf", fields, squeeze(data[part["body"]:part["body"] + part["body_len"]].decode("latin-1")))
    children = part["children"]
    if len(children) == 1 and children[0]["header_len"] == 0 and children[0]["body"] == part["body"] and part["kind"] == "multipart":
        children = []   # a multipart without parts is given one that stands in for its whole body
    return (part["kind"], fields, [found(c, data) for c in children])


def differences(want, have, where, out):
    if want[0] != have[0]:
        out.append(f"{where}: {have[0]} where {want[0]} is expected")
        return
    if want[1] != have[1]:
        out.append(f"{where}: header fields {have[1]} where {want[1]} are expected")
    if want[0] == "leaf":
        if want[2] != have[2]:
            out.append(f"{where}: body {have[2][:100]!r}... where {want[2][:100]!r}... is expected")
        return
    if len(want[2]) != len(have[2]):
        out.append(f"{where}: {len(have[2])} parts where {len(want[2])} are expected")
    for i, (w, h) in enumerate(zip(want[2], have[2]), 1):
        differences(w, h, f"{where}.{i}", out)


def main():
    data = find_data()
    if not data:
        print("SKIP: no shared/data/mime")
        return 77
    failed = compared = 0
    for folder in ("testmsgs", "mimetools-testmsgs"):
        directory = os.path.join(data, folder)
        files = sorted(f for f in os.listdir(directory) if f.endswith(".msg"))
        paths = [os.path.join(directory, f) for f in files]
        lines = subprocess.run([os.path.join(BUILD, "facts_dump")] + paths, check=True, capture_output=True).stdout.splitlines()
        for name, path, line in zip(files, paths, lines):
            xml = open(path[:-4] + ".xml", "rb").read()
            try:
                want = expected(ET.fromstring(xml))
            except ET.ParseError:
                want = expected(ET.fromstring(xml.decode("latin-1")))
            out = []
            have = found(json.loads(line)["top"], open(path, "rb").read())
            why = DIFFERS.get(name)
            differences(want, have, name, out)
            compared += 1
            if why and not out:
                out = [f"{name}: does not differ any more, although it is listed ({why})"]
            elif why:
                continue
            for o in out:
                print(o)
            failed += bool(out)
    print(f"{compared} messages compared, {failed} differ")
    return failed > 0 or compared < 50


if __name__ == "__main__":
    sys.exit(main())
