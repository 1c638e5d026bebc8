"""The processes of a cluster: started as an unprivileged user, and found again by their directory.

Linux only: processes are read from `/proc`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from msgspec import Struct

UNPRIVILEGED: Final = ("postgres", "nobody")
"""Who runs PostgreSQL where we are root: the first of these users that this machine has."""

PROC: Final = Path("/proc")
POLL_S: Final = 0.1


class Account(Struct, frozen=True):
    """The user that runs the nodes. `prefix` goes before each command; it is empty where we are
    that user already.
    """

    uid: int
    gid: int
    home: str
    prefix: tuple[str, ...] = ()

    def own(self, *paths: Path) -> None:
        """Give files to this user."""
        for path in paths:
            if path.stat().st_uid != self.uid:
                os.chown(path, self.uid, self.gid)


def account_for(directory: Path) -> Account:
    """Return who runs the nodes of a cluster in this directory.

    PostgreSQL refuses to run as root. Where we are root another user takes its place, and where
    that user cannot reach our Python or the directory (a checkout or a temporary directory of
    root's own) its processes may read past the permissions, and nothing more.
    Raises LookupError where there is nobody to be.
    """
    if os.geteuid():
        return Account(os.getuid(), os.getgid(), str(Path.home()))
    for name in UNPRIVILEGED:
        with suppress(KeyError):
            return _stepping_down(pwd.getpwnam(name), directory)
    raise LookupError(f"root needs one of the users {', '.join(UNPRIVILEGED)} to run PostgreSQL")


def _stepping_down(user: pwd.struct_passwd, directory: Path) -> Account:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise LookupError("root needs the program setpriv (util-linux) to run PostgreSQL")
    prefix: tuple[str, ...] = (
        setpriv,
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
    )
    reaches = subprocess.run(  # noqa: S603 - our own program
        [*prefix, sys.executable, "-c", f"import os, patroni; os.stat({str(directory)!r} + '/.')"],
        capture_output=True,
        check=False,
    )
    if reaches.returncode:
        right = "dac_read_search"
        prefix += (f"--inh-caps=+{right}", f"--ambient-caps=+{right}")
        prefix += (f"--bounding-set=-all,+{right}",)
    return Account(user.pw_uid, user.pw_gid, user.pw_dir, prefix)


def start(
    account: Account, command: Iterable[str], *, directory: Path, output: Path
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own; what it says is appended to `output`.

    It gets none of our environment but the path: a `PATRONI_…` or `PG…` there would steer it.
    """
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": account.home,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with output.open("ab") as said:
        os.fchmod(said.fileno(), 0o600)
        return subprocess.Popen(  # noqa: S603 - our own program
            [*account.prefix, *command],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


# --- Finding -------------------------------------------------------------------------------------


def belonging_to(directory: Path) -> list[int]:
    """Return the pids of all processes that name this directory or something in it as an argument,
    and of all their children; never our own, nor that of who started us.
    """
    children: defaultdict[int, list[int]] = defaultdict(list)
    found: list[int] = []
    for pid, parent, arguments in _all():
        children[parent].append(pid)
        if any(_names(text, str(directory)) for text in arguments):
            found.append(pid)
    ours = _with_ancestors(os.getpid())
    belonging: dict[int, None] = {}
    while found:
        pid = found.pop()
        if pid not in belonging and pid not in ours:
            belonging[pid] = None
            found += children[pid]
    return list(belonging)


def _names(argument: str, directory: str) -> bool:
    """Whether an argument is a path there, as `PATH` or `--option=PATH`."""
    return any(
        text == directory or text.startswith(directory + "/")
        for text in (argument, argument.partition("=")[2])
    )


def _with_ancestors(pid: int) -> set[int]:
    lineage = set()
    while pid > 1 and pid not in lineage:
        lineage.add(pid)
        pid = _parent(pid) or 0
    return lineage


def _all() -> Iterator[tuple[int, int, list[str]]]:
    """Each process that can be read: (pid, parent's pid, arguments)."""
    for entry in PROC.iterdir():
        if not entry.name.isdecimal():
            continue
        with suppress(OSError):
            arguments = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            parent = _parent(int(entry.name))
            if parent is not None:
                yield int(entry.name), parent, arguments


def _parent(pid: int) -> int | None:
    """The parent of a process; None where it has ended (a zombie is nobody's to kill)."""
    with suppress(OSError):
        # The name stands in brackets and may hold anything; state and parent come after it.
        state, parent = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[:2]
        return None if state in "ZX" else int(parent)
    return None


# --- Signals -------------------------------------------------------------------------------------


def send(number: signal.Signals, pids: Iterable[int]) -> None:
    """Send a signal to processes; those that have ended do not mind."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def freeze(find: Callable[[], list[int]]) -> list[int]:
    """Stop processes (SIGSTOP) until no new one turns up, and return them all."""
    frozen: set[int] = set()
    while new := set(find()) - frozen:
        send(signal.SIGSTOP, new)
        frozen |= new
    return sorted(frozen)


def kill(find: Callable[[], list[int]]) -> int:
    """End processes with SIGKILL, all at one moment, as when a machine dies; return how many.

    They are stopped first, so that none sees another die and has time to act on it.
    """
    frozen = freeze(find)
    send(signal.SIGKILL, frozen)
    wait_until(lambda: not any(_parent(pid) is not None for pid in frozen), 10)
    return len(frozen)


def wait_until(holds: Callable[[], bool], timeout_s: float) -> bool:
    """Wait until something holds, and say whether it does."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True


@cache
def postgresql_programs() -> Path | None:
    """Return the directory of the newest PostgreSQL server's programs; None where there is none."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    newest = sorted(debian, key=lambda path: int(path.parts[4].partition(".")[0]))
    if newest:
        return newest[-1].parent
    found = shutil.which("postgres")
    return Path(found).resolve().parent if found else None
