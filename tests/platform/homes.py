# SPDX-License-Identifier: GPL-3.0-or-later
"""Homes for tests: postbusctl init makes one of each kind for a build, and every test gets a copy of it, which costs a tenth of making one."""
import errno, fcntl, os, shutil, time


def copy(where, kind, made_of, init, home):
    """Into home, which is empty or not there yet. where: a directory of the build tree; made_of: files that a home depends on; init(path) makes one of this kind."""
    os.makedirs(where, exist_ok=True)
    kept, newest = os.path.join(where, kind), max(os.stat(path).st_mtime_ns for path in made_of)
    with open(os.path.join(where, kind + ".lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        if not is_newer(kept, newest):
            fcntl.flock(lock, fcntl.LOCK_EX)        # somebody else may have been faster
            if not is_newer(kept, newest):
                make(kept, init)
        os.makedirs(home, 0o700, exist_ok=True)
        copy_directory(kept, home)


def make(kept, init):
    """Under its name a home is whole, and as old as what it was made of."""
    begun = time.time_ns()
    for name in (".old", ".new"):
        shutil.rmtree(kept + name, ignore_errors=True)
    if os.path.exists(kept):
        os.rename(kept, kept + ".old")
    os.mkdir(kept + ".new", 0o700)
    init(kept + ".new")
    os.utime(kept + ".new", ns=(begun, begun))
    os.rename(kept + ".new", kept)
    shutil.rmtree(kept + ".old", ignore_errors=True)


def is_newer(path, newest):
    return os.path.isdir(path) and os.stat(path).st_mtime_ns > newest


def copy_directory(source, target):
    for entry in os.scandir(source):
        to = os.path.join(target, entry.name)
        if entry.is_dir():
            os.mkdir(to)
            os.chmod(to, entry.stat().st_mode & 0o7777)
            copy_directory(entry.path, to)
        else:
            copy_file(entry.path, to)


def copy_file(source, target):
    """As it lies on the disk: what has a place there gets one, and what is a hole stays one."""
    with open(source, "rb", buffering=0) as a, open(target, "xb", buffering=0) as b:
        st, at = os.fstat(a.fileno()), 0
        os.fchmod(b.fileno(), st.st_mode & 0o7777)
        os.truncate(b.fileno(), st.st_size)
        if st.st_size and st.st_blocks * 512 >= st.st_size:
            os.posix_fallocate(b.fileno(), 0, st.st_size)
        while at < st.st_size:
            try:
                begin = os.lseek(a.fileno(), at, os.SEEK_DATA)
            except OSError as e:
                if e.errno != errno.ENXIO:
                    raise
                break       # nothing but a hole
            at = os.lseek(a.fileno(), begin, os.SEEK_HOLE)
            os.lseek(b.fileno(), begin, os.SEEK_SET)
            while begin < at:
                begin += os.sendfile(b.fileno(), a.fileno(), begin, at - begin)
