"""A second kind of stream through the one engine: persons beside campaigns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.engine import Engine, PlatformDecider, SnapshotFollower
from app.log import decode_row, open_log, open_snapshots
from app.log.ports import EventLog
from domain import errors
from domain.commands import EraseSubject, SubmitCampaign
from domain.events import SubjectErased
from domain.state import Phase
from domain.terms import DAY_MS, Submission, Terms
from tests.domain.scenario import CHANNEL, CREATOR, CREATOR_ID, START, an_id

PARTY, CAMPAIGN = an_id(7), an_id(9)


@pytest.fixture
def log(tmp_path: Path, database_url: str) -> Iterator[EventLog]:
    """An empty log on both stores."""
    log = open_log(database_url, tmp_path / "log.db")
    yield log
    log.close()


def erase(party: str = PARTY, by: str = "system:erasure") -> EraseSubject:
    """Ask that somebody be erased."""
    return EraseSubject(party=party, by=by, command_id=an_id(8))


def submit() -> SubmitCampaign:
    """Hand in a campaign."""
    submission = Submission(
        creator=CREATOR_ID,
        model="all_or_nothing",
        currency="BRL",
        goal_minor=10_000,
        deadline_at=START + 30 * DAY_MS,
        terms=Terms(),
    )
    return SubmitCampaign(
        campaign_id=CAMPAIGN,
        by=CREATOR,
        command_id=an_id(10),
        channel=CHANNEL,
        submission=submission,
    )


def test_persons_and_campaigns_are_decided_in_one_turn(log: EventLog) -> None:
    """Each by its own rules, in one order, whoever writes; erased again changes nothing."""
    with Engine(log, None, PlatformDecider(), clock=lambda: START) as engine:
        asked = engine.submit_many([erase(), submit(), erase(), erase(by=CREATOR), erase(an_id(1))])
        assert isinstance(asked[3], errors.NotAllowed)
        assert [len(each.events) for each in asked if not isinstance(each, Exception)] == [
            1,
            1,
            0,
            1,
        ]
        with Engine(log, None, PlatformDecider(), clock=lambda: START) as other:
            assert other.submit(erase(an_id(2))).position == 4
            assert other.submit(erase(an_id(1))).events == ()
        assert engine.submit(erase(an_id(2))).events == ()
        assert engine.inspect(CAMPAIGN, lambda state: state.phase) is Phase.SUBMITTED
    rows = log.read(0, 10)
    assert [row.stream for row in rows] == [
        f"subject:{PARTY}",
        f"campaign:{CAMPAIGN}",
        f"subject:{an_id(1)}",
        f"subject:{an_id(2)}",
    ]
    assert isinstance(decode_row(rows[0]), SubjectErased)


def test_no_snapshot_is_taken_of_a_person(tmp_path: Path) -> None:
    """A person's stream ends with its first fact."""
    log, snapshots = open_log("", tmp_path / "log.db"), open_snapshots("", tmp_path / "s.db")
    with Engine(log, snapshots, PlatformDecider(), clock=lambda: START) as engine:
        engine.submit_many([erase(), submit()])
    assert SnapshotFollower(log, snapshots, PlatformDecider(), 1).take_due_snapshots() == 1
    assert snapshots.head(f"subject:{PARTY}", PlatformDecider.schema) is None
    snapshots.close()
    log.close()
