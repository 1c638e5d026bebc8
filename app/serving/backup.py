"""Copies of a running platform's files, and how one goes on from a log that ends earlier.

The order makes the copies fit each other while everything goes on: what has to be done and the
transparency tree are copied first, so that they never stand ahead of the log; then the log; then
what the log names (people, texts, the test bank's books), so that nothing is named that the copy
does not have. Views, the search index and snapshots are not copied: they are made anew from the
log.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import update

from app.erasing import FILE as ERASED_FILE
from app.erasing import ErasureList, list_of
from app.following.lock import FollowLock
from app.following.seen import (
    BACKUP_FILE,
    FILE,
    Log,
    Seen,
    difference,
    point_of,
    read_seen,
    write_seen,
)
from app.keys import LOG_SECRET_FILE, MASTER_FILE, SIGNING_FILE
from app.log.opening import open_log
from app.processes.work import Work, open_work
from app.settings import Settings
from app.stores.database import open_people_sync
from app.stores.mail_news import MAIL_NEWS
from app.transparency.restoring import Accepting, foretell, go_on

BUSY_TIMEOUT_S: Final = 30.0


class BackupError(Exception):
    """No backup was made; the message says why."""


class InUseError(Exception):
    """A server works on the data directory."""


def back_up(settings: Settings, target: Path) -> Seen:
    """Copy a SQLite platform to a new directory, while it runs; return where its log ends.

    Raises BackupError.
    """
    if settings.database_url:
        raise BackupError(
            "The data lie in PostgreSQL: back them up with its own tools (docs/operations.md)."
        )
    if not settings.log_path.exists():
        raise BackupError(f"There is no log in {settings.data_dir}.")
    if target.exists() and any(target.iterdir()):
        raise BackupError(f"{target} is not empty.")
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = (
        settings.work_path,
        settings.transparency_path,
        settings.log_path,
        settings.people_path,
        settings.test_bank_path,
    )
    for path in paths:
        if path.exists():
            _copy(path, target / path.name)
    secret = settings.data_dir / "secret"
    if secret.exists():
        shutil.copy(secret, target / secret.name)
    _copy_keys(settings.keys_dir, target / "keys")
    log = open_log("", target / settings.log_path.name)
    try:
        point = point_of(log)
    finally:
        log.close()
    write_seen(target / BACKUP_FILE, point)
    return point


def _copy_keys(source: Path, target: Path) -> None:
    """Copy the keys that are kept in files, and the list of who was erased."""
    for name in (LOG_SECRET_FILE, MASTER_FILE, SIGNING_FILE, ERASED_FILE):
        if (source / name).exists():
            target.mkdir(mode=0o700, exist_ok=True)
            shutil.copy(source / name, target / name)


def _copy(source: Path, target: Path) -> None:
    """Copy a database as it is at one moment. Writers go on; the write-ahead log grows meanwhile.

    All pages in one step: a copy in several would begin anew whenever somebody writes.
    """
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)) as old,
        closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)
    target.chmod(0o600)
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- Going on from a shorter log -----------------------------------------------------------------


class Restored(msgspec.Struct, frozen=True):
    """Where the log ends now, what was seen of it before (None: nothing), and how they differ."""

    now: Seen
    seen: Seen | None
    backup: Seen | None
    differs: str


def compare(settings: Settings, seen_file: Path | None = None) -> Restored:
    """Compare the log with what was seen of it, here or as another machine's file says."""
    with _log_of(settings) as log:
        seen = read_seen(seen_file or settings.data_dir / FILE)
        return Restored(
            point_of(log),
            seen,
            read_seen(settings.data_dir / BACKUP_FILE),
            "" if seen is None else difference(log, seen),
        )


class Accepted(msgspec.Struct, frozen=True):
    """How many persons of the given list were not on ours, and what became of the transparency log,
    in words (empty where there is none).
    """

    erased: int
    transparency: str


def accept(
    settings: Settings, erased_file: Path | None = None, signed_file: Path | None = None
) -> Accepted:
    """Let the log as it is be the one that counts: forget whatever followed another story.

    `erased_file` is a newer list of who was erased, such as that of the machine that was lost:
    they are erased again before anybody is served. `signed_file` says what the transparency log
    signed last there, so that it may go on under its name where nothing of that is lost. Raises
    InUseError, and SettingsError where a list cannot be read or a new signing key has to be set.
    """
    with FollowLock(settings.data_dir) as lock, _log_of(settings) as log:
        if not lock.take():
            raise InUseError(f"A process follows the log into {settings.data_dir}: stop it first.")
        last, _ = log.last()
        told = go_on(settings, _accepting(settings, last, signed_file))
        work = Work(open_work(settings))
        work.clear()
        work.close()
        people = open_people_sync(settings)
        with people.begin() as connection:
            # Events that come now were told to nobody, whatever stood in their places before.
            connection.execute(
                update(MAIL_NEWS)
                .where(MAIL_NEWS.c.name == f"news/{log.log_id}", MAIL_NEWS.c.position > last)
                .values(position=last, stage=0, after=0)
            )
        people.dispose()
        for pattern in ("views.db", "views-*.db*", "search.db*", "snapshots.db*"):
            for path in settings.data_dir.glob(pattern):
                path.unlink()
        erased = 0
        if erased_file is not None:
            erased = list_of(settings).merge(ErasureList(erased_file).read())
        write_seen(settings.data_dir / FILE, point_of(log))
        (settings.data_dir / BACKUP_FILE).unlink(missing_ok=True)
        return Accepted(erased, told)


def _accepting(settings: Settings, last: int, signed_file: Path | None) -> Accepting:
    return Accepting(last, (settings.data_dir / BACKUP_FILE).exists(), signed_file)


def foretold(settings: Settings, signed_file: Path | None = None) -> str:
    """What accepting means for the transparency log, in a sentence. Raises SettingsError."""
    with _log_of(settings) as log:
        return foretell(settings, _accepting(settings, log.last()[0], signed_file))


@contextmanager
def _log_of(settings: Settings) -> Iterator[Log]:
    log = open_log(settings.database_url, settings.log_path)
    try:
        yield log
    finally:
        log.close()
