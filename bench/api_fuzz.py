"""Send thousands of drawn cases to the API with keys of each role, and say what was answered.

`make fuzz` draws 20,000 from the OpenAPI document, half of them malformed. It fails on the first
answer of 500 or more, on any status, type, header or content that the document does not name, and
where something malformed was accepted. Every few hundred cases the platform is made anew, for many
of them end campaigns and keys.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console
from rich.table import Table

from app.settings import load_settings
from app.stores.channels import Channel
from app.wiring import open_platform
from bench.api_cases import Cases, Operations, operations
from domain.terms import Terms
from tests.api.populating import Peopled, peopled
from tests.api.running import NOW, ORIGIN, Clock, Running, transport_to

ROLES: Final = ("operator", "staff", "treasurer", "auditor", "creator", "backer")
A_TURN: Final = 32
"""Cases of one operation with one key, before another's turn comes."""


def main() -> None:
    """Draw, send, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--only", default="", help="Operations whose path has this in it.")
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    wanted = [one for one in operations() if asked.only in one.path]
    print(f"{len(wanted)} operations, {asked.cases:,} cases, seed {asked.seed}", flush=True)
    began_s = time.perf_counter()
    statuses: Counter[tuple[str, int]] = Counter()
    faults: dict[str, str] = {}
    chance = random.Random(asked.seed)
    while sum(statuses.values()) < asked.cases:
        before = sum(statuses.values())
        _turn(wanted, chance, statuses, faults)
        sent = sum(statuses.values())
        print(f"{sent:,} sent, {len(faults)} faults", flush=True)
        if sent == before:
            break
    took_s = time.perf_counter() - began_s
    _report(statuses, took_s)
    sys.exit(1 if faults else 0)


def _turn(
    wanted: Operations,
    chance: random.Random,
    statuses: Counter[tuple[str, int]],
    faults: dict[str, str],
) -> None:
    """Some cases of every operation, each with the key of one role, on a fresh platform."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    stack = AsyncExitStack()
    with tempfile.TemporaryDirectory() as kept:
        world = loop.run_until_complete(_world(stack, Path(kept)))
        cases = Cases(world, loop)
        for operation in chance.sample(wanted, len(wanted)):
            name = chance.choice(ROLES)
            try:
                cases.run(operation, (name, world.keys[name]), A_TURN, chance.randrange(2**32))
            except (Exception, BaseExceptionGroup) as fault:  # noqa: BLE001 - it is told
                where = f"{operation.method.upper()} {operation.path} as {name}"
                if where not in faults:
                    faults[where] = _told(fault)
                    print(f"\n{where}\n{faults[where]}", flush=True)
        statuses += cases.statuses
        loop.run_until_complete(stack.aclose())
    loop.close()


def _told(fault: BaseException) -> str:
    inner = getattr(fault, "exceptions", ())
    return "\n".join(str(one)[:1_500] for one in (fault, *inner))


async def _world(stack: AsyncExitStack, kept: Path) -> Peopled:
    clock = Clock()
    settings = load_settings({"TRIBUTARY_PUBLIC_URL": ORIGIN}, data_dir=kept / "var")
    platform = await stack.enter_async_context(open_platform(settings, clock=clock))
    transport = transport_to(platform)
    client = await stack.enter_async_context(
        httpx.AsyncClient(transport=transport, base_url=ORIGIN)
    )
    running = Running(platform, client, clock)
    channel = Channel(
        id=running.channel,
        name="Test channel",
        languages=("en",),
        currencies=("CNY", "EUR", "JPY"),
        terms=Terms(),
    )
    await platform.stores.channels.save(channel, at=NOW)
    return await peopled(running)


def _report(statuses: Counter[tuple[str, int]], took_s: float) -> None:
    columns = sorted({int(status) for _, status in statuses})
    table = Table("key", *map(str, columns), "cases", box=None)
    for role in ROLES:
        counts = [statuses[role, status] for status in columns]
        table.add_row(role, *(f"{count:,}" for count in counts), f"{sum(counts):,}")
    Console().print(table)
    print(f"{sum(statuses.values()):,} cases in {took_s:.0f} s")


if __name__ == "__main__":
    main()
