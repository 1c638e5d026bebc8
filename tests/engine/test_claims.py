"""A pledge's id exists once in the whole log, whatever the campaign (rule 4)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine import CampaignDecider, Engine, NotCommitted, Outcome
from app.engine.claims import Claims, Kept, claims_of, load_claims, save_claims
from app.log import (
    PostgresLog,
    PostgresSnapshots,
    SQLiteLog,
    SQLiteSnapshots,
    TurnHooks,
    open_log,
    open_snapshots,
)
from domain import commands as c
from domain.errors import ContentInvalid, PledgeIdReused
from domain.state import Campaign
from domain.terms import DAY_MS, Submission, Terms

Log = SQLiteLog | PostgresLog
Snapshots = SQLiteSnapshots | PostgresSnapshots
NOW = 1_700_000_000_000


def _new_id() -> str:
    return str(uuid.uuid4())


def _engine(log: Log) -> Engine[Campaign]:
    return Engine(log, None, CampaignDecider(), clock=lambda: NOW)


def _launched(engine: Engine[Campaign]) -> str:
    campaign_id, creator = _new_id(), _new_id()
    submission = Submission(
        creator=creator,
        model="all_or_nothing",
        currency="JPY",
        goal_minor=1_000,
        deadline_at=NOW + 30 * DAY_MS,
        terms=Terms(),
    )
    about: dict[str, Any] = {"campaign_id": campaign_id}
    for command in (
        c.SubmitCampaign(
            **about,
            by=f"creator:{creator}",
            command_id=_new_id(),
            channel=_new_id(),
            submission=submission,
        ),
        c.ApproveCampaign(**about, by=f"staff:{_new_id()}", command_id=_new_id()),
        c.LaunchCampaign(**about, by=f"creator:{creator}", command_id=_new_id()),
    ):
        engine.submit(command)
    return campaign_id


def _pledge(campaign_id: str, pledge_id: str, backer: str) -> c.MakePledge:
    return c.MakePledge(
        campaign_id=campaign_id,
        by=f"backer:{backer}",
        command_id=_new_id(),
        pledge_id=pledge_id,
        backer=backer,
        amount_minor=100,
    )


def test_another_campaign_refuses_a_pledge_id(database_url: str, tmp_path: Path) -> None:
    """A client that retries with another campaign does not pledge twice; with the same it may."""
    log = open_log(database_url, tmp_path / "log.db")
    with _engine(log) as engine:
        one, other = _launched(engine), _launched(engine)
        pledge_id, backer = _new_id(), _new_id()
        first = engine.submit(_pledge(one, pledge_id, backer))
        with pytest.raises(PledgeIdReused):
            engine.submit(_pledge(other, pledge_id, backer))
        again = engine.submit(_pledge(one, pledge_id, backer))
    assert (again.position, again.repeated) == (first.position, True)
    log.close()


def test_two_campaigns_in_one_turn(database_url: str, tmp_path: Path) -> None:
    """Of two pledges with one id in the same turn the second is refused."""
    log = open_log(database_url, tmp_path / "log.db")
    with _engine(log) as engine:
        one, other = _launched(engine), _launched(engine)
        pledge_id, backer = _new_id(), _new_id()
        answers = engine.submit_many(
            [_pledge(one, pledge_id, backer), _pledge(other, pledge_id, backer)]
        )
    assert isinstance(answers[0], Outcome)
    assert isinstance(answers[1], PledgeIdReused)
    log.close()


def test_another_process_refuses_a_pledge_id(database_url: str, tmp_path: Path) -> None:
    """Two engines on one log see each other's claims, also after a refused pledge of that id."""
    log = open_log(database_url, tmp_path / "log.db")
    with _engine(log) as one_engine, _engine(log) as other_engine:
        one, other = _launched(one_engine), _launched(other_engine)
        pledge_id, backer = _new_id(), _new_id()
        one_engine.submit(_pledge(one, pledge_id, backer))
        with pytest.raises(PledgeIdReused):
            other_engine.submit(_pledge(other, pledge_id, backer))
    log.close()


def test_a_new_engine_knows_the_claims_of_the_log(database_url: str, tmp_path: Path) -> None:
    """They follow from the events, so that a restart forgets none."""
    log = open_log(database_url, tmp_path / "log.db")
    with _engine(log) as engine:
        one, other = _launched(engine), _launched(engine)
        pledge_id, backer = _new_id(), _new_id()
        engine.submit(_pledge(one, pledge_id, backer))
    with _engine(log) as engine, pytest.raises(PledgeIdReused):
        engine.submit(_pledge(other, pledge_id, backer))
    log.close()


def test_a_turn_that_was_not_recorded_claims_nothing(database_url: str, tmp_path: Path) -> None:
    """The id is free for another campaign, as if the pledge had never been tried."""
    log = open_log(database_url, tmp_path / "log.db")
    with _engine(log) as engine:
        one, other = _launched(engine), _launched(engine)
        pledge_id, backer = _new_id(), _new_id()
        log.hooks = TurnHooks(before_commit=_fail)
        with pytest.raises(NotCommitted):
            engine.submit(_pledge(one, pledge_id, backer))
        log.hooks = TurnHooks()
        assert not engine.submit(_pledge(other, pledge_id, backer)).repeated
    log.close()


def _fail() -> None:
    raise OSError("the disk is full")


def test_an_id_that_is_none_is_the_rules_to_refuse(database_url: str, tmp_path: Path) -> None:
    """What is no UUID claims nothing; the campaign says what is wrong with it."""
    log = open_log(database_url, tmp_path / "log.db")
    with _engine(log) as engine:
        one = _launched(engine)
        for wrong in ("", "no id", "-1", "f" * 36):
            with pytest.raises(ContentInvalid):
                engine.submit(_pledge(one, wrong, _new_id()))
    log.close()


# --- Snapshots of the claims ---------------------------------------------------------------------


@pytest.fixture
def made(database_url: str, tmp_path: Path) -> Iterator[tuple[Log, Snapshots, list[str]]]:
    """A log with thirty pledges, a place for snapshots, and the pledges' ids."""
    log, snapshots = (
        open_log(database_url, tmp_path / "log.db"),
        open_snapshots(database_url, tmp_path / "snapshots.db"),
    )
    ids = [_new_id() for _ in range(30)]
    with _engine(log) as engine:
        campaign = _launched(engine)
        for pledge_id in ids:
            engine.submit(_pledge(campaign, pledge_id, _new_id()))
    yield log, snapshots, ids
    snapshots.close()
    log.close()


def _names(ids: list[str]) -> set[int]:
    decider = CampaignDecider()
    names = {decider.claim(_pledge("", pledge_id, "")) for pledge_id in ids}
    return {name for name in names if name is not None}


Made = tuple[Log, Snapshots, list[str]]


def test_a_snapshot_and_the_tail_make_the_same_claims(made: Made) -> None:
    """Wherever it was taken, and it is told how much of the log need not be read."""
    log, snapshots, ids = made
    decider, last = CampaignDecider(), log.last()[0]
    for until in (1, 10, last):
        claims, kept = load_claims(log, None, decider, until)
        assert kept == 0
        save_claims(log, snapshots, decider, Kept(until, claims.runs()))
        again, kept = load_claims(log, snapshots, decider, last)
        assert kept == until
        assert again.known(list(_names(ids))) == _names(ids)
        assert len(again) == len(ids)


def test_a_snapshot_of_another_log_is_not_used(made: Made, tmp_path: Path) -> None:
    """Nor one that is damaged, or ahead of a log that was restored."""
    log, snapshots, ids = made
    decider, last = CampaignDecider(), log.last()[0]
    other = SQLiteLog(tmp_path / "other.db")
    with _engine(other) as engine:
        campaign = _launched(engine)
        for _ in range(30):
            engine.submit(_pledge(campaign, _new_id(), _new_id()))
    claims, _ = load_claims(other, None, decider, last)
    save_claims(other, snapshots, decider, Kept(last, claims.runs()))
    other.close()
    found, kept = load_claims(log, snapshots, decider, last)
    assert kept == 0
    assert found.known(list(_names(ids))) == _names(ids)
    mine, _ = load_claims(log, None, decider, last)
    save_claims(log, snapshots, decider, Kept(last, tuple(run[::-1] for run in mine.runs())))
    assert load_claims(log, snapshots, decider, last)[1] == 0
    save_claims(log, snapshots, decider, Kept(last, mine.runs()))
    assert load_claims(log, snapshots, decider, last)[1] == last
    assert load_claims(log, snapshots, decider, last - 1)[1] == 0


def test_the_engine_saves_its_claims(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once enough has come, beside the turns."""
    monkeypatch.setattr("app.engine.engine.LEAST_TAIL", 20)
    log, snapshots = (
        open_log(database_url, tmp_path / "log.db"),
        open_snapshots(database_url, tmp_path / "snapshots.db"),
    )
    with Engine(log, snapshots, CampaignDecider(), clock=lambda: NOW) as engine:
        campaign = _launched(engine)
        ids = [_new_id() for _ in range(25)]
        for pledge_id in ids:
            engine.submit(_pledge(campaign, pledge_id, _new_id()))
    claims, kept = load_claims(log, snapshots, CampaignDecider(), log.last()[0])
    assert kept >= 20
    assert claims.known(list(_names(ids))) == _names(ids)
    snapshots.close()
    log.close()


@given(
    st.lists(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 60), max_size=30), max_size=12),
    st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 70), max_size=40),
)
def test_claims_are_a_set(added: list[list[int]], asked: list[int]) -> None:
    """However they are sorted and merged, they answer as a set would."""
    claims, plain = Claims(recent=8), set[int]()
    for names in added:
        claims.add(names)
        plain.update(names)
        assert claims.known(asked) == plain & set(asked)
    again = Claims(claims.runs(), recent=8)
    assert again.known(asked) == plain & set(asked)


def test_there_are_few_runs() -> None:
    """Each is four times as long as the next, so that a look-up asks a handful."""
    claims = Claims(recent=10)
    for start in range(0, 10_000, 7):
        claims.add(range(start, start + 7))
    assert len(claims.runs()) <= 7
    assert len(claims) == 10_003


def test_a_pledge_that_cannot_be_read_stops_nobody_else(made: Made) -> None:
    """Its own campaign tells what is wrong with it; the log's other claims are known."""
    log, _, ids = made
    rows = log.read(0, 100)
    rows[10] = rows[10]._replace(body=b"{")
    claimed = claims_of(CampaignDecider(), rows)
    assert len(claimed) == len(ids) - 1


def test_a_merge_that_fails_loses_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no memory for it, the runs stay as they were."""
    claims = Claims(recent=4)
    claims.add(range(4))
    monkeypatch.setattr("app.engine.claims.np.concatenate", _no_memory)
    with pytest.raises(MemoryError):
        claims.add(range(10, 14))
    assert claims.known([0, 3, 10, 13, 20]) == {0, 3, 10, 13}


def _no_memory(_: object) -> None:
    raise MemoryError
