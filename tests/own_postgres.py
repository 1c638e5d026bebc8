"""A PostgreSQL server of the tests' own, where none runs and its programs are installed."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from ops.processes import account_for, postgresql_programs, start, wait_until

READY_S = 60.0
STOPPED_S = 30.0


@contextmanager
def own_server(directory: Path) -> Iterator[str]:
    """Run a new server in a directory on a free port of this machine; yield its URL.

    Raises LookupError where PostgreSQL's programs, or a user to run them, are not there.
    """
    programs = postgresql_programs()
    if programs is None:
        raise LookupError("no PostgreSQL answers at 127.0.0.1:5432, and none is installed")
    account = account_for(directory)
    account.own(directory)
    data, said = directory / "data", directory / "server.log"
    subprocess.run(
        [
            *account.prefix,
            str(programs / "initdb"),
            *("--pgdata", str(data), "--username", "postgres", "--auth", "trust"),
            *("--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"),
        ],
        cwd=directory,
        check=True,
        capture_output=True,
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1"]
    settings = ("unix_socket_directories=", "max_connections=200")
    server = start(
        account,
        [*command, *(part for setting in settings for part in ("-c", setting))],
        directory=directory,
        output=said,
    )
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    try:
        if not wait_until(lambda: _answers(url), READY_S):
            raise LookupError(f"PostgreSQL did not start: {said.read_text()[-2000:]}")
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(STOPPED_S)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.Error:
        return False
    return True
