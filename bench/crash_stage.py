"""A data directory with live campaigns and a key, and a real server on it that can be killed."""

from __future__ import annotations

import multiprocessing
import socket
import time
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Final

from msgspec import Struct

from app.engine import clock_ms
from app.settings import Settings, load_settings
from app.stores.channels import Channel
from app.wiring import Platform, open_platform
from bench import crash_server
from bench.campaigns import CURRENCY, new_id, opening
from domain.terms import CollectAt, Reward, Terms

__all__ = [
    "CURRENCY",
    "HOST",
    "Backer",
    "LiveCampaign",
    "NotServing",
    "Offer",
    "ServerProcess",
    "Stage",
    "new_id",
    "prepare",
]

HOST: Final = "127.0.0.1"
UP_WITHIN_S: Final = 60.0
"""A server that does not listen after this many seconds is a fault of its own."""

# A server is a process of its own, but forked from one that has imported everything: two hundred
# starts would otherwise be two hundred times the same imports.
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["bench.crash_server", "bench.crash_clients", "app.audit.replay", "app.audit.verify"]
)


class Offer(Struct, frozen=True):
    """What a campaign offers: `limits` has one reward for each entry, with so many pieces."""

    limits: tuple[int, ...] = ()
    collect_at: CollectAt = "success"


class LiveCampaign(Struct, frozen=True):
    """A campaign that takes pledges."""

    campaign_id: str
    rewards: tuple[Reward, ...]


class Backer(Struct, frozen=True):
    """A backer, with a card that always works."""

    id: str
    method: str


class Stage(Struct, frozen=True):
    """Everything a client needs to know, and where the data are."""

    settings: Settings
    token: str
    campaigns: tuple[LiveCampaign, ...]
    backers: tuple[Backer, ...]

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"http://{HOST}:{self.settings.port}"

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a client that may import pledges."""
        return {"authorization": f"Bearer {self.token}"}


async def prepare(
    data_dir: Path, offers: Sequence[Offer], backers: int, environ: Mapping[str, str] | None = None
) -> Stage:
    """Fill a new data directory: a channel, live campaigns, backers and a key that imports.

    `environ` may name a database, which has to be migrated.
    """
    settings = load_settings(environ or {}, data_dir=data_dir, host=HOST, port=_free_port())
    async with open_platform(settings) as platform:
        stores, at = platform.stores, clock_ms()
        channel, staff = new_id(), new_id()
        await stores.channels.save(
            Channel(
                id=channel,
                name="Crash channel",
                languages=("en",),
                currencies=(CURRENCY,),
                terms=Terms(),
            ),
            at=at,
        )
        token, _ = await stores.keys.create(
            role="staff", owner=staff, scopes=["pledges:import"], at=at
        )
        ids = await stores.people.mint_backers(backers, at=at)
        references = platform.bank.prepare_methods_direct(["success"] * backers, at=at)
        methods = [
            await stores.methods.add(
                party=backer, provider=platform.bank.name, reference=reference, at=at
            )
            for backer, reference in zip(ids, references, strict=True)
        ]
        campaigns = [_launch(platform, offer, channel) for offer in offers]
        platform.follower.catch_up()
    return Stage(
        settings,
        token,
        tuple(campaigns),
        tuple(Backer(backer, method) for backer, method in zip(ids, methods, strict=True)),
    )


def _launch(platform: Platform, offer: Offer, channel: str) -> LiveCampaign:
    campaign_id = new_id()
    rewards = tuple(
        Reward(reward_id=new_id(), price_minor=50_00, limit=limit) for limit in offer.limits
    )
    for command in opening(
        campaign_id, channel=channel, rewards=rewards, collect_at=offer.collect_at
    ):
        platform.engine.submit(command)
    return LiveCampaign(campaign_id, rewards)


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


# --- The server ----------------------------------------------------------------------------------


class NotServing(Exception):  # noqa: N818 - what was found
    """The server ended, or did not begin to listen, without anybody having killed it."""


class ServerProcess:
    """One life of the server, from its start to the moment it is killed."""

    def __init__(
        self,
        stage: Stage,
        kill: crash_server.Kill | None = None,
        *,
        answer_before_commit: bool = False,
    ) -> None:
        self._address = (HOST, stage.settings.port)
        self._process: ForkServerProcess = _context.Process(
            target=crash_server.run,
            args=(stage.settings, kill, answer_before_commit),
            daemon=True,
        )
        self._process.start()

    def wait_until_up(self) -> None:
        """Wait until it listens. Raises NotServing."""
        deadline = time.monotonic() + UP_WITHIN_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection(self._address).close()
            except ConnectionRefusedError:
                if self.ended_within(0.01):
                    break
            else:
                return
        raise NotServing(f"the server does not listen (exit code {self._process.exitcode})")

    def ended_within(self, seconds: float) -> bool:
        """Wait for it to end by itself; True when it has."""
        self._process.join(seconds)
        return self._process.exitcode is not None

    def kill(self) -> int | None:
        """End it with SIGKILL, wherever it is, and return how it ended (-9: killed)."""
        self._process.kill()
        self._process.join()
        return self._process.exitcode
