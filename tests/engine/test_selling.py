"""Several processes that sell one limited reward of a hot campaign."""

from __future__ import annotations

import multiprocessing
import uuid
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from app.engine import CampaignDecider, Engine, Outcome
from app.log import decode_row, open_log
from domain import commands as c
from domain.errors import SoldOut
from domain.events import PledgeMade
from domain.terms import DAY_MS, Choice, Reward, Submission, Terms

NOW = 1_700_000_000_000
PROCESSES = 4
TRIES = 250
PIECES = 400
CAMPAIGN, CREATOR, STAFF = (str(uuid.UUID(int=n, version=4)) for n in (1, 2, 3))
PRINT = Reward(reward_id=str(uuid.UUID(int=4, version=4)), price_minor=500, limit=PIECES)


def _new_id() -> str:
    return str(uuid.uuid4())


def _launch(engine: Engine[Any]) -> None:
    submission = Submission(
        creator=CREATOR,
        model="all_or_nothing",
        currency="JPY",
        goal_minor=1_000,
        deadline_at=NOW + 30 * DAY_MS,
        rewards=(PRINT,),
        terms=Terms(),
    )
    about: dict[str, Any] = {"campaign_id": CAMPAIGN}
    creator: dict[str, Any] = {"by": f"creator:{CREATOR}"}
    staff: dict[str, Any] = {"by": f"staff:{STAFF}"}
    for command in (
        c.SubmitCampaign(
            **about, **creator, command_id=_new_id(), channel=_new_id(), submission=submission
        ),
        c.ApproveCampaign(**about, **staff, command_id=_new_id()),
        c.LaunchCampaign(**about, **creator, command_id=_new_id()),
    ):
        engine.submit(command)


_together: Barrier


def _begin(together: Barrier) -> None:
    global _together  # noqa: PLW0603 - a barrier reaches a process of a pool in no other way
    _together = together


def sell(database_url: str, path: Path) -> tuple[int, int]:
    """Try to sell in small lists, beside the others; return how many were sold and sold out."""
    log = open_log(database_url, path)
    sold = refused = 0
    with Engine(log, None, CampaignDecider(), clock=lambda: NOW) as engine:
        _together.wait()
        for _ in range(TRIES // 10):
            for answer in engine.submit_many([_pledge() for _ in range(10)]):
                if isinstance(answer, Outcome):
                    sold += 1
                elif isinstance(answer, SoldOut):
                    refused += 1
                else:
                    raise answer
    log.close()
    return sold, refused


def _pledge() -> c.MakePledge:
    backer = _new_id()
    return c.MakePledge(
        campaign_id=CAMPAIGN,
        by=f"backer:{backer}",
        command_id=_new_id(),
        pledge_id=_new_id(),
        backer=backer,
        amount_minor=PRINT.price_minor,
        choices=(Choice(reward_id=PRINT.reward_id),),
    )


@pytest.mark.slow
def test_a_limited_reward_is_never_oversold(database_url: str, tmp_path: Path) -> None:
    """Each piece is sold once, and none stays on the shelf while somebody hears it is sold out."""
    path = tmp_path / "log.db"
    log = open_log(database_url, path)
    with Engine(log, None, CampaignDecider(), clock=lambda: NOW) as engine:
        _launch(engine)
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(PROCESSES)
    with ProcessPoolExecutor(PROCESSES, context, _begin, (together,)) as pool:
        sellers = [pool.submit(sell, database_url, path) for _ in range(PROCESSES)]
        answers = [seller.result() for seller in sellers]
    assert sum(sold for sold, _ in answers) == PIECES
    assert sum(refused for _, refused in answers) == PROCESSES * TRIES - PIECES
    made = [event for event in map(decode_row, log.read(0, 10_000)) if type(event) is PledgeMade]
    log.close()
    assert [pledge.no for pledge in made] == list(range(1, PIECES + 1))
    assert sum(line.quantity for pledge in made for line in pledge.lines) == PIECES
