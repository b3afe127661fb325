# SPDX-License-Identifier: GPL-3.0-or-later
"""Conversion for a transport of 7 bits, with Python's email as the judge: what each part decodes to is the same before and after."""
import email, email.header, email.policy, os, random, subprocess, sys
import postbus

FILTER = os.path.join(postbus.BUILD, "downgrade_filter")
DONE, NO_BODY, NO_HEADER = range(3)
UMLAUT = "Gr\u00fc\u00dfe".encode()


def convert(raw, what=3):
    done = subprocess.run([FILTER, str(what)], input=raw, stdout=subprocess.PIPE)
    assert 0 <= done.returncode <= NO_HEADER, done.returncode
    return done.returncode, done.stdout


def leaves(raw):
    """Type and decoded bytes of every leaf; the bytes of a line end before a boundary are nobody's."""
    return [(p.get_content_type(), (p.get_payload(decode=True) or b"").rstrip(b"\r\n")) for p in email.message_from_bytes(raw).walk() if not p.is_multipart()]


def fits(raw, what=3):
    for line in raw.split(b"\r\n"):
        assert len(line) <= 998, len(line)
        assert not (what & 2) or line.isascii(), line


def same(raw, want=DONE, what=3):
    code, out = convert(raw, what)
    assert code == want, (code, raw[:300])
    if code == DONE:
        fits(out, what)
        assert leaves(out) == leaves(raw), (raw[:2000], out[:2000])
    return out


def text(body, *fields):
    return b"\r\n".join([b"From: a@x.example", b"Subject: s", *fields]) + b"\r\n\r\n" + body


def multipart(kind, *parts, boundary=b"=_b"):
    head = b"MIME-Version: 1.0\r\nContent-Type: multipart/" + kind + b"; boundary=\"" + boundary + b"\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\npreamble \xe9\r\n"
    return head + b"".join(b"--" + boundary + b"\r\n" + p + b"\r\n" for p in parts) + b"--" + boundary + b"--\r\nepilogue " + b"e" * 2000 + b"\r\n"


def test_plain_text():
    out = same(text(UMLAUT + b" = \t\r\n.dot\r\nblank \r\n"))
    m = email.message_from_bytes(out)
    assert m["MIME-Version"] == "1.0" and m["Content-Type"] == "text/plain; charset=utf-8" and m["Content-Transfer-Encoding"] == "quoted-printable", out
    assert m.get_payload(decode=True).decode().startswith("Gr\u00fc\u00dfe")
    out = same(text(b"\xfc\xe4\r\n"))
    assert email.message_from_bytes(out).get_content_charset() == "unknown-8bit"
    out = same(text(b"\xfc\r\n", b"MIME-Version: 1.0", b"Content-Type: text/plain; charset=iso-8859-1", b"Content-Transfer-Encoding: 8bit"))
    assert out.count(b"MIME-Version") == out.count(b"Content-Type") == out.count(b"Content-Transfer-Encoding") == 1
    assert email.message_from_bytes(out, policy=email.policy.default).get_content().strip() == "\u00fc"


def test_what_fits_stays_as_it_is():
    for raw in (text(b"plain\r\n"), text(b"=FC\r\n", b"Content-Transfer-Encoding: quoted-printable"), text(b""), b"", b"\r\n", b"\r\nbody\r\n", b"Subject: x\r\n"):
        assert convert(raw) == (DONE, raw), raw


def test_long_lines():
    for body in (b"x" * 999 + b"\r\n", b"y" * 5000, b"word " * 3000 + b"\r\nshort\r\n" + b"z" * 999):
        out = same(text(body), what=0)
        assert b"quoted-printable" in out and b"charset" not in out
    assert convert(text(b"x" * 998 + b"\r\n"), 0)[1].endswith(b"x" * 998 + b"\r\n")
    raw = text(UMLAUT + b"\r\n", b"Content-Transfer-Encoding: 8bit")
    assert convert(raw, 0) == (DONE, raw), "8-bit text alone is none of it"
    out = same(text(b"body\r\n", b"X-Long: " + b"word " * 500, b"X-Longer: " + b"w" * 3000), what=0)
    assert email.message_from_bytes(out)["X-Long"].split() == ["word"] * 500


def test_other_types():
    noise = bytes(random.Random(1).choices([b for b in range(1, 256) if b not in (10, 13)], k=3000))
    out = same(text(noise, b"MIME-Version: 1.0", b"Content-Type: application/octet-stream", b"Content-Transfer-Encoding: 8bit"))
    assert b"Content-Transfer-Encoding: base64" in out
    out = same(text(b"mostly ascii\r\n" * 50 + b"\xff", b"MIME-Version: 1.0", b"Content-Type: application/x-y", b"Content-Transfer-Encoding: binary"))
    assert b"Content-Transfer-Encoding: quoted-printable" in out
    same(text(b"=C3=BC \xc3\xbc " + b"=41" * 600 + b"\r\n", b"MIME-Version: 1.0", b"Content-Type: text/plain", b"Content-Transfer-Encoding: quoted-printable"))
    same(text(b"QUJD" * 600 + b"\r\n", b"MIME-Version: 1.0", b"Content-Type: image/png", b"Content-Transfer-Encoding: base64"))


def test_containers():
    part = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + UMLAUT
    inner = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nFrom: b@x.example\r\nSubject: inner\r\n\r\n" + UMLAUT + b"\r\n"
    for kind in (b"mixed", b"signed", b"alternative", b"report"):
        raw = text(b"")[:-2] + multipart(kind, part, b"\r\nascii", inner, multipart(b"mixed", part, boundary=b"deeper"), b"Content-Type: text/html\r\n\r\n<p>" + UMLAUT)
        out = same(raw)
        assert out.count(b"--=_b\r\n") == raw.count(b"--=_b\r\n") and b"8bit" not in out.replace(b"unknown-8bit", b"")
        assert out.count(b"Content-Transfer-Encoding: 7bit") == 3, out


def test_headers():
    out = same(text(b"x\r\n", b"Subject: " + UMLAUT * 30, b"X-Note: \xfc =?utf-8?q?=C3=A4?=", b"Comments: " + UMLAUT), what=1)
    m = email.message_from_bytes(out, policy=email.policy.default)
    assert m.get_all("Subject")[1].replace(" ", "") == "Gr\u00fc\u00dfe" * 30 and m["Comments"] == "Gr\u00fc\u00dfe", m.items()
    for field in (b"To: " + UMLAUT + b" <a@x.example>", b"Content-Type: text/plain; name=\"" + UMLAUT + b"\"", b"Resent-To: \xfc"):
        same(text(b"x\r\n", field), NO_HEADER)
        assert convert(text(b"x\r\n", field), 0)[0] == DONE


def test_what_cannot_be_converted():
    for fields in ((b"MIME-Version: 1.0", b"Content-Type: message/partial; id=1; number=1"), (b"MIME-Version: 1.0", b"Content-Type: multipart/mixed"),
                   (b"MIME-Version: 1.0", b"Content-Type: text/plain", b"Content-Transfer-Encoding: x-uue")):
        assert convert(text(UMLAUT + b"\r\n", *fields))[0] == NO_BODY, fields


def test_torture():
    root = os.path.join(postbus.SHARED, "data", "mime")
    if not os.path.isdir(root):
        raise postbus.Skip("the torture set is not there")
    seen = converted = 0
    for where, _, names in os.walk(root):
        for name in sorted(names):
            if not name.endswith((".msg", ".eml", ".txt")) or "_decoded" in name:
                continue
            raw = open(os.path.join(where, name), "rb").read().replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\0", b"").replace(b"\n", b"\r\n")
            for extra in (raw, raw.replace(b"e", b"\xe9") if b"boundary" not in raw.lower() else raw.replace(b" the ", b" th\xc3\xa9 ")):
                seen += 1
                code, out = convert(extra)
                if code != DONE:
                    continue
                fits_ascii = all(line.isascii() for line in out.split(b"\r\n"))
                assert fits_ascii, name
                if email.message_from_bytes(extra).defects or any(p.defects for p in email.message_from_bytes(extra).walk()):
                    continue
                assert leaves(out) == leaves(extra), name
                converted += out != extra
    print(f"{seen} messages, {converted} of them sound and converted")
    assert converted >= 20, converted


if __name__ == "__main__":
    postbus.run(sys.modules[__name__])
