"""How the stores reach PostgreSQL, and what they say when a database does not answer."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.string import StrDumper
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.patience import PatientAsyncConnection, PatientConnection

CONNECT_TIMEOUT_S: Final = 10
SILENCE_MS: Final = 30_000
"""After this long without an answer from its machine a connection is given up."""

POOL_SIZE: Final = 4
"""Connections that each engine keeps open; a server has a hundred for all."""
POOL_OVERFLOW: Final = 6


class StoreUnavailableError(Exception):
    """The database does not take this now: it is locked, full, out of reach, or changing its
    leader. Nothing was written, unless the connection broke while it was committed. It may be tried
    again, and a connection that broke is replaced.
    """


_SQLITE_FAULTS: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
    }
)
_PRIMARY_CODE: Final = 0xFF
_READ_ONLY: Final = "25006"


def speak_plainly(engine: Engine) -> None:
    """Let this engine raise StoreUnavailableError for what passes by itself or by an operator."""
    event.listen(engine, "handle_error", _explain)


def _explain(context: ExceptionContext) -> Exception | None:
    fault = context.original_exception
    if getattr(fault, "sqlstate", None) == _READ_ONLY:
        context.is_disconnect = True  # it leads no more: connect anew, to who does
    if context.is_disconnect or _passes(fault):
        # The fault's own words only while connecting: later they may quote what was to be written.
        why = _name(fault) if context.statement is not None else str(fault).partition("\n")[0]
        return StoreUnavailableError(f"The database does not answer: {why}")
    return None


def _passes(fault: BaseException) -> bool:
    if isinstance(fault, sqlite3.Error):
        return getattr(fault, "sqlite_errorcode", 0) & _PRIMARY_CODE in _SQLITE_FAULTS
    return isinstance(fault, psycopg.OperationalError)


def _name(fault: BaseException) -> str:
    return getattr(fault, "sqlite_errorname", "") or type(fault).__name__


# --- PostgreSQL ----------------------------------------------------------------------------------


class _TextDumper(StrDumper):
    """PostgreSQL keeps no NUL in a text; SQLite does. What somebody sends must not be an error."""

    def dump(self, obj: str) -> Any:  # noqa: ANN401 - as psycopg's own
        return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)


_ADAPTERS: Final = AdaptersMap(psycopg.adapters)
_ADAPTERS.register_dumper(str, _TextDumper)


class _Adapting:
    """What psycopg takes its ways of writing values from."""

    connection = None
    adapters = _ADAPTERS


# What was answered is on disk, whatever the server's default is; a stronger default stays.
_DURABLE: Final = """
    SELECT CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply'
        ELSE set_config('synchronous_commit', 'on', false) END"""


def conninfo(database_url: str, schema: str, *, lock_timeout_s: float) -> str:
    """The address with what each of our connections wants: tables are found in `schema`, a lock is
    waited for so long, and a machine that went silent is not waited for.
    """
    known = conninfo_to_dict(database_url)
    options = (
        str(known.get("options") or ""),
        f"-c search_path={schema}",
        f"-c lock_timeout={int(lock_timeout_s * 1000)}",
        # What is looked for and joined has an index, whatever a new table's statistics say.
        "-c enable_seqscan=off",
        "-c enable_hashjoin=off",
        "-c enable_mergejoin=off",
        "-c jit=off",
        "-c max_parallel_workers_per_gather=0",
        # Who is stopped in the midst of a transaction does not hold up all others.
        f"-c idle_in_transaction_session_timeout={2 * SILENCE_MS}",
    )
    ours: dict[str, Any] = {
        "application_name": f"tributary {schema}",
        "connect_timeout": CONNECT_TIMEOUT_S,
        "tcp_user_timeout": SILENCE_MS,
        # Of several hosts the one that leads.
        "target_session_attrs": "read-write",
    }
    return make_conninfo(**{**ours, **known, "options": " ".join(options).strip()})


def postgres_engine(database_url: str, schema: str, *, lock_timeout_s: float) -> Engine:
    """An engine for code that runs in a thread or a command; nothing is connected yet."""
    address = conninfo(database_url, schema, lock_timeout_s=lock_timeout_s)

    def connect() -> psycopg.Connection[Any]:
        connection = PatientConnection.connect(address, context=_Adapting(), autocommit=True)
        connection.execute(_DURABLE)
        connection.autocommit = False
        return connection

    engine = create_engine("postgresql+psycopg://", creator=connect, **_pooled())
    speak_plainly(engine)
    return engine


def postgres_engine_async(database_url: str, schema: str, *, lock_timeout_s: float) -> AsyncEngine:
    """An engine for a server's loop; nothing is connected yet."""
    address = conninfo(database_url, schema, lock_timeout_s=lock_timeout_s)

    async def connect() -> psycopg.AsyncConnection[Any]:
        connect_ = PatientAsyncConnection.connect
        connection = await connect_(address, context=_Adapting(), autocommit=True)
        await connection.execute(_DURABLE)
        await connection.set_autocommit(False)
        return connection

    engine = create_async_engine("postgresql+psycopg://", async_creator=connect, **_pooled())
    speak_plainly(engine.sync_engine)
    return engine


def _pooled() -> dict[str, Any]:
    return {
        "pool_size": POOL_SIZE,
        "max_overflow": POOL_OVERFLOW,
        "isolation_level": "READ COMMITTED",
        "hide_parameters": True,  # a fault ends in logs
    }
