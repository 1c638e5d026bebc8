"""Live campaigns, and what backers send them: as commands, and as bodies of the batch endpoint."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from app.engine import Engine, Outcome
from domain.commands import ApproveCampaign, Command, LaunchCampaign, MakePledge, SubmitCampaign
from domain.money import MAX_AMOUNT_MINOR
from domain.state import Campaign
from domain.terms import DAY_MS, Choice, CollectAt, Reward, Submission, Terms

CURRENCY: Final = "CNY"
LIST_SIZE: Final = 5_000
"""Pledges in a list, as in a large batch."""

STAFF: Final = f"staff:{uuid.UUID(int=1)}"
CREATOR: Final = str(uuid.UUID(int=2))
CHANNEL: Final = str(uuid.UUID(int=3))


def new_id() -> str:
    """A random id."""
    return str(uuid.uuid4())


def random_ids(count: int) -> Iterator[str]:
    """Random ids, made cheaply: what makes a load should cost little beside what it loads."""
    digits = os.urandom(16 * count).hex()
    for start in range(0, 32 * count, 32):
        some = digits[start : start + 32]
        yield f"{some[:8]}-{some[8:12]}-4{some[13:16]}-8{some[17:20]}-{some[20:]}"


def opening(
    campaign_id: str,
    *,
    channel: str = CHANNEL,
    rewards: tuple[Reward, ...] = (),
    collect_at: CollectAt = "success",
) -> tuple[SubmitCampaign, ApproveCampaign, LaunchCampaign]:
    """The commands that bring a campaign to life for thirty days; all-or-nothing, unless it charges
    at the pledge.
    """
    submission = Submission(
        creator=CREATOR,
        model="flexible" if collect_at == "pledge" else "all_or_nothing",
        currency=CURRENCY,
        goal_minor=MAX_AMOUNT_MINOR,
        deadline_at=time.time_ns() // 1_000_000 + 30 * DAY_MS,
        terms=Terms(collect_at=collect_at),
        rewards=rewards,
    )
    return (
        SubmitCampaign(
            campaign_id=campaign_id,
            by=f"creator:{CREATOR}",
            command_id=new_id(),
            channel=channel,
            submission=submission,
        ),
        ApproveCampaign(campaign_id=campaign_id, by=STAFF, command_id=new_id()),
        LaunchCampaign(campaign_id=campaign_id, by=STAFF, command_id=new_id()),
    )


def open_campaigns(
    engine: Engine[Campaign],
    count: int,
    *,
    channel: str = CHANNEL,
    rewards: tuple[Reward, ...] = (),
) -> list[str]:
    """Bring so many campaigns to life in a few turns; return their ids."""
    ids = list(random_ids(count))
    openings = [opening(campaign_id, channel=channel, rewards=rewards) for campaign_id in ids]
    for step in zip(*openings, strict=True):
        require_done(engine.submit_many(step))
    return ids


def pledges(
    campaign_ids: Sequence[str], count: int, choices: tuple[Choice, ...] = ()
) -> list[Command]:
    """Pledges of as many backers, spread over the campaigns in turn."""
    campaigns = len(campaign_ids)
    ids = random_ids(2 * count)
    made: list[Command] = []
    for number, (pledge_id, backer) in enumerate(zip(ids, ids, strict=True)):
        made.append(
            MakePledge(
                campaign_id=campaign_ids[number % campaigns],
                by=f"backer:{backer}",
                command_id=pledge_id,
                pledge_id=pledge_id,
                backer=backer,
                amount_minor=100_00 + number % 97,
                currency=CURRENCY,
                choices=choices,
            )
        )
    return made


def in_lists(
    engine: Engine[Campaign], commands: Sequence[Command], size: int = LIST_SIZE
) -> Iterator[list[Outcome | Exception]]:
    """Submit lists as the batch endpoint does, the next one while one is decided; yield what each
    led to.
    """
    lists = [commands[start : start + size] for start in range(0, len(commands), size)]
    with ThreadPoolExecutor(2) as callers:
        yield from callers.map(engine.submit_many, lists)


def require_done(results: Iterable[Outcome | Exception]) -> None:
    """Raise the first exception among the results."""
    for result in results:
        if isinstance(result, Exception):
            raise result


def batch_body(
    campaign_ids: Sequence[str], lines: int, backers: Sequence[tuple[str, str]] = ()
) -> bytes:
    """A body of the batch endpoint: a pledge a line, over the campaigns in turn.

    `backers` are pairs of backer and payment method, taken in turn; without any, each pledge is of
    a backer of its own who names no method.
    """
    ids = random_ids(2 * lines)
    campaigns = len(campaign_ids)
    first = os.urandom(1)[0]  # so that not every body begins with the same campaign and backer
    body = []
    for number, (pledge_id, backer) in enumerate(zip(ids, ids, strict=True), first):
        method = ""
        if backers:
            backer, method = backers[number % len(backers)]  # noqa: PLW2901 - the drawn one is replaced
        body.append(
            f'{{"pledge_id":"{pledge_id}","campaign_id":"{campaign_ids[number % campaigns]}",'
            f'"backer_id":"{backer}","amount":{100_00 + number % 97},"currency":"{CURRENCY}",'
            f'"payment_method":"{method}"}}'
        )
    return "\n".join(body).encode()
