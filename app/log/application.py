"""The log as an application of the `eventsourcing` library.

For tools and tests that speak the library's interfaces; the engine's append turn writes the same
rows without the library's cost per event.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from eventsourcing.application import Application
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    InfrastructureFactoryError,
    Mapper,
    ProcessRecorder,
    TrackingRecorder,
)
from eventsourcing.utils import Environment

from app.log.mapper import EventMapper
from app.log.opening import open_log, open_snapshots
from app.log.postgres import PostgresLog
from app.log.postgres_snapshots import PostgresSnapshots
from app.log.snapshots import SQLiteSnapshots
from app.log.sqlite import SQLiteLog

LOG_PATH: Final = "TRIBUTARY_LOG_PATH"
"""The environment's name for the path of the log's database file."""
LOG_URL: Final = "TRIBUTARY_LOG_URL"
"""The environment's name for the URL of the log's PostgreSQL database, instead of a path."""


class LogFactory(InfrastructureFactory[TrackingRecorder]):
    """Builds our recorders on the log file or database that the environment names."""

    def __init__(self, env: Environment) -> None:
        super().__init__(env)
        path, self._url = self.env.get(LOG_PATH), self.env.get(LOG_URL) or ""
        if not path and not self._url:
            raise InfrastructureFactoryError(f"neither {LOG_PATH} nor {LOG_URL} is set")
        self._path = Path(path or ".")
        self._open: list[SQLiteLog | SQLiteSnapshots | PostgresLog | PostgresSnapshots] = []

    def application_recorder(self) -> ApplicationRecorder:
        """Open the log."""
        log = open_log(self._url, self._path)
        self._open.append(log)
        return log

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        """Open the snapshots beside the log; there is no other aggregate recorder."""
        if purpose != "snapshots":
            raise InfrastructureFactoryError(f"the log has no aggregate recorder for {purpose}")
        snapshots = open_snapshots(self._url, self._path.with_name("snapshots.db"))
        self._open.append(snapshots)
        return snapshots

    def tracking_recorder(
        self,
        tracking_recorder_class: type[TrackingRecorder] | None = None,  # noqa: ARG002
    ) -> TrackingRecorder:
        """Refuse: each projection keeps its checkpoint beside its own rows."""
        raise InfrastructureFactoryError("projections keep their checkpoints beside their rows")

    def process_recorder(self) -> ProcessRecorder:
        """Refuse: processes keep their checkpoints beside their own work."""
        raise InfrastructureFactoryError("processes keep their checkpoints beside their work")

    def close(self) -> None:
        """Close what was opened."""
        while self._open:
            self._open.pop().close()


class TributaryLog(Application[str]):
    """The library's view of one log: save LoggedEvents, read streams and the notification log."""

    def construct_factory(self, env: Environment) -> InfrastructureFactory[TrackingRecorder]:
        """Build on our recorders, whatever PERSISTENCE_MODULE says."""
        return LogFactory(env)

    def construct_mapper(self) -> Mapper[str]:
        """Map with the domain's own codec."""
        return EventMapper(self.construct_transcoder())
