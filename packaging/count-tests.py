# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds up what the tests of a build tree said of themselves: cmocka's totals, or "N passed, N failed" lines; a test without either counts as one.
Prints: passed failed skipped. With --slow: the tests that took longest."""
import os, re, sys

passed = failed = skipped = 0
took = []
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        if not name.endswith(".trs"):
            continue
        result = re.search(r":test-result: (\w+)", open(os.path.join(folder, name)).read())
        result = result.group(1) if result else "ERROR"
        log = open(os.path.join(folder, name[:-4] + ".log"), errors="replace").read()
        took += [(int(s), name[:-4]) for s in re.findall(r"^took (\d+) s$", log, re.M)]
        ok = sum(map(int, re.findall(r"\[  PASSED  \] (\d+) test", log)))
        bad = sum(map(int, re.findall(r"\[  FAILED  \] (\d+) test", log)))
        skip = sum(map(int, re.findall(r"\[  SKIPPED \] (\d+) test", log)))
        for line in re.findall(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$", log, re.M):
            ok, bad, skip = ok + int(line[0]), bad + int(line[1]), skip + int(line[2] or 0)
        if result in ("FAIL", "ERROR", "XPASS") and not bad:
            bad = 1
        if not ok and not bad and not skip:
            ok, skip = (1, 0) if result == "PASS" else (0, 1)
        passed, failed, skipped = passed + ok, failed + bad, skipped + skip
if "--slow" in sys.argv:
    print(", ".join(f"{name} {s} s" for s, name in sorted(took, reverse=True)[:8] if s > 2))
else:
    print(passed, failed, skipped)
