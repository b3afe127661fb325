# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs libFuzzer targets for some seconds each, from seeds made of the conversations, the manifests and tests/fuzz/corpus.

    fuzz.py SECONDS PROGRAM...     as many at once as there are processors; what was found new is kept in fuzz-corpus/ of the build tree; an input that fails in fuzz-failures/
Ends with "N passed, N failed". What seeds stand for is libFuzzer's business; which ones a target gets is decided here.
"""
import concurrent.futures, glob, hashlib, os, re, subprocess, sys

TOP = os.environ.get("srcdir") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("builddir") or "."
SHARED = os.environ.get("POSTBUS_SHARED") or os.path.join(os.path.dirname(TOP), "shared")
# The plugins whose conversations a target reads: with a command's verb or tag, and without.
TALKS = {"fuzz_smtp": ["conn_smtp"], "fuzz_address": ["conn_smtp"], "fuzz_imap": ["svc_imap"], "fuzz_pop3": ["svc_pop3"], "fuzz_lmtp": ["svc_lmtp"], "fuzz_managesieve": ["svc_managesieve"], "fuzz_framing": ["*"], "fuzz_message": []}
FILES = {"fuzz_manifest": ["plugins/*/*.json", "sdk/example/*.json"], "fuzz_message": ["tests/data/*.eml", "tests/data/*/*.eml"], "fuzz_bounces": ["bounces/tests/data/*.eml"]}


def lines_of_talk(path):
    for line in open(path, encoding="utf-8"):
        if line.startswith("C: "):
            yield line[3:].rstrip("\n")


def seeds(target):
    for plugin in TALKS.get(target, []):
        for path in sorted(glob.glob(os.path.join(TOP, "plugins", plugin, "tests", "*.talk"))):
            lines = list(lines_of_talk(path))
            yield "\r\n".join(lines + [""]).encode()
            for line in lines:
                yield line.encode()
                if " " in line:
                    yield line.split(" ", 1)[1].encode()
                if ":" in line:
                    yield line.split(":", 1)[1].encode()
    for pattern in FILES.get(target, []):
        for path in glob.glob(os.path.join(TOP, pattern)):
            yield open(path, "rb").read()
    if target == "fuzz_message":
        for path in glob.glob(os.path.join(SHARED, "data", "mime", "*.msg")):
            if os.path.getsize(path) < 16384:
                yield open(path, "rb").read()
    for path in glob.glob(os.path.join(TOP, "tests", "fuzz", "corpus", target[5:], "*")):
        yield open(path, "rb").read()


def run(program, seconds):
    target = os.path.basename(program)
    corpus = os.path.join(BUILD, "fuzz-corpus", target)
    found = os.path.join(BUILD, "fuzz-failures", "")
    os.makedirs(corpus, exist_ok=True)
    os.makedirs(found, exist_ok=True)
    for seed in seeds(target):
        with open(os.path.join(corpus, hashlib.sha1(seed).hexdigest()), "wb") as f:
            f.write(seed)
    command = [os.path.abspath(program), f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=2048", "-max_len=8192", "-print_final_stats=1",
               f"-artifact_prefix={found}{target}-", corpus]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds + 300)
    text = done.stdout.decode(errors="replace")
    runs = re.search(r"number_of_executed_units: (\d+)", text)
    runs = int(runs.group(1)) if runs else 0
    ok = done.returncode == 0 and runs > 0
    print(f"{'ok' if ok else 'FAILED'} {target}: {runs} inputs, {len(os.listdir(corpus))} kept\n{'' if ok else text[-6000:]}", end="", flush=True)
    return ok


def main():
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as several:
        results = list(several.map(lambda program: run(program, int(sys.argv[1])), sys.argv[2:]))
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed, 0 skipped")
    sys.exit(0 if results and all(results) else 1)


main()
