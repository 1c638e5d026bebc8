"""A real `tributary serve` on a data directory of its own, and what its processes do meanwhile."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

import msgspec
import psycopg
from msgspec import Struct

from app.engine import clock_ms
from app.metrics.meter import FOLDER, Report
from app.settings import Settings, load_settings
from app.stores.channels import Channel
from app.stores.database import migrate_stores
from app.wiring import open_platform
from bench.campaigns import CURRENCY, new_id, open_campaigns
from bench.databases import ROOT
from bench.http_load import cpu_seconds
from domain.terms import Terms

HOST: Final = "127.0.0.1"
UP_WITHIN_S: Final = 60.0
LOOK_S: Final = 0.01
"""How often the followers' positions are looked at where somebody waits for them."""


class Site(Struct, frozen=True):
    """A data directory with live campaigns, and a key that may import pledges for anybody.

    `backers` are pairs of backer and payment method; `position` is the log's end.
    """

    settings: Settings
    token: str
    campaigns: list[str]
    backers: list[tuple[str, str]]
    position: int


def furnish(folder: Path, database_url: str, campaigns: int, backers: int = 0) -> Site:
    """Fill an empty data directory, and the database where there is one."""
    with socket.create_server((HOST, 0)) as free:
        port: int = free.getsockname()[1]
    settings = load_settings(
        {"TRIBUTARY_DATABASE_URL": database_url} if database_url else {},
        data_dir=folder,
        host=HOST,
        port=port,
    )
    migrate_stores(settings)
    return asyncio.run(_furnish(settings, campaigns, backers))


async def _furnish(settings: Settings, campaigns: int, backers: int) -> Site:
    async with open_platform(settings) as platform:
        stores, at, channel = platform.stores, clock_ms(), new_id()
        await stores.channels.save(
            Channel(
                id=channel,
                name="Bench channel",
                languages=("en",),
                currencies=(CURRENCY,),
                terms=Terms(),
            ),
            at=at,
        )
        owner = await stores.people.add_person("staff", at=at)
        token, _ = await stores.keys.create(
            role="staff", owner=owner, scopes=["pledges:import"], at=at
        )
        ids = await stores.people.mint_backers(backers, at=at)
        references = platform.bank.prepare_methods_direct(["success"] * backers, at=at)
        methods = [
            await stores.methods.add(
                party=backer, provider=platform.bank.name, reference=reference, at=at
            )
            for backer, reference in zip(ids, references, strict=True)
        ]
        opened = open_campaigns(platform.engine, campaigns, channel=channel)
        return Site(
            settings=settings,
            token=token,
            campaigns=opened,
            backers=list(zip(ids, methods, strict=True)),
            position=platform.log.last()[0],
        )


# --- Processes -----------------------------------------------------------------------------------


class NotServingError(Exception):
    """The server ended, or did not listen in time; the message is the end of what it printed."""


def command(settings: Settings, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """A command of `tributary` on this data, as a user types it, with its environment."""
    environment = {key: value for key, value in os.environ.items() if "TRIBUTARY_" not in key}
    if settings.database_url:
        environment["TRIBUTARY_DATABASE_URL"] = settings.database_url
    program = (sys.executable, "-P", "-c", "from app.cli import main; main()")
    return [*program, "--data", str(settings.data_dir), *arguments], environment


WITHOUT_TREE: Final = """
from app.cli import main
from app.transparency.running import Transparency
Transparency.start = lambda self: None
main()"""
"""A program like `tributary`, but that it follows and signs no transparency log: what the log costs
is measured by leaving it out."""


@contextmanager
def serving(site: Site, *options: str, with_tree: bool = True) -> Iterator[Processes]:
    """Run `tributary serve` until the end of the block. Raises NotServingError."""
    settings = site.settings
    line, environment = command(settings, "serve", "--port", str(settings.port), *options)
    if not with_tree:
        line[line.index("-c") + 1] = WITHOUT_TREE
    output = settings.data_dir / "server.txt"
    with output.open("wb") as file:
        server = subprocess.Popen(
            line, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=ROOT
        )
    try:
        _wait_until_ready(settings, server, output)
        yield Processes(settings, server.pid)
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_until_ready(settings: Settings, server: subprocess.Popen[bytes], output: Path) -> None:
    """Wait until it answers that it is ready, and each process has said that it is there."""
    deadline = time.monotonic() + UP_WITHIN_S
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError):
            http = HTTPConnection(HOST, settings.port, timeout=UP_WITHIN_S)
            http.request("GET", "/health/ready")
            if http.getresponse().status == HTTPStatus.OK and len(_named(settings)) > 1:
                return
        time.sleep(LOOK_S)
    raise NotServingError(output.read_text(errors="replace")[-2_000:])


def _named(settings: Settings) -> dict[str, int]:
    """The server's processes as they call themselves, with their pids."""
    reports = [
        msgspec.json.decode(file.read_bytes(), type=Report)
        for file in sorted((settings.data_dir / FOLDER).glob("*.json"))
    ]
    # `web-<port>-<number>` of one server: the port says nothing here.
    return {re.sub(r"-\d+-", " ", report.process): report.pid for report in reports}


class Processes:
    """A server's processes by what they are, their memory, and the CPU time they spend.

    With them those of PostgreSQL that work for the server, where they are of this machine.
    """

    def __init__(self, settings: Settings, parent: int) -> None:
        self.pids = {"parent": parent} | _named(settings)
        self._settings = settings
        self.begin()

    def begin(self) -> None:
        """Count CPU time from now on."""
        self._began = time.monotonic()
        self._spent = self._cpu_seconds()

    def cores(self) -> dict[str, float]:
        """How many cores each used since the beginning."""
        seconds, spent = time.monotonic() - self._began, self._cpu_seconds()
        return {
            name: round((spent[name] - self._spent.get(name, 0.0)) / seconds, 2) for name in spent
        }

    def _cpu_seconds(self) -> dict[str, float]:
        spent = {name: cpu_seconds([pid]) for name, pid in self.pids.items()}
        if self._settings.database_url:
            spent["postgres"] = cpu_seconds(_backends(self._settings.database_url))
        return spent

    def rss_mib(self) -> dict[str, float]:
        """The resident memory of each process of the server, in MiB."""
        page = os.sysconf("SC_PAGE_SIZE")
        return {
            name: int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page / 2**20
            for name, pid in self.pids.items()
        }


def _backends(database_url: str) -> list[int]:
    """The pids of PostgreSQL's processes that serve this database, or write for all of them."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND (datname = current_database() OR backend_type IN ('walwriter', 'checkpointer'))"
        )
        pids = [pid for (pid,) in found]
    return [pid for pid in pids if Path(f"/proc/{pid}/stat").exists()]


# --- Followers -----------------------------------------------------------------------------------


class Followers:
    """Up to where each follower has read the log, by its own checkpoint on the disk."""

    def __init__(self, settings: Settings, *, with_tree: bool = False) -> None:
        self._open = ExitStack()
        self._reads: dict[str, Callable[[], int]] = {}
        views = "SELECT min(position) FROM checkpoints"
        self._reads["views"] = self._sqlite(settings.views_path, views)
        self._reads["search"] = self._sqlite(settings.search_path, "SELECT position FROM about")
        work = "SELECT min(position) FROM {}checkpoints"
        mail = "SELECT min(position) FROM {}mail_news"
        tree = "SELECT min(size) FROM {}trees"
        if settings.database_url:
            shared = self._open.enter_context(
                psycopg.connect(settings.database_url, autocommit=True)
            )
            self._reads["processes"] = _postgres(shared, work.format("work."))
            self._reads["mail"] = _postgres(shared, mail.format("people."))
            if with_tree:
                self._reads["tree"] = _postgres(shared, tree.format("transparency."))
        else:
            self._reads["processes"] = self._sqlite(settings.work_path, work.format(""))
            self._reads["mail"] = self._sqlite(settings.people_path, mail.format(""))
            if with_tree:
                self._reads["tree"] = self._sqlite(settings.transparency_path, tree.format(""))

    def positions(self) -> dict[str, int]:
        """The position of each."""
        return {name: read() for name, read in self._reads.items()}

    def slowest(self) -> int:
        """The position of the one that is furthest behind."""
        return min(self.positions().values())

    def wait_for(self, position: int, timeout: float) -> float | None:
        """Wait until all are there; the seconds it took, or None where `timeout` ended it."""
        began = time.monotonic()
        while time.monotonic() - began < timeout:
            if self.slowest() >= position:
                return time.monotonic() - began
            time.sleep(LOOK_S)
        return None

    def close(self) -> None:
        """Close the connections."""
        self._open.close()

    def _sqlite(self, path: Path, statement: str) -> Callable[[], int]:
        connection = self._open.enter_context(
            closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None))
        )
        return lambda: int((connection.execute(statement).fetchone() or (0,))[0] or 0)


def _postgres(connection: psycopg.Connection[tuple[int]], statement: str) -> Callable[[], int]:
    return lambda: int((connection.execute(statement.encode()).fetchone() or (0,))[0] or 0)
