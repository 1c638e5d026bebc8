"""What Patroni is told: how one node of the cluster runs its PostgreSQL.

`docs/cluster.md` says which of these a cluster on three machines keeps, and which it changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from msgspec import Struct

HOST: Final = "127.0.0.1"
SCOPE: Final = "tributary"

LOOP_WAIT_S: Final = 1
"""How often each node looks at the others; Patroni's least."""
RETRY_TIMEOUT_S: Final = 5
"""How long a leader that cannot reach the others goes on trying, before it steps down."""
TTL_S: Final = 20
"""How long a dead leader keeps its place; Patroni takes nothing less."""
REPLICATION_TIMEOUT_S: Final = 5
"""How long a standby may say nothing before it no longer counts."""
ANY_LAG_BYTES: Final = 1 << 40


class Node(Struct, frozen=True):
    """One node: its directory and its ports on this machine."""

    name: str
    directory: Path
    postgres_port: int
    rest_port: int
    raft_port: int

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.directory / "data"

    @property
    def configuration(self) -> Path:
        """Patroni's configuration; it holds passwords."""
        return self.directory / "patroni.yml"

    @property
    def output(self) -> Path:
        """What Patroni and PostgreSQL say."""
        return self.directory / "patroni.log"


class Passwords(Struct, frozen=True):
    """A password for each user, and one for what the nodes tell each other. Made per cluster."""

    postgres: str
    replication: str
    rewind: str
    tributary: str
    rest: str
    raft: str


def configuration(
    node: Node, others: list[Node], passwords: Passwords, programs: Path, *, synchronous: bool
) -> dict[str, Any]:
    """Return Patroni's configuration of a node.

    `bootstrap.dcs` counts once, when the cluster is made; later `patronictl edit-config` does.
    Not `synchronous` is for showing what is lost without it.
    """
    return {
        "scope": SCOPE,
        "name": node.name,
        "log": {"level": "INFO", "traceback_level": "DEBUG"},
        "restapi": {
            "listen": f"{HOST}:{node.rest_port}",
            "connect_address": f"{HOST}:{node.rest_port}",
            "authentication": {"username": "patroni", "password": passwords.rest},
        },
        "raft": {
            "self_addr": f"{HOST}:{node.raft_port}",
            "partner_addrs": [f"{HOST}:{other.raft_port}" for other in others],
            "data_dir": str(node.directory / "raft"),
            "password": passwords.raft,
        },
        "bootstrap": {
            "dcs": _cluster_wide(synchronous=synchronous),
            "initdb": [
                "data-checksums",
                {"encoding": "UTF8"},
                {"locale": "C.UTF-8"},
                {"auth-host": "scram-sha-256"},
                {"auth-local": "scram-sha-256"},
            ],
        },
        "postgresql": {
            "listen": f"{HOST}:{node.postgres_port}",
            "connect_address": f"{HOST}:{node.postgres_port}",
            "data_dir": str(node.data),
            "bin_dir": str(programs),
            "pgpass": str(node.directory / "pgpass"),
            "authentication": {
                "superuser": {"username": "postgres", "password": passwords.postgres},
                "replication": {"username": "replicator", "password": passwords.replication},
                "rewind": {"username": "rewinder", "password": passwords.rewind},
            },
            "pg_hba": [
                f"host replication replicator {HOST}/32 scram-sha-256",
                f"host all all {HOST}/32 scram-sha-256",
            ],
            "basebackup": {"checkpoint": "fast"},
            # No socket beside the port: its path would be too long for many directories.
            "parameters": {"unix_socket_directories": ""},
            "remove_data_directory_on_rewind_failure": True,
            "remove_data_directory_on_diverged_timelines": True,
        },
        "watchdog": {"mode": "off"},
    }


def _cluster_wide(*, synchronous: bool) -> dict[str, Any]:
    return {
        "loop_wait": LOOP_WAIT_S,
        "retry_timeout": RETRY_TIMEOUT_S,
        "ttl": TTL_S,
        # What was acknowledged is on the synchronous standby, and none but that takes over. By its
        # lag it must not be refused: the leader counts a turn that never committed, too.
        "maximum_lag_on_failover": ANY_LAG_BYTES,
        "synchronous_mode": synchronous,
        "synchronous_mode_strict": synchronous,
        "synchronous_node_count": 1,
        # A crashed leader hands over at once. Started again in its place, it would show commits
        # that no standby has, and nobody was told of.
        "primary_start_timeout": 0,
        "primary_stop_timeout": 5,
        "postgresql": {
            "use_pg_rewind": True,
            "use_slots": True,
            "parameters": {
                "fsync": True,
                "full_page_writes": True,
                "synchronous_commit": "on",
                "wal_level": "replica",
                "hot_standby": True,
                "max_connections": 100,
                "max_wal_senders": 10,
                "max_replication_slots": 10,
                "max_slot_wal_keep_size": "2GB",
                "wal_keep_size": "256MB",
                "max_wal_size": "2GB",
                "shared_buffers": "128MB",
                "wal_sender_timeout": f"{REPLICATION_TIMEOUT_S}s",
                "wal_receiver_timeout": f"{REPLICATION_TIMEOUT_S}s",
                "wal_receiver_status_interval": "1s",
                "wal_retrieve_retry_interval": "1s",
                "tcp_user_timeout": f"{2 * REPLICATION_TIMEOUT_S}s",
                "log_min_messages": "warning",
                "log_line_prefix": "%m [%p] %u ",
            },
        },
    }
