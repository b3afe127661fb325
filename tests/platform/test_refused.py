# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused, by config check, by a start and by a reload alike: values that only the machine or a plugin can judge, links out of the home, files that others may write to."""
import json, os, pwd, re, shutil, signal, subprocess, sys, tempfile
import postbus
from postbus import Server


def listen(doc, plugin, name):
    return doc["plugins"].setdefault(plugin, {}).setdefault("listen", {}).setdefault(name, {})


def config(doc, plugin, **values):
    doc["plugins"].setdefault(plugin, {})["config"] = values


WRONG = (
    (lambda d: d.update(certificates=[{"cert": "tls/cert.pem", "key": "tls/key.pem"}, {"cert": "tls/none.pem", "key": "tls/key.pem"}]), ["postbus.json: certificates[1]: ", "tls/none.pem"]),
    (lambda d: d.update(certificates=[{"cert": "tls/cert.pem", "key": "tls/none.pem"}]), ["postbus.json: certificates[0]: ", "tls/none.pem"]),
    (lambda d: d.update(certificates=[{"cert": "tls/key.pem", "key": "tls/key.pem"}]), ["postbus.json: certificates[0]: ", "tls/key.pem"]),
    (lambda d: d.update(listen=["127.0.0.1", "localhost"]), ['postbus.json: listen[1]: found "localhost", allowed is an IP address']),
    (lambda d: d.update(user="nobody-of-that-name"), ['postbus.json: user: found "nobody-of-that-name", allowed is the name of a user']),
    (lambda d: config(d, "conn_smtp", relay_networks=["1.2.3.4/99"]), ["postbus.json: plugins.conn_smtp.config: relay_networks: ", "1.2.3.4/99"]),
    (lambda d: config(d, "agent_dns", local=["no record at all"]), ["postbus.json: plugins.agent_dns.config: ", "no record at all"]),
    (lambda d: listen(d, "svc_imap", "imapz"), ['postbus.json: plugins.svc_imap.listen: it has no listener "imapz"; did you mean "imap']),
    (lambda d: listen(d, "svc_imap", "imaps").update(address=["localhost"]), ['plugins.svc_imap.listen.imaps.address[0]: found "localhost", allowed is an IP address']),
    (lambda d: listen(d, "svc_imap", "imaps").update(proxies=["10.0.0.0/99"]), ['plugins.svc_imap.listen: imaps.proxies[0]: found "10.0.0.0/99", allowed is a network']),
    (lambda d: d.update(version="1"), ['postbus.json: version: found "1", allowed is the integer 1']),
    (lambda d: d.pop("version"), ['"version" is missing']),
)


def check(s):
    done = subprocess.run([postbus.program("postbusd"), "-c", s.file, "--check"], env=s.env, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr


def refused_at_start(s, want, seconds=120):
    begin = os.path.getsize(s.log_path) if os.path.exists(s.log_path) else 0
    s.start(wait=False)
    assert s.process.wait(seconds) == 1
    said = s.log()[begin:]
    assert all(w in said for w in want), (want, said)


def test_check_start_and_reload_refuse_the_same():
    with Server() as s:
        good = open(s.file).read()
        for change, want in WRONG:
            doc = json.loads(good)
            change(doc)
            with open(s.file, "w") as f:
                json.dump(doc, f)
            for words in (("config", "check"), ("config", "reload")):
                code, answer = s.ctl(*words, check=False)
                text = answer["error"]["text"] if isinstance(answer, dict) else str(answer)
                assert code and all(w in text for w in want), (words, want, text)
            begin = len(s.log())
            s.process.send_signal(signal.SIGHUP)
            postbus.wait(lambda: "event=reload.refused" in s.log()[begin:], "the refusal")
            code, text = check(s)
            assert code == 1 and all(w in text for w in want), (want, text)
        with open(s.file, "w") as f:
            f.write(good)
        assert s.ctl("config", "reload")["changes"] == []
        assert s.stop() == 0
        for change, want in WRONG:
            doc = json.loads(good)
            change(doc)
            with open(s.file, "w") as f:
                json.dump(doc, f)
            refused_at_start(s, want)
        with open(s.file, "w") as f:
            f.write(good)
        assert check(s)[0] == 0, check(s)
        s.start()
        for key, value in (("relay_networks", '["1.2.3.4/99"]'),):
            code, answer = s.ctl("config", "set", "conn_smtp", key, value, check=False)
            assert code == 6 and "1.2.3.4/99" in answer["error"]["text"], answer


def test_links_do_not_lead_out_of_the_home():
    away = tempfile.mkdtemp(prefix="pb-away-")
    with Server(start=False) as s:
        key = os.path.join(s.home, "tls", "key.pem")
        shutil.move(key, os.path.join(away, "key.pem"))
        os.symlink(os.path.join(away, "key.pem"), key)
        want = [f"{key}: a symbolic link leads out of the home to {away}/key.pem"]
        code, text = check(s)
        assert code == 1 and want[0] in text, text
        refused_at_start(s, want)
        # his own words: a path outside the home
        doc = json.load(open(s.file))
        doc["certificates"][0]["key"] = os.path.join(away, "key.pem")
        with open(s.file, "w") as f:
            json.dump(doc, f)
        assert check(s)[0] == 0, check(s)
        # one that stays inside
        os.unlink(key)
        shutil.copy(os.path.join(away, "key.pem"), os.path.join(s.home, "tls", "other.pem"))
        os.chmod(os.path.join(s.home, "tls", "other.pem"), 0o600)
        os.symlink("other.pem", key)
        doc["certificates"][0]["key"] = "tls/key.pem"
        with open(s.file, "w") as f:
            json.dump(doc, f)
        s.start()
        assert s.imap().noop()[0] == "OK"
    shutil.rmtree(away)


def test_what_others_may_write_to_is_not_obeyed():
    with Server(start=False) as s:
        key = os.path.join(s.home, "tls", "key.pem")
        for path, wrong, right, want in ((s.home, 0o777, 0o700, "anybody may write to it (mode 0777); chmod o-w helps"), (s.file, 0o646, 0o600, "anybody may write to it (mode 0646)"),
                                         (key, 0o644, 0o600, "anybody may read this key (mode 0644); chmod 0600 helps"), (key, 0o602, 0o600, "anybody may write to it (mode 0602)")):
            os.chmod(path, wrong)
            code, text = check(s)
            assert code == 1 and path in text and want in text, (want, text)
            refused_at_start(s, [path, want])
            os.chmod(path, right)
        assert check(s)[0] == 0
        for name in ("store", "spool", "timeline", "state"):
            os.makedirs(os.path.join(s.home, name), exist_ok=True)
            os.chmod(os.path.join(s.home, name), 0o755)
        s.start()
        s.send(postbus.message("made here"))
        s.wait_messages(1)
        for where, dirs, files in os.walk(s.home):
            for one in dirs + files:
                path = os.path.join(where, one)
                if path not in (s.file, s.log_path) and "/tls" not in path:
                    assert os.lstat(path).st_mode & 0o077 == 0, (path, oct(os.lstat(path).st_mode))


def test_a_pipe_is_no_configuration():
    with Server(start=False) as s:
        os.unlink(s.file)
        os.mkfifo(s.file)
        refused_at_start(s, ["postbus.json: is a pipe; it must be a file"])
        os.unlink(s.file)


def test_a_daemon_that_became_a_user_can_get_no_capability_back():
    if os.geteuid():
        raise postbus.Skip("not root")
    who = pwd.getpwnam("daemon")
    with Server(config={"user": "daemon", "sandbox": False}, start=False) as s:
        for where, dirs, files in os.walk(s.home):
            for one in [where] + [os.path.join(where, f) for f in files]:
                os.chown(one, who.pw_uid, who.pw_gid)
        s.start()
        status = dict(line.split(":\t") for line in open(f"/proc/{s.process.pid}/status").read().splitlines() if ":\t" in line)
        assert status["Uid"].split() == [str(who.pw_uid)] * 4, status["Uid"]
        assert {status[set].strip("0 ") for set in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {""}, status


postbus.run(sys.modules[__name__])
