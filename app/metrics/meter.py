"""What is counted while the platform runs, and how Prometheus reads it.

Each process counts in plain numbers, which costs next to nothing, and writes them once a second to
a file of its own in the data directory, `run/<process>.json`. Whoever is asked for `/metrics` puts
the files together, each under its process's name, and adds what follows from the stores: positions,
lags, what waits, what does not add up. A process that was started anew counts from 0 again, as
Prometheus expects of a counter. Nothing names a person or a campaign.
"""

from __future__ import annotations

import bisect
import os
import resource
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from app.audit.last import LastAudit
from app.engine import NotCommitted, Outcome
from app.engine.waiting import Entry
from app.log import CommitUnknown
from domain.errors import Rejection

FOLDER: Final = "run"
"""Where in the data directory processes say how they are."""

FOLLOWING: Final = "follow"
"""The name of the process that follows the log, or does everything: there is one in a directory."""

STALE_S: Final = 10.0
"""A report older than this is of a process that ended, or hangs."""

TURN_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
TURN_COMMANDS: Final = (1, 4, 16, 64, 256, 1024, 2048, 4096)

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """How what follows the log stands. A fault is empty while all is well. `snapshots` is up to
    where snapshots were looked after; `fork` says why the log is not the one that was seen,
    `tree_fault` why the transparency log signs, publishes or opens nothing more; `tree_stopped`
    that it signs nothing until people look after it.
    """

    views_fault: str = ""
    work_fault: str = ""
    mail_fault: str = ""
    fork: str = ""
    snapshots: int = 0
    tree_fault: str = ""
    tree_stopped: bool = False


class Distribution(msgspec.Struct):
    """How often a value fell under each bound (the last place: above all of them), and its sum."""

    bounds: tuple[float, ...]
    counts: list[int]
    total: float = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value


def distribution(bounds: Sequence[float]) -> Distribution:
    """One that has counted nothing."""
    return Distribution(tuple(bounds), [0] * (len(bounds) + 1))


class Report(msgspec.Struct, kw_only=True):
    """What one process says of itself. Times are Unix seconds."""

    process: str
    pid: int
    at: float
    started_at: float
    cpu_s: float
    resident_bytes: int
    turn_seconds: Distribution
    turn_commands: Distribution
    events: int
    commands: dict[str, int]
    waiting: int
    requests: list[tuple[str, int, int]]
    in_flight: int
    answers: list[tuple[str, str, int]]
    calls: dict[str, tuple[int, float]]
    standing: Standing | None = None


class Meter:
    """What one process counts. The engine's thread tells of turns, the event loop of requests, any
    thread of calls to the provider.
    """

    def __init__(self, process: str = "server") -> None:
        self.process = process
        self.in_flight = 0
        self.unrecorded_at: float | None = None
        """When a turn could last not be recorded, if none was since; the process' own clock."""
        self.requests: Counter[tuple[str, int]] = Counter()
        self._started_at = time.time()
        self._turn_seconds = distribution(TURN_SECONDS)
        self._turn_commands = distribution(TURN_COMMANDS)
        self._events = 0
        self._commands: Counter[str] = Counter()
        self._answers: Counter[tuple[str, str]] = Counter()
        self._calls: dict[str, tuple[int, float]] = {}
        self._calling = threading.Lock()

    # --- The engine's observer -------------------------------------------------------------------

    def turn(self, seconds: float, commands: int, events: int) -> None:
        """An append turn ended."""
        self._turn_seconds.add(seconds)
        self._turn_commands.add(commands)
        self._events += events

    def answered(self, entries: Iterable[Entry]) -> None:
        """These commands have their results; those without one wait for the next turn."""
        # Once for each command: counted by type first, and told apart by type after that.
        results = [job.results[index] for job, index in entries]
        kinds = Counter(map(type, results))
        if Outcome in kinds:
            self.unrecorded_at = None
        elif NotCommitted in kinds or CommitUnknown in kinds:
            self.unrecorded_at = time.monotonic()
        for kind, number in kinds.items():
            if kind is Outcome:
                again = sum(one.repeated for one in results if type(one) is Outcome)
                self._commands["repeated"] += again
                self._commands["accepted"] += number - again
            elif kind is not AssertionError:
                self._commands[_outcome(kind)] += number

    # --- The provider ----------------------------------------------------------------------------

    def called(self, kind: str, seconds: float, results: Sequence[str]) -> None:
        """The provider was asked something; `results` has a word for each request of the call."""
        with self._calling:
            number, total = self._calls.get(kind, (0, 0.0))
            self._calls[kind] = number + 1, total + seconds
            self._answers.update((kind, result) for result in results)

    # --- Telling ---------------------------------------------------------------------------------

    def report(
        self, *, waiting: int = 0, turned_away: int = 0, standing: Standing | None = None
    ) -> Report:
        """Everything counted so far, and what the engine says of its queue."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        requests = dict(self.requests)  # copied in one step: the loop counts on
        with self._calling:
            answers, calls = dict(self._answers), dict(self._calls)
        return Report(
            process=self.process,
            pid=os.getpid(),
            at=time.time(),
            started_at=self._started_at,
            cpu_s=used.ru_utime + used.ru_stime,
            resident_bytes=_resident(),
            turn_seconds=self._turn_seconds,
            turn_commands=self._turn_commands,
            events=self._events,
            commands=dict(self._commands) | {"busy": turned_away},
            waiting=waiting,
            requests=[(route, status, number) for (route, status), number in requests.items()],
            in_flight=self.in_flight,
            answers=[(kind, result, number) for (kind, result), number in answers.items()],
            calls=calls,
            standing=standing,
        )


_OUTCOMES: Final[tuple[tuple[type[object], str], ...]] = (
    (Outcome, "accepted"),
    (Rejection, "rejected"),
    (CommitUnknown, "unknown"),
    (NotCommitted, "not_recorded"),
)


def _outcome(kind: type[object]) -> str:
    return next((word for base, word in _OUTCOMES if issubclass(kind, base)), "failed")


def _resident() -> int:
    """The memory that this process holds, in bytes."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - once a second, without a Path
        return int(file.read().split()[1]) * resource.getpagesize()


# --- Files ---------------------------------------------------------------------------------------


def write_report(data_dir: Path, report: Report) -> None:
    """Say how this process is, in one step; nothing is lost with it."""
    folder = data_dir / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{report.process}.json"
    fresh = path.with_suffix(f".{report.pid}.new")
    fresh.write_bytes(msgspec.json.encode(report))
    fresh.replace(path)


def remove_report(data_dir: Path, process: str) -> None:
    """A process ends in good order."""
    (data_dir / FOLDER / f"{process}.json").unlink(missing_ok=True)


def read_report(data_dir: Path, process: str) -> Report | None:
    """One process's report; None where it is gone, old, or of another version."""
    path = data_dir / FOLDER / f"{process}.json"
    try:
        report = msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError):
        return None
    return report if 0 <= time.time() - report.at < STALE_S else None


def read_reports(data_dir: Path) -> list[Report]:
    """The reports of every process that works on this data directory now."""
    names = sorted(path.stem for path in (data_dir / FOLDER).glob("*.json"))
    found = (read_report(data_dir, name) for name in names)
    return [report for report in found if report is not None]


# --- The exposition ------------------------------------------------------------------------------


class Lag(msgspec.Struct, frozen=True):
    """By how much a follower is behind: events, and for how many seconds the first has waited."""

    events: int
    seconds: float


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the stores say at this moment, whichever process wrote it."""

    position: int
    last_at: int
    lags: dict[str, Lag]
    faults: dict[str, bool]
    imbalance_minor: dict[str, int]
    discrepancies: int
    troubles: int
    work: dict[str, int]
    mails_waiting: int
    checkpoint_size: int = 0
    checkpoint_at: int = 0
    audit: LastAudit = LastAudit()


def exposition(reports: Sequence[Report], facts: Facts) -> bytes:
    """Everything in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Metrics([*_of_processes(reports), *_of_stores(facts)]))
    return generate_latest(registry)


class _Metrics(Collector):
    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _of_processes(reports: Sequence[Report]) -> Iterator[Metric]:
    each = ["process"]
    turns = HistogramMetricFamily(
        "tributary_turn_seconds", "An append turn, from its first look to its commit.", labels=each
    )
    batch = HistogramMetricFamily(
        "tributary_turn_commands", "Commands decided in one append turn.", labels=each
    )
    events = CounterMetricFamily("tributary_events", "Events written to the log.", labels=each)
    commands = CounterMetricFamily(
        "tributary_commands", "Commands by what they were answered.", labels=[*each, "outcome"]
    )
    waiting = GaugeMetricFamily(
        "tributary_commands_waiting", "Commands in the engine's queue.", labels=each
    )
    requests = CounterMetricFamily(
        "tributary_http_requests", "Answers by route and status.", labels=[*each, "route", "status"]
    )
    flight = GaugeMetricFamily(
        "tributary_http_requests_in_flight", "Requests under way.", labels=each
    )
    answers = CounterMetricFamily(
        "tributary_provider_requests",
        "Requests to the payment provider by what became of them.",
        labels=[*each, "kind", "result"],
    )
    calls = SummaryMetricFamily(
        "tributary_provider_call_seconds", "Calls to the payment provider.", labels=[*each, "kind"]
    )
    started = GaugeMetricFamily(
        "tributary_process_start_time_seconds", "When the process began, Unix time.", labels=each
    )
    cpu = CounterMetricFamily("tributary_process_cpu_seconds", "Processor time.", labels=each)
    memory = GaugeMetricFamily(
        "tributary_process_resident_memory_bytes", "Memory that the process holds.", labels=each
    )
    for report in reports:
        name = [report.process]
        turns.add_metric(name, _buckets(report.turn_seconds), report.turn_seconds.total)
        batch.add_metric(name, _buckets(report.turn_commands), report.turn_commands.total)
        events.add_metric(name, report.events)
        for outcome in ("accepted", "rejected", "repeated", "busy", "unknown"):
            commands.add_metric([*name, outcome], report.commands.get(outcome, 0))
        for outcome in ("not_recorded", "failed"):
            commands.add_metric([*name, outcome], report.commands.get(outcome, 0))
        waiting.add_metric(name, report.waiting)
        for route, status, number in report.requests:
            requests.add_metric([*name, route, str(status)], number)
        flight.add_metric(name, report.in_flight)
        for kind, result, number in report.answers:
            answers.add_metric([*name, kind, result], number)
        for kind, (number, seconds) in report.calls.items():
            calls.add_metric([*name, kind], number, seconds)
        started.add_metric(name, report.started_at)
        cpu.add_metric(name, report.cpu_s)
        memory.add_metric(name, report.resident_bytes)
    yield from (turns, batch, events, commands, waiting, requests, flight, answers, calls)
    yield from (started, cpu, memory)


def _buckets(counted: Distribution) -> list[tuple[str, float]]:
    """Cumulated, as Prometheus has them."""
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, number in zip((*counted.bounds, "+Inf"), counted.counts, strict=True):
        total += number
        buckets.append((str(bound), total))
    return buckets


def _of_stores(facts: Facts) -> Iterator[Metric]:
    yield _gauge("tributary_log_position", "The position of the log's last event.", facts.position)
    yield _gauge(
        "tributary_log_last_event_time_seconds",
        "When the log's last event was recorded, Unix time.",
        facts.last_at / 1000,
    )
    lag_events = GaugeMetricFamily(
        "tributary_follower_lag_events", "Events not followed yet.", labels=["follower"]
    )
    lag_seconds = GaugeMetricFamily(
        "tributary_follower_lag_seconds",
        "How long the first event that was not followed yet has been in the log.",
        labels=["follower"],
    )
    for follower, lag in facts.lags.items():
        lag_events.add_metric([follower], lag.events)
        lag_seconds.add_metric([follower], lag.seconds)
    yield from (lag_events, lag_seconds)
    faults = GaugeMetricFamily(
        "tributary_follower_fault",
        "1 where a follower stands still, or is not running.",
        labels=["follower"],
    )
    for follower, stands_still in facts.faults.items():
        faults.add_metric([follower], stands_still)
    yield faults
    imbalance = GaugeMetricFamily(
        "tributary_ledger_imbalance_minor",
        "The sum of every account's balance, in minor units: 0.",
        labels=["currency"],
    )
    for currency, amount in facts.imbalance_minor.items():
        imbalance.add_metric([currency], amount)
    yield imbalance
    yield _gauge(
        "tributary_discrepancies_open",
        "Reports of the provider that fit nothing and that staff did not settle.",
        facts.discrepancies,
    )
    yield _gauge(
        "tributary_work_troubles", "Rows of work whose last attempt failed.", facts.troubles
    )
    work = GaugeMetricFamily("tributary_work_rows", "Rows of work that wait.", labels=["kind"])
    for kind, number in facts.work.items():
        work.add_metric([kind], number)
    yield work
    yield _gauge("tributary_mails_waiting", "Mails that wait to be sent.", facts.mails_waiting)
    yield _gauge(
        "tributary_checkpoint_size",
        "How many events the last published checkpoint covers.",
        facts.checkpoint_size,
    )
    yield _gauge(
        "tributary_checkpoint_time_seconds",
        "When the last published checkpoint was signed, Unix time.",
        facts.checkpoint_at / 1000,
    )
    yield from _of_audit(facts.audit)


def _of_audit(audit: LastAudit) -> Iterator[Metric]:
    """What the last audit found; nothing of what never ran."""
    ended = GaugeMetricFamily(
        "tributary_audit_time_seconds",
        "When the last verification and the last replay ended, Unix time.",
        labels=["audit"],
    )
    reached = GaugeMetricFamily(
        "tributary_audit_position", "Up to which position they looked.", labels=["audit"]
    )
    for name, half in (("verify", audit.verify), ("replay", audit.replay)):
        if half is not None:
            ended.add_metric([name], half.at / 1000)
            reached.add_metric([name], half.position)
    yield from (ended, reached)
    if audit.verify is not None:
        yield _gauge(
            "tributary_audit_findings",
            "What the last verification found wrong: 0.",
            audit.verify.violations,
        )
    if audit.replay is not None:
        yield _gauge(
            "tributary_audit_differs",
            "1 where the last replay differed from what the pages show.",
            not audit.replay.identical,
        )


def _gauge(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, what, value=value)
