"""What the engine is measured beside: the same pledges by simpler ways, each durable, none with
our rules.

- `stock_rate`: the stock application of `eventsourcing`, one `save` per pledge, as its
  documentation shows; it loads its campaign from all of its events each time.
- `insert_rate`: a plain row per pledge with a commit of its own, by SQLAlchemy Core.
- `tigerbeetle_rate`: transfers through TigerBeetle's Python client to a server of one replica,
  in batches of 8,189, where both are installed.

Each is stopped after some seconds and says what it did until then.
"""

from __future__ import annotations

import importlib
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from bench.campaigns import new_id, random_ids

TRANSFERS_AT_ONCE: Final = 8_189
"""The most that a request to TigerBeetle may hold."""


class StockCampaign(Aggregate):
    """A campaign as the library's tutorial would write it."""

    def __init__(self) -> None:
        self.pledged_minor = 0
        self.pledges: dict[str, tuple[str, int]] = {}

    @event("PledgeMade")
    def pledge(self, pledge_id: str, backer: str, amount_minor: int) -> None:
        """Take a pledge."""
        self.pledges[pledge_id] = (backer, amount_minor)
        self.pledged_minor += amount_minor


class StockPledges(Application[uuid.UUID]):
    """The stock application: one `save` per pledge."""

    def open(self) -> uuid.UUID:
        """Begin a campaign."""
        campaign = StockCampaign()
        self.save(campaign)
        return campaign.id

    def pledge(self, campaign_id: uuid.UUID, backer: str, amount_minor: int) -> None:
        """Load the campaign, take a pledge, save it."""
        campaign: StockCampaign = self.repository.get(campaign_id)
        campaign.pledge(new_id(), backer, amount_minor)
        self.save(campaign)


def stock_rate(folder: Path, campaigns: int, count: int, seconds: float) -> tuple[float, int]:
    """Pledges a second in so many campaigns, and how many were made; 0 campaigns: each pledge to
    one of its own, which is never loaded again.
    """
    path = folder / "stock.db"
    env = {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)}
    with StockPledges(env) as application:
        ids = [application.open() for _ in range(campaigns)]
        done, began = 0, time.perf_counter()
        while done < count and time.perf_counter() - began < seconds:
            if ids:
                application.pledge(ids[done % campaigns], new_id(), 100_00)
            else:
                campaign = StockCampaign()
                campaign.pledge(new_id(), new_id(), 100_00)
                application.save(campaign)
            done += 1
        return done / (time.perf_counter() - began), done


_ROWS: Final = sa.Table(
    "pledges",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("pledge_id", sa.String, unique=True, nullable=False),
    sa.Column("campaign_id", sa.String, nullable=False),
    sa.Column("backer", sa.String, nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.String, nullable=False),
)


def insert_rate(folder: Path, database_url: str, count: int, seconds: float) -> float:
    """Rows a second, each inserted and committed on its own, on one connection."""
    if database_url:
        url = database_url.replace("postgresql://", "postgresql+psycopg://", 1)
    else:
        url = f"sqlite:///{folder / 'rows.db'}"
    engine = sa.create_engine(url)
    try:
        _ROWS.create(engine)
        with engine.connect() as connection:
            if not database_url:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                connection.exec_driver_sql("PRAGMA synchronous=FULL")
                connection.commit()
            done, began = 0, time.perf_counter()
            for pledge_id in random_ids(count):
                row = {"pledge_id": pledge_id, "campaign_id": pledge_id, "backer": pledge_id}
                connection.execute(_ROWS.insert().values(**row, amount_minor=1, currency="CNY"))
                connection.commit()
                done += 1
                if time.perf_counter() - began >= seconds:
                    break
            return done / (time.perf_counter() - began)
    finally:
        engine.dispose()


# --- TigerBeetle ---------------------------------------------------------------------------------


class NotInstalledError(Exception):
    """TigerBeetle's client or its server is not here; the message says which."""


def tigerbeetle_rate(folder: Path, count: int) -> float:
    """Transfers a second from one account to another. Raises NotInstalledError."""
    try:
        tb: Any = importlib.import_module("tigerbeetle")
    except ModuleNotFoundError as missing:
        raise NotInstalledError("TigerBeetle's Python client is not installed") from missing
    with (
        _tigerbeetle_server(folder) as port,
        tb.ClientSync(cluster_id=0, replica_addresses=str(port)) as client,
    ):
        accounts = [tb.Account(id=number, ledger=1, code=1) for number in (1, 2)]
        client.create_accounts(accounts)
        batches = [
            [
                tb.Transfer(
                    id=tb.id(),
                    debit_account_id=1,
                    credit_account_id=2,
                    amount=100_00,
                    ledger=1,
                    code=1,
                )
                for _ in range(min(TRANSFERS_AT_ONCE, count - start))
            ]
            for start in range(0, count, TRANSFERS_AT_ONCE)
        ]
        began = time.perf_counter()
        for batch in batches:
            client.create_transfers(batch)
        seconds = time.perf_counter() - began
        (found,) = client.lookup_accounts([1])
        if found.debits_posted != count * 100_00:
            raise SystemExit("TigerBeetle does not hold every transfer")
        return count / seconds


@contextmanager
def _tigerbeetle_server(folder: Path) -> Iterator[int]:
    program = shutil.which("tigerbeetle")
    if program is None:
        raise NotInstalledError("TigerBeetle's server is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    file = str(folder / "0_0.tigerbeetle")
    subprocess.run(
        [program, "format", "--cluster=0", "--replica=0", "--replica-count=1", file],
        check=True,
        capture_output=True,
    )
    server = subprocess.Popen(
        [program, "start", f"--addresses=127.0.0.1:{port}", file],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        server.terminate()
        server.wait()
