# SPDX-License-Identifier: GPL-3.0-or-later
"""Every plugin's conversations against the running daemon: whole, split at every byte, and pipelined where legal."""
import glob, json, os, sys, uuid
import postbus

sys.path.insert(0, os.path.join(postbus.TOP, "testkit"))
import talk


def main():
    only = sys.argv[1:]
    files = sorted(glob.glob(os.path.join(postbus.TOP, "plugins", "*", "tests", "*.talk")))
    files = [f for f in files if not only or any(o in f for o in only)]
    first, implicit, listen = {}, set(), {}
    for name in os.listdir(os.path.join(postbus.TOP, "plugins")):
        path = os.path.join(postbus.TOP, "plugins", name, name + ".json")
        listens = json.load(open(path)).get("listens", []) if os.path.exists(path) else []
        if listens:
            first[name] = listens[0]["name"]
            listen[name] = {"listen": {l["name"]: {"enabled": True} for l in listens}}
        implicit |= {l["name"] for l in listens if l.get("tls") == "implicit"}
    listen["conn_smtp"].update(postbus.NOWHERE["plugins"]["conn_smtp"])
    for name in ("svc_imap", "svc_managesieve", "svc_pop3"):
        listen[name]["config"] = {"login_delay": 1}         # as short as a pause can be
    server = postbus.Server(config={"plugins": listen})
    server.password = postbus.PASSWORD

    def new_user(domain="demo.example"):
        address = f"u{uuid.uuid4().hex[:12]}@{domain}"
        server.call("mailbox.create", address=address)
        server.call("mailbox.password", mailbox=address, password=postbus.PASSWORD)
        return address

    def put_message(user, subject):
        i = server.imap(user)
        i.append("INBOX", None, None, postbus.message(subject, to=user))
        i.logout()
    server.put_message = put_message
    try:
        passed, failed = talk.run_files(files, server, lambda p: first.get(p.split(os.sep)[-3]), new_user, implicit)
        if server.stop():
            failed += 1
            print("FAILED: postbusd ended badly")
        if failed:
            print(server.log()[-8000:])
    finally:
        if server.process.poll() is None:
            server.kill()
        server.remove()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0 if passed else 77)


main()
