"""The history of Catarse (Brazil, 2011 to 2016): campaigns, and contributions per day.

Reads `projects.csv.gz` and `contributions_per_day.csv.gz` as published; amounts are BRL with
decimals and are rounded half to even to the centavo.
"""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from domain.terms import DAY_MS, Model

CURRENCY: Final = "BRL"
LISTED_DAYS: Final = 30
"""How long a project without a start date is taken to have been online, in days."""

_CENTAVO: Final = Decimal("0.01")

State = Literal["successful", "failed", "online", "waiting_funds"]


class DataError(Exception):
    """The files are not there, or are not what they should be."""


class DayTotal(Struct, frozen=True):
    """What came in on one day: a number of contributions and their sum in centavos."""

    day: int
    count: int
    amount_minor: int

    def amounts(self) -> Iterator[int]:
        """Split the day's sum into its number of contributions, as evenly as centavos allow."""
        each, rest = divmod(self.amount_minor, self.count)
        for index in range(self.count):
            yield each + (index < rest)


class Project(Struct, frozen=True, kw_only=True):
    """One campaign of the data. Days count from 1970-01-01, UTC."""

    project_id: str
    name: str
    model: Model
    goal_minor: int
    state: State
    launch_day: int
    end_day: int
    days: tuple[DayTotal, ...]

    @property
    def finished(self) -> bool:
        """Whether the data say how it ended."""
        return self.state in ("successful", "failed")


def read_projects(folder: Path) -> list[Project]:
    """Read every project with its contributions, in the order of their launch.

    A project is launched on the day of its first contribution at the latest and ends after its
    last one. Raises DataError.
    """
    try:
        totals = _read_totals(folder / "contributions_per_day.csv.gz")
        with gzip.open(folder / "projects.csv.gz", "rt", encoding="utf-8", newline="") as file:
            projects = [_project(row, totals) for row in csv.DictReader(file)]
    except OSError as fault:
        raise DataError(f"cannot read the data: {fault}") from fault
    except (KeyError, ValueError, ArithmeticError) as fault:
        raise DataError(f"the data are not as expected: {fault!r}") from fault
    return sorted(projects, key=lambda project: (project.launch_day, int(project.project_id)))


def to_minor(text: str) -> int:
    """Read reais with decimals as centavos, rounded half to even."""
    return int(Decimal(text).quantize(_CENTAVO, ROUND_HALF_EVEN) * 100)


def _read_totals(path: Path) -> dict[str, list[DayTotal]]:
    totals: dict[str, list[DayTotal]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            day = DayTotal(_day(row["paid_at"]), int(row["total"]), to_minor(row["total_amount"]))
            totals[row["project_id"]].append(day)
    return totals


def _project(row: dict[str, str], totals: dict[str, list[DayTotal]]) -> Project:
    days = sorted(totals.get(row["project_id"], ()), key=lambda total: total.day)
    starts = [_day(row["online_date"])] if row["online_date"] else []
    ends = [_day(row["expires_at"]) + 1] if row["expires_at"] else []
    if days:
        starts.append(days[0].day)
        ends.append(days[-1].day + 1)
    if not starts:
        starts.append(max(ends) - LISTED_DAYS)
    launch_day = min(starts)
    return Project(
        project_id=row["project_id"],
        name=row["name"],
        model="all_or_nothing" if row["mode"] == "aon" else "flexible",
        goal_minor=to_minor(row["goal"]),
        state=_state(row["state"]),
        launch_day=launch_day,
        end_day=max((launch_day + 1, *ends)),
        days=tuple(days),
    )


def _state(text: str) -> State:
    match text:
        case "successful" | "failed" | "online" | "waiting_funds":
            return text
        case _:
            raise ValueError(f"unknown state {text!r}")


def _day(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000) // DAY_MS
