"""Sell the last item of a reward to several clients at once, again and again, over HTTP.

    python -m bench.last_item [--rounds 1000] [--clients 8]

The real server runs in a process of its own. In each round all clients pledge at the same moment
for a reward of which there is one piece: one of them has to get 201, the others 409 sold out. At
the end the log has one pledge for each piece, and `audit verify` finds nothing. Exit code 0 or 1.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import msgspec
from msgspec import Struct

from app.audit.verify import verify
from bench.crash_stage import CURRENCY, Backer, Offer, ServerProcess, Stage, new_id, prepare
from bench.crash_verdict import pledges_in, read_log
from domain.terms import Reward

REWARDS_PER_CAMPAIGN: Final = 500
TIMEOUT_S: Final = 30.0

SOLD: Final = (201, "", "")
SOLD_OUT: Final = (409, "/problems/sold-out", "sold_out")

Answer = tuple[int, str, str]
"""Status, problem type and reason."""


class Figures(Struct, frozen=True, kw_only=True):
    """What came of it; `faults` has a sentence for each round that went wrong."""

    rounds: int
    clients: int
    winners: int
    losers: int
    seconds: float
    ok: bool
    faults: list[str]


def race(stage: Stage, clients: int) -> tuple[list[Counter[Answer]], float]:
    """Let the clients race for every reward of the stage; the answers by round, and the seconds."""
    pieces = [
        (campaign.campaign_id, reward)
        for campaign in stage.campaigns
        for reward in campaign.rewards
    ]
    rounds: list[Counter[Answer]] = []
    together = threading.Barrier(clients)
    server = ServerProcess(stage)
    try:
        server.wait_until_up()
        with (
            httpx.Client(base_url=stage.url, headers=stage.headers, timeout=TIMEOUT_S) as http,
            ThreadPoolExecutor(clients) as pool,
        ):
            began = time.monotonic()
            for campaign_id, reward in pieces:
                want = partial(_want, http, together, campaign_id, reward)
                rounds.append(Counter(pool.map(want, stage.backers)))
            return rounds, time.monotonic() - began
    finally:
        server.kill()


def _want(
    http: httpx.Client, together: threading.Barrier, campaign_id: str, reward: Reward, who: Backer
) -> Answer:
    pledge = {
        "pledge_id": new_id(),
        "backer_id": who.id,
        "amount": reward.price_minor,
        "currency": CURRENCY,
        "reward_id": reward.reward_id,
        "payment_method": who.method,
    }
    together.wait()
    answer = http.post(f"/api/v1/campaigns/{campaign_id}/pledges", json=pledge)
    said = answer.json()
    return answer.status_code, said.get("type", ""), said.get("reason", "")


def figures(stage: Stage, clients: int, rounds: list[Counter[Answer]], seconds: float) -> Figures:
    """Count the answers, compare them with the log, and audit it."""
    expected = Counter({SOLD: 1, SOLD_OUT: clients - 1})
    found = [
        f"round {number}: {dict(answers)}"
        for number, answers in enumerate(rounds, 1)
        if answers != expected
    ]
    sold = Counter(
        line.reward_id
        for _, event in pledges_in(read_log(stage.settings.log_path))
        for line in event.lines
    )
    pieces = Counter(
        reward.reward_id for campaign in stage.campaigns for reward in campaign.rewards
    )
    if sold != pieces:
        found.append(f"{len(pieces):,} pieces, sold {sold.total():,} of {len(sold):,} rewards")
    audit, _ = verify(stage.settings.log_path, stage.settings.test_bank_path)
    found += [f"audit: {violation}" for violation in audit.violations]
    return Figures(
        rounds=len(rounds),
        clients=clients,
        winners=sum(answers[SOLD] for answers in rounds),
        losers=sum(answers[SOLD_OUT] for answers in rounds),
        seconds=round(seconds, 1),
        ok=not found,
        faults=found,
    )


def describe(found: Figures) -> Iterator[str]:
    """Say it in lines of text."""
    yield from found.faults
    yield (
        f"{found.rounds:,} rounds of {found.clients} clients in {found.seconds:,.1f} s:"
        f" {found.winners:,} got it, {found.losers:,} heard that it is sold out"
    )
    yield "each sold exactly once, the audit is clean" if found.ok else "SOMETHING IS WRONG"


def offers(rounds: int) -> list[Offer]:
    """Campaigns with together so many rewards of one piece."""
    full, rest = divmod(rounds, REWARDS_PER_CAMPAIGN)
    sizes = [REWARDS_PER_CAMPAIGN] * full + [rest] * (rest > 0)
    return [Offer(limits=(1,) * size) for size in sizes]


def main() -> None:
    """Read the command line, run, print, and say with the exit code whether all is well."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--json", action="store_true", help="print one object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tributary-last-item-") as directory:
        stage = asyncio.run(prepare(Path(directory), offers(options.rounds), options.clients))
        found = figures(stage, options.clients, *race(stage, options.clients))
    if options.json:
        print(msgspec.json.encode(found).decode())
    else:
        print("\n".join(describe(found)))
    sys.exit(0 if found.ok else 1)


if __name__ == "__main__":
    main()
