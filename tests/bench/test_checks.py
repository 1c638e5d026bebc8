"""A benchmark gives no figure for a wrong result: its own checks find what is planted."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.engine import CampaignDecider, Engine
from app.log import SQLiteLog
from bench import many_engines
from bench.batch_load import LINES, Told, _reason
from bench.campaigns import batch_body, in_lists, open_campaigns, pledges, random_ids, require_done
from bench.large_campaign import quantile
from bench.many_engines import REWARD, Done
from bench.servers import furnish
from bench.soak import slope
from bench.whole_way import Run, check, highest
from domain.ids import is_id
from domain.terms import Choice
from projections.runner import Follower
from projections.views import ViewsFile


def test_random_ids_are_ids_and_differ() -> None:
    """They are random UUIDs in the form that events take."""
    ids = list(random_ids(1_000))
    assert all(map(is_id, ids))
    assert len(set(ids)) == 1_000


def test_several_engines_are_compared_with_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pledge that was told and is not there is found, and so is a piece too many."""
    log = SQLiteLog(tmp_path / "log.db")
    with Engine(log, None, CampaignDecider()) as engine:
        (campaign,) = open_campaigns(engine, 1, rewards=(REWARD,))
        for results in in_lists(engine, pledges([campaign], 20, (Choice(REWARD.reward_id),)), 8):
            require_done(results)
    many_engines.check(log, [Done([(0.0, 15)], 0), Done([(0.0, 5)], 0)])
    with pytest.raises(SystemExit, match="21 pledges were acknowledged, 20 are in the log"):
        many_engines.check(log, [Done([(0.0, 21)], 0)])
    monkeypatch.setattr(many_engines, "PIECES", 19)
    with pytest.raises(SystemExit, match="19 pieces, 20 sold"):
        many_engines.check(log, [Done([(0.0, 20)], 3)])
    log.close()


def test_views_are_compared_with_what_was_acknowledged(tmp_path: Path) -> None:
    """A pledge that no view has is found."""
    site = furnish(tmp_path, "", campaigns=3)
    log = SQLiteLog(site.settings.log_path)
    with Engine(log, None, CampaignDecider()) as engine:
        require_done(engine.submit_many(pledges(site.campaigns, 10)))
    file = ViewsFile(site.settings.views_path)
    Follower(log.read, file, log_id=log.log_id).catch_up()
    check(site, site.position + 10)
    with pytest.raises(SystemExit, match="acknowledged 11 pledges, the views have 10"):
        check(site, site.position + 11)
    file.close_sync()
    log.close()


def test_the_highest_rate_is_found_from_the_asked_one_down() -> None:
    """Of a server that takes 30,000, but whose views are level in time up to 27,000 only."""

    class Server:
        def load(self, rate: float, seconds: float) -> Run:
            told = Told(int(min(rate, 30_000) * seconds), {}, seconds, 0.0, 0.0, 0.1, 0.1)
            return Run(told, 0, 0.5 if rate <= 27_000 else 1.5, "", {})

    assert highest(Server(), 38_000, 1.0) == 0.7 * 38_000  # type: ignore[arg-type]
    assert highest(Server(), 20_000, 1.0) == 20_000  # type: ignore[arg-type]
    assert highest(Server(), 80_000, 1.0) == 0.0  # type: ignore[arg-type]


def test_a_batch_has_a_pledge_of_its_own_in_each_line() -> None:
    """Ids are new, campaigns and backers are taken in turn."""
    lines = batch_body(["a", "b"], 10, [("who", "card")]).splitlines()
    assert len(set(lines)) == 10
    assert sum(b'"campaign_id":"a"' in line for line in lines) == 5
    assert all(b'"backer_id":"who"' in line and b'"card"' in line for line in lines)


def test_a_refused_batch_is_told_by_its_status() -> None:
    """A whole batch by its own, a line by the line's."""
    assert _reason(503, b"") == 503
    answers = b'{"line":1,"status":201}\n{"line":2,"status":409,"type":"x"}\n'
    assert _reason(200, answers) == 409
    assert LINES == 5_000


def test_the_arithmetic_is_right() -> None:
    """The quantile of waits, the slope of a line."""
    assert quantile([float(number) for number in range(100)], 99) == 99.0
    assert slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == pytest.approx(2.0)
