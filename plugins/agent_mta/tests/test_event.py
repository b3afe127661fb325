# SPDX-License-Identifier: GPL-3.0-or-later
"""The pickup event with programs that behave, hang, crash, print garbage, fork and lie; and programs that filters run."""
import os, re, sys

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus
from postbus import wait

MAIL = "From: someone@remote.example\r\nTo: x\r\nSubject: {subject}\r\n\r\nhello\r\n"


def make():
    return postbus.Server(config={"plugins": {"agent_mta": {"config": {"event_program": "event", "event_timeout": "600s", "event_failure": "continue", "retry": ["1s"]}}}}, start=False)


def user(name):
    return f"{name}@demo.example"


def fresh(server, name):
    server.ctl("mailbox", "create", user(name))
    server.ctl("mailbox", "password", user(name), stdin=postbus.PASSWORD + "\n")


def program(server, text, name="event"):
    path = os.path.join(server.home, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = path + ".new"
    with open(part, "w") as f:
        f.write("#!/bin/sh\n" + text)
    os.chmod(part, 0o700)
    os.rename(part, path)
    if not server.process:
        server.start()


def send(server, subject, name):
    return server.send(MAIL.format(subject=subject), to=(user(name),))


def trace(server, queued, *patterns):
    return wait(lambda: (lambda t: t if all(re.search(p, t) for p in patterns) else None)(server.ctl("trace", queued, json_out=False)), f"{patterns} in the timeline of {queued}", 120)


def out(server, name="out"):
    return os.path.join(server.home, name)


def lines(server, name="out"):
    return wait(lambda: os.path.exists(out(server, name)) and os.path.getsize(out(server, name)) and open(out(server, name)).read(), name)


def is_gone(pid):
    """Not there, or a zombie that nobody has to care about."""
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


def test_it_is_told_path_connector_id_and_reads_the_message(server):
    program(server, 'echo "$@" > "$HOME/out.new"; env | sort >> "$HOME/out.new"; cat >> "$HOME/out.new"; cat "$1" >> "$HOME/out.new"; ls -l /proc/self/fd >> "$HOME/out.new"; '
            'mv "$HOME/out.new" "$HOME/out"\n')
    fresh(server, "e1")
    queued = send(server, "told", "e1")
    assert len(server.wait_messages(1, user("e1"))) == 1
    said = lines(server)
    first = said.split("\n")[0].split(" ")
    assert first[0].startswith(server.home + "/spool/") and first[1:] == ["conn_smtp", queued], first
    for one in (f"POSTBUS_ID={queued}", "POSTBUS_DIRECTION=in", "POSTBUS_SENDER=someone@remote.example", f"POSTBUS_RECIPIENTS={user('e1')}", "POSTBUS_CLIENT=127.0.0.1"):
        assert one + "\n" in said, said
    assert said.count("Subject: told") == 2 and "POSTBUSD" not in said and "POSTBUS_PLUGIN_PATH" not in said, said
    assert not re.search(r"socket:|anon_inode|postbusd.lock|store", said), said
    assert not os.path.exists(first[0])
    trace(server, queued, "event +ended with 0", "delivered")


def test_it_changes_the_message(server):
    program(server, 'sed -i "s/^Subject: .*/Subject: made anew/" "$1"; printf "one more line\\n" >> "$1"\n')
    fresh(server, "e2")
    queued = send(server, "before", "e2")
    found = server.wait_messages(1, user("e2"))[0]
    assert b"Subject: made anew\r\n" in found and found.endswith(b"hello\r\none more line\r\n"), found
    trace(server, queued, "changed the message")


def test_it_drops_and_rejects(server):
    program(server, 'case $(cat) in *drop*) exit 99;; *refuse*) echo "not with us"; exit 100;; esac\n')
    fresh(server, "e3")
    trace(server, send(server, "drop", "e3"), "dropped .*dropped by the event program")
    trace(server, send(server, "refuse", "e3"), "failed .*550 5.7.1 not with us")
    send(server, "stay", "e3")
    assert len(server.wait_messages(1, user("e3"))) == 1 and b"stay" in server.messages(user("e3"))[0]


def test_what_hangs_is_killed_with_all_that_it_started(server):
    program(server, 'echo $$ > "$HOME/pids.new"; sleep 1000 & echo $! >> "$HOME/pids.new"; setsid sh -c "echo \\$\\$ >> $HOME/pids.new; mv $HOME/pids.new $HOME/pids; sleep 1000" & '
            'trap "" TERM HUP INT; while :; do sleep 100; done\n')
    fresh(server, "e4")
    for n, patience in enumerate((3, 30, 300), 1):
        server.ctl("config", "set", "agent_mta", "event_timeout", f"{patience}s")
        queued = send(server, "hang", "e4")
        assert len(server.wait_messages(n, user("e4"), seconds=400)) == n
        trace(server, queued, "event.failed .*it was killed", "delivered")
        if os.path.exists(out(server, "pids")):     # else it was killed before it had started them
            break
    server.ctl("config", "set", "agent_mta", "event_timeout", "600s")
    pids = lines(server, "pids").split()
    assert len(pids) == 3
    wait(lambda: all(is_gone(pid) for pid in pids), "the end of all")


def test_what_it_leaves_behind_ends_with_it(server):
    program(server, 'setsid sh -c "echo \\$\\$ > $HOME/left.new; mv $HOME/left.new $HOME/left; exec sleep 1000" & while [ ! -e "$HOME/left" ]; do :; done; exit 0\n')
    fresh(server, "e5")
    trace(server, send(server, "fork", "e5"), "event +ended with 0", "delivered")
    pid = lines(server, "left").strip()
    wait(lambda: is_gone(pid), "the end of what was left behind")


def test_crashes_garbage_and_lies_lose_nothing(server):
    fresh(server, "e6")
    for k, text in enumerate(("kill -SEGV $$\n", "head -c 3000000 /dev/urandom; head -c 3000000 /dev/urandom >&2; exit 7\n", ': > "$1"\n', 'rm "$1"\n', 'rm "$1"; ln -s /etc/passwd "$1"\n',
                              'rm "$1"; mkdir "$1"\n', 'head -c 300000 /dev/urandom > "$1"\n', 'echo "scanned, no virus" > "$1"\n',
                              'printf "Subject: a\\n\\na \\000 b\\n" > "$1"\n')):
        program(server, text)
        trace(server, send(server, f"bad{k}", "e6"), "event.failed", "delivered")
    program(server, "")
    with open(os.path.join(server.home, "event"), "wb") as f:
        f.write(b"\x7fELF garbage")
    trace(server, send(server, "bad9", "e6"), "event.failed", "delivered")
    os.unlink(os.path.join(server.home, "event"))
    trace(server, send(server, "bad10", "e6"), "event.failed .*", "delivered")
    found = server.wait_messages(11, user("e6"))
    assert len(found) == 11 and all(b"\r\n\r\nhello\r\n" in m for m in found), found


def test_a_failure_may_mean_later_or_never(server):
    fresh(server, "e7")
    server.ctl("config", "set", "agent_mta", "event_failure", "defer")
    program(server, '[ -e "$HOME/mended" ] && exit 0; exit 111\n')
    queued = send(server, "later", "e7")
    trace(server, queued, "event.failed", "retry")
    open(os.path.join(server.home, "mended"), "w").close()
    assert len(server.wait_messages(1, user("e7"), seconds=120)) == 1
    server.ctl("config", "set", "agent_mta", "event_failure", "reject")
    program(server, "exit 3\n")
    trace(server, send(server, "never", "e7"), "failed .*550 5.3.0")
    server.ctl("config", "set", "agent_mta", "event_failure", "continue")


def test_directions_connectors_and_behind_the_filters(server):
    fresh(server, "e8")
    path = os.path.join(server.home, "g.sieve")
    with open(path, "w") as f:
        f.write('require ["editheader"]; if header "subject" "gone" { discard; } addheader "X-Filter" "was here";')
    server.ctl("script", "put", "g", path, "--activate")
    program(server, 'grep -c X-Filter "$1" > "$HOME/seen.new"; mv "$HOME/seen.new" "$HOME/seen"\n')
    trace(server, send(server, "first", "e8"), "event +ended", "delivered")
    assert lines(server, "seen").strip() == "0"
    server.ctl("config", "set", "agent_mta", "event_when", "after")
    trace(server, send(server, "second", "e8"), "event +ended", "delivered")
    assert lines(server, "seen").strip() == "1"
    assert "event" not in trace(server, send(server, "gone", "e8"), "dropped").replace("event_", "")
    server.ctl("config", "set", "agent_mta", "event_directions", '["out"]')
    assert " event " not in trace(server, send(server, "third", "e8"), "delivered")
    server.ctl("config", "set", "agent_mta", "event_directions", "[]")
    server.ctl("config", "set", "agent_mta", "event_connectors", '["svc_lmtp"]')
    assert " event " not in trace(server, send(server, "fourth", "e8"), "delivered")
    server.ctl("config", "set", "agent_mta", "event_connectors", "[]")


def test_filters_run_programs_of_the_home_only(server):
    fresh(server, "e9")
    program(server, "exit 0\n")
    program(server, 'echo "saw $1 $2 of $POSTBUS_SENDER"; exit 5\n', "programs/look")
    path = os.path.join(server.home, "g.sieve")
    with open(path, "w") as f:
        f.write('require ["vnd.postbus.do"]; vnd_postbus_do "run" "look one two"; vnd_postbus_do "run" "../event"; vnd_postbus_do "run" "/bin/true"; keep;')
    server.ctl("script", "put", "g", path, "--activate")
    said = trace(server, send(server, "run", "e9"), r"run +look ended with 5: saw one two of someone@remote.example", "delivered")
    assert said.count("run.failed") == 2, said


def test_no_more_run_at_once_than_the_pool_holds(server):
    fresh(server, "e10")
    server.ctl("script", "activate")
    os.makedirs(os.path.join(server.home, "run"))
    program(server, 'cd "$HOME/run"; : > $$; until [ -e ../met ]; do [ $(ls | grep -c .) -lt 2 ] || : > ../met; done; '
            'for n in 1 2 3 4 5 6 7 8 9 10; do ls | grep -c . >> ../counts; done; rm $$\n')
    for k in range(8):
        send(server, f"many {k}", "e10")
    assert len(server.wait_messages(8, user("e10"), seconds=120)) == 8
    counts = [int(n) for n in lines(server, "counts").split()]
    assert len(counts) == 80 and max(counts) == 2, counts


def test_a_killed_daemon_takes_its_programs_along(server):
    fresh(server, "e11")
    program(server, 'case $(cat) in *"Subject: long"*) [ -e "$HOME/again" ] && exit 0; : > "$HOME/again"; echo $$ > "$HOME/long.new"; mv "$HOME/long.new" "$HOME/long"; exec sleep 1000;; esac\n')
    server.ctl("config", "set", "agent_mta", "event_timeout", "600s")
    queued = send(server, "long", "e11")
    pid = lines(server, "long").strip()
    assert not is_gone(pid)
    server.kill()
    wait(lambda: is_gone(pid), "the end of the program")
    server.start()
    trace(server, queued, "event +ended with 0", "delivered")
    assert len(server.wait_messages(1, user("e11"))) == 1


def test_a_stop_waits_for_no_program(server):
    fresh(server, "e12")
    os.unlink(os.path.join(server.home, "long"))
    os.unlink(os.path.join(server.home, "again"))
    queued = send(server, "long", "e12")
    pid = lines(server, "long").strip()
    assert server.stop() == 0
    wait(lambda: is_gone(pid), "the end of the program")
    server.start()
    trace(server, queued, "event +ended with 0", "delivered")
    assert len(server.wait_messages(1, user("e12"))) == 1


def test_nothing_is_left_in_the_spool(server):
    assert [n for n in os.listdir(os.path.join(server.home, "spool")) if n.startswith("run-")] == []


postbus.run(sys.modules[__name__], make)
