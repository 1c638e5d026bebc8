"""A PostgreSQL cluster of three nodes on this machine, under Patroni, with synchronous replication.

    python -m ops.cluster start DIR          make the cluster or start it again, and what fell
    python -m ops.cluster status DIR         who leads, who follows
    python -m ops.cluster url DIR            what TRIBUTARY_DATABASE_URL has to be
    python -m ops.cluster switchover DIR     let the synchronous standby lead
    python -m ops.cluster kill-leader DIR    end the leader with SIGKILL; `start` brings it back
    python -m ops.cluster stop DIR

The three Patroni processes agree among themselves who leads (Raft): nothing else has to run. The
nodes share one machine, so this shows failover and is no protection against losing the machine;
`docs/cluster.md` is about three.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal, LiteralString

import click
import httpx
import msgspec
import psycopg
from msgspec import Struct
from psycopg import sql

from ops.patroni import HOST, TTL_S, Node, Passwords, configuration
from ops.processes import (
    Account,
    account_for,
    belonging_to,
    freeze,
    kill,
    postgresql_programs,
    send,
    start,
    wait_until,
)

ROOT: Final = Path(__file__).parents[1]
PLAN: Final = "cluster.json"
NODES: Final = 3
FIRST_PORT: Final = 17_400
"""A cluster takes nine ports from its first on."""
LAST_PORT: Final = 17_900
STARTS_WITHIN_S: Final = 90.0
STOPS_WITHIN_S: Final = 20.0
FAILS_OVER_WITHIN_S: Final = 2.0 * TTL_S
ANSWERS_WITHIN_S: Final = 2.0
CONNECTS_WITHIN_S: Final = 2
"""For each node that a client tries on its way to the leader; libpq takes nothing less."""

Part = Literal["node", "postgres", "patroni"]
"""What of a node falls: all of it, or one of the two."""


class ClusterError(Exception):
    """The cluster is not as it should be; the message is for the person who runs it."""


class Member(Struct, frozen=True):
    """A node as the cluster sees it. `role` is leader, sync_standby or replica."""

    name: str
    role: str = ""
    state: str = ""
    timeline: int | None = None

    @property
    def healthy(self) -> bool:
        """Whether it leads or follows."""
        return self.state in {"running", "streaming"}


class _Members(Struct):
    members: list[Member] = []


class Plan(Struct, frozen=True):
    """What a cluster is made of; kept in its directory."""

    first_port: int
    synchronous: bool
    passwords: Passwords


class Cluster:
    """A cluster in a directory; made there where it is not yet, by `create`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        try:
            self.plan = msgspec.json.decode((self.directory / PLAN).read_bytes(), type=Plan)
        except FileNotFoundError as fault:
            raise ClusterError(f"there is no cluster in {directory}") from fault
        self._http = httpx.Client(timeout=ANSWERS_WITHIN_S, trust_env=False)
        self._started: list[subprocess.Popen[bytes]] = []
        first = self.plan.first_port
        self.nodes = [
            Node(
                name=f"node{number + 1}",
                directory=self.directory / f"node{number + 1}",
                postgres_port=first + number,
                rest_port=first + NODES + number,
                raft_port=first + 2 * NODES + number,
            )
            for number in range(NODES)
        ]

    @classmethod
    def create(
        cls, directory: Path, *, first_port: int = FIRST_PORT, synchronous: bool = True
    ) -> Cluster:
        """Write down a new cluster, with new passwords. Raises ClusterError."""
        if not _are_free(first_port):
            raise ClusterError(f"one of the nine ports from {first_port} on is taken")
        programs = postgresql_programs()
        if programs is None:
            raise ClusterError(
                "no PostgreSQL server: install one (Debian: apt-get install postgresql)"
            )
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        passwords = Passwords(*(secrets.token_urlsafe(24) for _ in Passwords.__struct_fields__))
        plan = Plan(first_port, synchronous, passwords)
        _write(directory / PLAN, msgspec.json.encode(plan))
        cluster = cls(directory)
        account = cluster._account()
        for node in cluster.nodes:
            node.directory.mkdir(mode=0o700)
            others = [other for other in cluster.nodes if other is not node]
            settings = configuration(node, others, passwords, programs, synchronous=synchronous)
            # JSON is YAML.
            _write(node.configuration, msgspec.json.format(msgspec.json.encode(settings)))
            account.own(node.directory, node.configuration)
        return cluster

    def _account(self) -> Account:
        try:
            return account_for(self.directory)
        except LookupError as fault:
            raise ClusterError(str(fault)) from fault

    # --- For clients -----------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The value of TRIBUTARY_DATABASE_URL: every node, and the wish to write."""
        return self._url("tributary", self.plan.passwords.tributary)

    def _url(self, user: str, password: str, database: str = "tributary") -> str:
        nodes = ",".join(f"{HOST}:{node.postgres_port}" for node in self.nodes)
        return (
            f"postgresql://{user}:{password}@{nodes}/{database}"
            f"?target_session_attrs=read-write&connect_timeout={CONNECTS_WITHIN_S}"
        )

    def superuser_url(self, database: str = "tributary") -> str:
        """How the administrator reaches the leader."""
        return self._url("postgres", self.plan.passwords.postgres, database)

    def node_url(self, node: Node) -> str:
        """How Tributary's user reaches one node, whatever its role."""
        return (
            f"postgresql://tributary:{self.plan.passwords.tributary}@{HOST}:{node.postgres_port}"
            f"/tributary?connect_timeout={CONNECTS_WITHIN_S}"
        )

    # --- Who is who ------------------------------------------------------------------------------

    def members(self) -> list[Member]:
        """What the first node that answers says of all; nothing where none does."""
        for node in self.nodes:
            with suppress(httpx.HTTPError, msgspec.DecodeError):
                answer = self._http.get(f"http://{HOST}:{node.rest_port}/cluster")
                return msgspec.json.decode(answer.content, type=_Members).members
        return []

    def leader(self) -> Node | None:
        """The node that leads; None while there is none."""
        return self._with_role("leader")

    def sync_standby(self) -> Node | None:
        """The node without which nothing is acknowledged; None while there is none."""
        return self._with_role("sync_standby")

    def _with_role(self, role: str) -> Node | None:
        names = {member.name for member in self.members() if member.role == role and member.healthy}
        return next((node for node in self.nodes if node.name in names), None)

    def whole(self) -> bool:
        """Whether one leads, all others follow, and one of them synchronously."""
        members = self.members()
        standby = "sync_standby" if self.plan.synchronous else "replica"
        return (
            len(members) == NODES
            and all(member.healthy for member in members)
            and {"leader", standby} <= {member.role for member in members}
            and len({member.timeline for member in members}) == 1
        )

    def wait_until_whole(self, timeout_s: float = STARTS_WITHIN_S) -> None:
        """Wait for that. Raises ClusterError."""
        if not wait_until(self.whole, timeout_s):
            raise ClusterError(
                f"the cluster is not whole after {timeout_s:,.0f} s: {self.members()};"
                f" see {self.nodes[0].output} and the others"
            )

    # --- Starting and stopping -------------------------------------------------------------------

    def start(self) -> None:
        """Start every node that does not run, wait until the cluster is whole, and see that
        Tributary's user and database are there. Raises ClusterError.
        """
        for node in self.nodes:
            self.start_node(node)
        self.wait_until_whole()
        self._prepare_database()

    def start_node(self, node: Node) -> None:
        """Start a node's Patroni where it does not run; what was frozen goes on."""
        running = belonging_to(node.directory)
        send(signal.SIGCONT, running)
        if not _processes(node, "patroni"):
            command = (sys.executable, "-m", "patroni", str(node.configuration))
            process = start(self._account(), command, directory=node.directory, output=node.output)
            self._started.append(process)

    def _prepare_database(self) -> None:
        role, password = sql.Identifier("tributary"), self.plan.passwords.tributary
        with psycopg.connect(self.superuser_url("postgres"), autocommit=True) as connection:
            if not _has(connection, "SELECT 1 FROM pg_roles WHERE rolname = 'tributary'"):
                statement = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
                connection.execute(statement.format(role, sql.Literal(password)))
            if not _has(connection, "SELECT 1 FROM pg_database WHERE datname = 'tributary'"):
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))

    def stop(self) -> None:
        """Stop every node, by force those that do not stop by themselves."""

        def running() -> list[int]:
            return [pid for node in self.nodes for pid in belonging_to(node.directory)]

        send(signal.SIGCONT, running())
        send(signal.SIGTERM, [pid for node in self.nodes for pid in _processes(node, "patroni")])
        if not wait_until(lambda: not running(), STOPS_WITHIN_S):
            kill(running)
        for process in self._started:
            process.wait()
        self._started.clear()

    # --- Faults ----------------------------------------------------------------------------------

    def kill(self, node: Node, part: Part = "node") -> None:
        """End a node or a part of it with SIGKILL, all its processes at one moment."""
        kill(lambda: _processes(node, part))

    def freeze(self, node: Node, part: Part = "node") -> None:
        """Stop a node's processes where they are (SIGSTOP), as a machine that hangs."""
        freeze(lambda: _processes(node, part))

    def thaw(self, node: Node) -> None:
        """Let a frozen node go on."""
        send(signal.SIGCONT, belonging_to(node.directory))

    def switchover(self) -> Node:
        """Let the synchronous standby lead, without a fault; return it. Raises ClusterError."""
        leader = self.leader()
        if leader is None:
            raise ClusterError("nobody leads")
        before = leader.name
        answer = self._http.post(
            f"http://{HOST}:{leader.rest_port}/switchover",
            json={"leader": before},
            auth=("patroni", self.plan.passwords.rest),
            timeout=FAILS_OVER_WITHIN_S,
        )
        if answer.is_error:
            raise ClusterError(f"the switchover was refused: {answer.text}")
        return self.wait_for_leader(other_than=before)

    def wait_for_leader(
        self, *, other_than: str = "", timeout_s: float = FAILS_OVER_WITHIN_S
    ) -> Node:
        """Wait for a leader of another name, and return it. Raises ClusterError."""
        found: list[Node] = []

        def led() -> bool:
            leader = self.leader()
            if leader is not None and leader.name != other_than:
                found.append(leader)
            return bool(found)

        if not wait_until(led, timeout_s):
            raise ClusterError(f"nobody leads after {timeout_s:,.0f} s: {self.members()}")
        return found[0]


def _processes(node: Node, part: Part) -> list[int]:
    """The running processes of a node. PostgreSQL's name its data directory; all others of the node
    are Patroni and what it has started for the moment.
    """
    of_postgres = belonging_to(node.data)
    if part == "postgres":
        return of_postgres
    of_node = belonging_to(node.directory)
    return of_node if part == "node" else [pid for pid in of_node if pid not in of_postgres]


def _has(connection: psycopg.Connection, query: LiteralString) -> bool:
    return connection.execute(query).fetchone() is not None


def _write(path: Path, content: bytes) -> None:
    """Write a new file that only its owner reads. Raises ClusterError where it is there."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as fault:
        raise ClusterError(f"{path} is there already") from fault
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def free_ports() -> int:
    """The first of nine ports in a row that nobody listens on. Raises ClusterError."""
    for first in range(FIRST_PORT, LAST_PORT, 3 * NODES):
        if _are_free(first):
            return first
    raise ClusterError(f"all ports from {FIRST_PORT} to {LAST_PORT} are taken")


def _are_free(first_port: int) -> bool:
    try:
        for port in range(first_port, first_port + 3 * NODES):
            socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


# --- A cluster for a while -----------------------------------------------------------------------


@contextmanager
def running(
    directory: Path, *, first_port: int | None = None, synchronous: bool = True
) -> Iterator[Cluster]:
    """A new cluster for tests and benchmarks, on free ports.

    It is stopped when the block is left, and also when this process is killed. So is whatever names
    the directory `server` in it.
    """
    first_port = free_ports() if first_port is None else first_port
    cluster = Cluster.create(directory, first_port=first_port, synchronous=synchronous)
    command = (sys.executable, "-m", "ops.cluster", "guard", str(directory))
    guard = subprocess.Popen(  # noqa: S603 - our own program
        command, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        cluster.start()
        yield cluster
    finally:
        guard.communicate()
        cluster.stop()


# --- The command line ----------------------------------------------------------------------------


class _Directory(click.Path):
    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)


@click.group(help=__doc__)
def main() -> None:
    """Run a command; what goes wrong is told in a sentence."""


def _open(directory: Path) -> Cluster:
    try:
        return Cluster(directory)
    except ClusterError as fault:
        raise click.ClickException(str(fault)) from fault


@main.command("start")
@click.argument("directory", type=_Directory())
@click.option("--first-port", type=int, default=FIRST_PORT, show_default=True)
def start_command(directory: Path, first_port: int) -> None:
    """Make the cluster in DIRECTORY, or start what of it does not run."""
    try:
        there = (directory / PLAN).exists()
        cluster = Cluster(directory) if there else Cluster.create(directory, first_port=first_port)
        cluster.start()
    except ClusterError as fault:
        raise click.ClickException(str(fault)) from fault
    _show(cluster)


@main.command("status")
@click.argument("directory", type=_Directory())
def status_command(directory: Path) -> None:
    """Say who leads and who follows; exit code 1 where the cluster is not whole."""
    cluster = _open(directory)
    _show(cluster)
    if not cluster.whole():
        raise click.ClickException("the cluster is not whole")


@main.command("url")
@click.argument("directory", type=_Directory())
def url_command(directory: Path) -> None:
    """Print the value for TRIBUTARY_DATABASE_URL. It holds a password."""
    click.echo(_open(directory).url)


@main.command("stop")
@click.argument("directory", type=_Directory())
def stop_command(directory: Path) -> None:
    """Stop every node."""
    _open(directory).stop()


@main.command("kill-leader")
@click.argument("directory", type=_Directory())
def kill_leader_command(directory: Path) -> None:
    """End the leader with SIGKILL, and wait until another leads. `start` brings it back."""
    cluster = _open(directory)
    leader = cluster.leader()
    if leader is None:
        raise click.ClickException("nobody leads")
    cluster.kill(leader)
    click.echo(f"{leader.name} is killed")
    began = time.monotonic()
    try:
        new = cluster.wait_for_leader(other_than=leader.name)
    except ClusterError as fault:
        raise click.ClickException(str(fault)) from fault
    click.echo(f"{new.name} leads after {time.monotonic() - began:.1f} s")


@main.command("switchover")
@click.argument("directory", type=_Directory())
def switchover_command(directory: Path) -> None:
    """Let the synchronous standby lead."""
    try:
        click.echo(f"{_open(directory).switchover().name} leads")
    except ClusterError as fault:
        raise click.ClickException(str(fault)) from fault


@main.command("guard", hidden=True)
@click.argument("directory", type=_Directory())
def guard_command(directory: Path) -> None:
    """Wait for the end of standard input, then end what runs in the directory."""
    sys.stdin.read()
    cluster = _open(directory)
    kill(lambda: belonging_to(cluster.directory / "server"))
    cluster.stop()


def _show(cluster: Cluster) -> None:
    seen = {member.name: member for member in cluster.members()}
    for node in cluster.nodes:
        member = seen.get(node.name, Member(node.name, state="does not answer"))
        click.echo(f"{node.name}  {HOST}:{node.postgres_port}  {member.role:13}  {member.state}")


if __name__ == "__main__":
    main()
