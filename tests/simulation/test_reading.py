"""The history of Catarse is read as published, and split into single contributions."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from app.simulation.catarse import DataError, DayTotal, read_projects, to_minor

PROJECTS = (
    "project_id,user_id,name,permalink,category_name,goal,pledged,state,mode,online_date,"
    "expires_at,total_contributions,total_contributors\n"
)
DAYS = "project_id,paid_at,total,total_amount\n"


def _write(folder: Path, projects: str, days: str) -> Path:
    with gzip.open(folder / "projects.csv.gz", "wt", encoding="utf-8") as file:
        file.write(PROJECTS + projects)
    with gzip.open(folder / "contributions_per_day.csv.gz", "wt", encoding="utf-8") as file:
        file.write(DAYS + days)
    return folder


def test_amounts_are_rounded_half_to_even_to_the_centavo() -> None:
    """Half a centavo goes to the even one, whatever binary fractions would say."""
    assert [to_minor(text) for text in ("1.005", "1.015", "2.675", "10.0", "0.125")] == [
        100,
        102,
        268,
        1000,
        12,
    ]


def test_a_days_sum_is_split_without_losing_a_centavo() -> None:
    """Seven contributions of 100 centavos together differ by at most one."""
    amounts = list(DayTotal(0, 7, 100).amounts())
    assert sum(amounts) == 100
    assert max(amounts) - min(amounts) == 1


def test_a_project_ends_after_its_last_contribution(tmp_path: Path) -> None:
    """1,664 finished campaigns of the source have contributions after their stated end."""
    folder = _write(
        tmp_path,
        "7,1,A,a,C,40.0,45.0,successful,aon,2011-01-20 02:59:59.000000,"
        "2011-03-22 02:59:59.000000,2,2\n",
        "7,2011-04-01,1,25.0\n7,2011-01-16,1,20.0\n",
    )
    (project,) = read_projects(folder)
    assert [day.day for day in project.days] == [14990, 15065]
    assert project.launch_day == 14990
    assert project.end_day == 15066
    assert (project.model, project.goal_minor, project.finished) == ("all_or_nothing", 4000, True)


def test_a_file_that_is_not_the_data_is_named(tmp_path: Path) -> None:
    """Nonsense ends in one clear error, not in a traceback of another kind."""
    with pytest.raises(DataError, match="cannot read"):
        read_projects(tmp_path)
    with pytest.raises(DataError, match="not as expected"):
        read_projects(_write(tmp_path, "7,1,A,a,C,much,1,failed,aon,2011-01-20,,1,1\n", ""))


def test_the_published_numbers_are_met() -> None:
    """6,867 campaigns, 406,871 contributions, 38,287,993.47 BRL, 4,389 of 4,394 as the source."""
    default = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("TRIBUTARY_SHARED_DATA", default)) / "catarse"
    if not folder.is_dir():
        pytest.skip("the Catarse data are not beside the project")
    projects = read_projects(folder)
    days = [day for project in projects for day in project.days]
    finished = [p for p in projects if p.finished and p.model == "all_or_nothing"]
    as_source = [
        project
        for project in finished
        if (sum(day.amount_minor for day in project.days) >= project.goal_minor)
        == (project.state == "successful")
    ]
    assert len(projects) == 6_867
    assert sum(day.count for day in days) == 406_871
    assert sum(day.amount_minor for day in days) == 3_828_799_347
    assert (len(finished), len(as_source)) == (4_394, 4_389)
    assert all(min(day.amounts()) >= 1 for day in days)
