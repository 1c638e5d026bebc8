"""A pledge's id exists once in the whole log, whatever the campaign (rule 4)."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from app.engine import CampaignDecider, Engine, Outcome
from app.log import SQLiteLog
from domain import commands as c
from domain.errors import PledgeIdReused
from domain.state import Campaign
from domain.terms import DAY_MS, Submission, Terms

NOW = 1_700_000_000_000


def _new_id() -> str:
    return str(uuid.uuid4())


def _engine(log: SQLiteLog) -> Engine[Campaign]:
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


def test_another_campaign_refuses_a_pledge_id(tmp_path: Path) -> None:
    """A client that retries with another campaign does not pledge twice; with the same it may."""
    log = SQLiteLog(tmp_path / "log.db")
    with _engine(log) as engine:
        one, other = _launched(engine), _launched(engine)
        pledge_id, backer = _new_id(), _new_id()
        first = engine.submit(_pledge(one, pledge_id, backer))
        with pytest.raises(PledgeIdReused):
            engine.submit(_pledge(other, pledge_id, backer))
        again = engine.submit(_pledge(one, pledge_id, backer))
    assert (again.position, again.repeated) == (first.position, True)
    log.close()


def test_two_campaigns_in_one_turn(tmp_path: Path) -> None:
    """Of two pledges with one id in the same turn the second is refused."""
    log = SQLiteLog(tmp_path / "log.db")
    with _engine(log) as engine:
        one, other = _launched(engine), _launched(engine)
        pledge_id, backer = _new_id(), _new_id()
        answers = engine.submit_many(
            [_pledge(one, pledge_id, backer), _pledge(other, pledge_id, backer)]
        )
    assert isinstance(answers[0], Outcome)
    assert isinstance(answers[1], PledgeIdReused)
    log.close()


def test_another_process_refuses_a_pledge_id(tmp_path: Path) -> None:
    """Two engines on one log see each other's claims, also after a refused pledge of that id."""
    log = SQLiteLog(tmp_path / "log.db")
    with _engine(log) as one_engine, _engine(log) as other_engine:
        one, other = _launched(one_engine), _launched(other_engine)
        pledge_id, backer = _new_id(), _new_id()
        one_engine.submit(_pledge(one, pledge_id, backer))
        with pytest.raises(PledgeIdReused):
            other_engine.submit(_pledge(other, pledge_id, backer))
    log.close()
