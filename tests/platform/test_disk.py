# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that others fill at once, and keep full: the store's log meets the end of it. What was acknowledged is kept, the daemon ends, and starts again when there is room."""
import ctypes, os, shutil, subprocess, sys, tempfile, threading, time
import postbus
from postbus import Server, message, wait

SIZE, LOG, MANY = 400 << 20, 16 << 20, 200
MS_REMOUNT = 32


class Disk:
    """A tmpfs of the test's own. Full: it is never larger than what is used, whatever is given back."""

    def __init__(self):
        self.where = tempfile.mkdtemp(prefix="pb-disk-")
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "tmpfs", self.where], capture_output=True).returncode:
            os.rmdir(self.where)
            raise postbus.Skip("tmpfs cannot be mounted here")
        self.libc, self.taker, self.taking = ctypes.CDLL(None), None, False

    def resize(self, size):
        self.libc.mount(b"tmpfs", self.where.encode(), b"tmpfs", MS_REMOUNT, f"size={size}".encode())

    def free(self):
        s = os.statvfs(self.where)
        return s.f_bfree * s.f_frsize

    def take_all(self):
        while self.taking:
            s = os.statvfs(self.where)
            if s.f_bfree:
                self.resize((s.f_blocks - s.f_bfree) * s.f_frsize)
            time.sleep(0.002)

    def fill(self):
        self.taking, self.taker = True, threading.Thread(target=self.take_all)
        self.taker.start()
        wait(lambda: self.free() == 0, "a full disk")

    def give_back(self):
        self.taking = False
        if self.taker:
            self.taker.join()
        self.taker = None
        self.resize(SIZE)

    def remove(self):
        self.give_back()
        subprocess.run(["umount", "-l", self.where])
        shutil.rmtree(self.where, ignore_errors=True)


def log_end(home):
    """How far the newest log file is written: it was made with zeros."""
    db = os.path.join(home, "store", "db")
    newest = max(n for n in os.listdir(db) if n.startswith("log."))
    with open(os.path.join(db, newest), "rb") as f:
        return newest, len(f.read().rstrip(b"\0"))


def expunge_all(s, i, n):
    """Removals go on when the disk is full; they write to the log as well. Gives how many were acknowledged before it could not be written any more."""
    done = 0
    try:
        for first in range(1, n + 1, 100):
            if i.uid("EXPUNGE", f"{first}:{first + 99}")[0] != "OK":
                break
            done += 100
    except (OSError, i.abort):
        pass
    return done


def started(s):
    try:
        s.start()
        return True
    except AssertionError:
        assert s.process.returncode == 1, s.process.returncode
        return False


def test_the_log_meets_the_end_of_the_disk():
    disk, log = Disk(), tempfile.NamedTemporaryFile(prefix="pb-log-")
    s = None
    try:
        s = Server(home=disk.where, start=False)
        s.log_path = log.name       # not on the disk that is full
        s.start()
        i = s.imap()
        i.create("Work")
        for n in range(MANY):
            assert i.append("INBOX", None, None, message(f"m{n}"))[0] == "OK"
        i.select("INBOX")
        copies = 0
        while log_end(disk.where)[1] < LOG * 3 // 4:
            assert i.copy(f"1:{MANY}", "Work")[0] == "OK"
            copies += MANY
        i.select("Work")
        assert i.store("1:*", "+FLAGS.SILENT", "(\\Deleted)")[0] == "OK"
        disk.fill()
        done = expunge_all(s, i, copies)
        assert 0 < done < copies, (done, copies, log_end(disk.where))
        assert s.process.wait(120) == 1
        s.wait_log("event=store.failed reason=.*No space left")
        # as a supervisor does: at once, and again
        up = started(s) or started(s)
        disk.give_back()
        assert up or started(s)

        def taken():
            try:
                s.send(message("after"))
                return True
            except AssertionError:
                return False
        wait(taken, "service", 120)
        assert s.ctl("store", "verify")["ok"]
        s.wait_messages(MANY + 1)
        i = s.imap()
        left = int(i.select("Work")[1][0])
        assert copies - done - 100 <= left <= copies - done, (copies, done, left)
        i.logout()
        assert s.stop() == 0
    finally:
        if s and s.process and s.process.poll() is None:
            s.kill()
        disk.remove()
        log.close()


postbus.run(sys.modules[__name__])
