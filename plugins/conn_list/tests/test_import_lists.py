# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of mlmmj and Mailman come over with settings and members, and a second run adds nothing."""
import json, os, shutil, sys, tempfile

TOP = os.environ.get("srcdir") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
sys.path.insert(0, os.path.join(TOP, "tests", "platform"))
import postbus

DEV = "dev@demo.example"
FILES = {"control/listaddress": DEV + "\n", "control/owner": "alice@demo.example\n\nbob@demo.example\n", "control/subonlypost": "", "control/prefix": "[dev]\nignored\n",
         "control/footer": "-- \nleave: dev-unsubscribe\n", "control/maxmailsize": "200000\n", "control/closedlistsub": "", "control/modreqlife": "86400\n", "control/tocc": "",
         "control/access": "allow\n", "subscribers.d/m": "m1@there.example\nm2@there.example\n", "subscribers.d/x": "x@there.example\n", "digesters.d/d": "d@there.example\n",
         "nomailsubs.d/n": "n@there.example\nno address\n"}


def spool():
    top = tempfile.mkdtemp(prefix="pb-mlmmj-")
    for name, text in FILES.items():
        path = os.path.join(top, "dev", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").write(text)
    return top


def test_a_list_of_mlmmj_comes_over(server):
    top = spool()
    code, dry = server.ctl("import", "mlmmj", top, "--dry-run", check=False)
    assert dry["lists"] == [f"{DEV}: 6 members would be added, 0 known"], dry
    assert server.ctl("list", "list")["lists"] == []
    code, done = server.ctl("import", "mlmmj", top, check=False)
    assert code == 1 and done["problem_count"] == 1 and "no address" in done["problems"][0], done
    assert done["lists"] == [f"{DEV}: 5 members added, 0 known"] and done["not_imported"] == [f"{DEV}: access"], done
    shown = server.ctl("list", "show", DEV)
    assert shown["members"] == 5 and (shown["delivery"]["each"], shown["delivery"]["plain"], shown["delivery"]["none"]) == (3, 1, 1), shown
    want = {"owners": ["alice@demo.example", "bob@demo.example"], "prefix": "[dev]", "max_size": 200000, "subscription": "closed", "hold_expire": 86400, "others": "reject"}
    settings = server.ctl("list", "show", DEV, "--all")["settings"]
    assert {k: settings[k] for k in want} == want and settings["posting"] == "members" and not settings["named"], settings
    assert "leave: dev-unsubscribe" in settings["footer_text"]
    code, again = server.ctl("import", "mlmmj", os.path.join(top, "dev"), check=False)
    assert again["lists"] == [f"{DEV}: 0 members added, 5 known"], again
    shutil.rmtree(top)


def files(top, contents):
    for name, text in contents.items():
        os.makedirs(os.path.dirname(os.path.join(top, name)), exist_ok=True)
        open(os.path.join(top, name), "w").write(text)


CONFIG_LIST = """# -*- python -*-
real_name = 'Ops'
host_name = 'demo.example'
owner = ['alice@demo.example', 'bob@demo.example']
moderator = []
subject_prefix = '[Ops] '
msg_footer = \"\"\"-- 
%(real_name)s mailing list
it\\'s here
\"\"\"
max_message_size = 40
subscribe_policy = 2
reply_goes_to_list = 1
anonymous_list = False
accept_these_nonmembers = ['friend@there.example', '^.*@evil']
generic_nonmember_action = 2
bounce_score_threshold = 5.0
import os; os.abort()
"""


def test_a_list_of_mailman_2_comes_over(server):
    top = tempfile.mkdtemp(prefix="pb-mailman-")
    files(top, {"ops/config": CONFIG_LIST, "ops/members": "m1@there.example\nAnn <ann@there.example>\n", "ops/digest-mime": "d@there.example\n", "ops/nomail": "n@there.example\n"})
    code, done = server.ctl("import", "mailman", top, check=False)
    assert done["lists"] == ["Ops@demo.example: 4 members added, 0 known"] and done["problem_count"] == 0, done
    assert "Ops@demo.example: accept_these_nonmembers: ^.*@evil" in done["not_imported"], done
    shown = server.ctl("list", "show", "ops@demo.example")
    assert (shown["delivery"]["each"], shown["delivery"]["mime"], shown["delivery"]["none"]) == (2, 1, 1), shown
    settings = shown["settings"]
    want = {"owners": ["alice@demo.example", "bob@demo.example"], "prefix": "[Ops] ", "max_size": 40960, "subscription": "moderated", "reply_to": "list", "others": "reject",
            "accept_from": ["friend@there.example"], "footer_text": "-- \n{list} mailing list\nit's here\n"}
    assert {k: settings.get(k) for k in want} == want, settings
    shutil.rmtree(top)


def test_a_list_of_mailman_3_comes_over(server):
    top = tempfile.mkdtemp(prefix="pb-mailman-")
    config = {"fqdn_listname": "news@demo.example", "description": "News", "subject_prefix": "[news] ", "subscription_policy": "confirm_then_moderate", "default_nonmember_action": "discard",
              "max_message_size": 100, "dmarc_mitigate_action": "wrap_message", "archive_policy": "private", "reply_goes_to_list": "no_munging", "digests_enabled": True, "personalize": "odd"}
    members = {"entries": [{"email": "a@there.example", "delivery_mode": "regular"}, {"email": "b@there.example", "delivery_mode": "mime_digests"},
                           {"email": "c@there.example", "delivery_mode": "plaintext_digests"}]}
    files(top, {"news/config.json": json.dumps(config), "news/member.json": json.dumps(members), "news/owner.json": json.dumps({"entries": [{"email": "alice@demo.example"}]})})
    code, dry = server.ctl("import", "mailman", top, "--dry-run", check=False)
    assert dry["lists"] == ["news@demo.example: 3 members would be added, 0 known"], dry
    code, done = server.ctl("import", "mailman", os.path.join(top, "news"), check=False)
    assert done["problem_count"] == 0 and done["not_imported"] == ["news@demo.example: personalize: odd"], done
    shown = server.ctl("list", "show", "news@demo.example")
    assert (shown["delivery"]["each"], shown["delivery"]["mime"], shown["delivery"]["plain"]) == (1, 1, 1), shown
    want = {"owners": ["alice@demo.example"], "subscription": "moderated", "others": "discard", "max_size": 102400, "from": "wrap", "archive": True, "description": "News"}
    assert {k: shown["settings"].get(k) for k in want} == want, shown
    code, again = server.ctl("import", "mailman", top, check=False)
    assert again["lists"] == ["news@demo.example: 0 members added, 3 known"], again
    shutil.rmtree(top)


postbus.run(sys.modules[__name__])
