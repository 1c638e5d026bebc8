"""A whole platform in a temporary directory, with keys and a campaign, for tests over HTTP."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import msgspec
import pytest

from app.asgi import create_app
from app.settings import load_settings
from app.stores.api_keys import Scope
from app.stores.channels import Channel
from app.stores.people import Role
from app.web.public.page_cache import cache_of
from app.wiring import Platform, open_platform
from domain.terms import DAY_MS, Terms

NOW = 1_773_316_800_000
"""2026-03-12 12:00 UTC, when every test begins."""

Json: TypeAlias = Any
"""Whatever JSON can say."""

ORIGIN = "http://tributary.test"


class Clock:
    """The platform's clock, which only the test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        """The time, ms UTC."""
        return self.now


class Caller(msgspec.Struct, frozen=True):
    """A program with a key: the party behind it, and the header it shows."""

    party: str
    headers: dict[str, str]


class Running:
    """The platform, a client that speaks to it, and short ways to what most tests begin with."""

    def __init__(self, platform: Platform, client: httpx.AsyncClient, clock: Clock) -> None:
        self.platform = platform
        self.client = client
        self.clock = clock
        self.channel = new_id()
        self.loop = asyncio.get_running_loop()

    async def caller(self, role: Role, *, scopes: tuple[Scope, ...] | None = None) -> Caller:
        """A new party with a key of its own."""
        stores = self.platform.stores
        party = await stores.people.add_person(role, at=NOW)
        token, _ = await stores.keys.create(role=role, owner=party, scopes=scopes, at=NOW)
        return Caller(party, {"authorization": f"Bearer {token}"})

    async def backers(self, count: int) -> list[str]:
        """Backers without keys."""
        return await self.platform.stores.people.mint_backers(count, at=NOW)

    async def post(self, path: str, caller: Caller, body: Json = None) -> httpx.Response:
        """Post JSON to the API."""
        return await self.client.post(f"/api/v1{path}", json=body, headers=caller.headers)

    async def get(self, path: str, caller: Caller) -> httpx.Response:
        """Get from the API."""
        return await self.client.get(f"/api/v1{path}", headers=caller.headers)

    def send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        """Send a request from a test that is no coroutine, on the loop of its fixtures."""
        request = self.client.request(method, path, content=body, headers=headers)
        return self.loop.run_until_complete(request)

    async def launched(self, staff: Caller, **changes: Json) -> dict[str, Any]:
        """A live campaign with two rewards, as the answer to its submission."""
        answer = await self.post("/campaigns", staff, campaign(launch=True, **changes))
        assert answer.status_code == 201, answer.text
        submitted: dict[str, Any] = answer.json()
        self.platform.follower.catch_up()
        return submitted

    async def do(
        self, caller: Caller, campaign_id: str, action: str, body: Json = None
    ) -> dict[str, Any]:
        """Carry out a command of the route table, which must be accepted."""
        answer = await self.post(f"/campaigns/{campaign_id}/{action}", caller, body or {})
        assert answer.status_code == 200, answer.text
        done: dict[str, Any] = answer.json()
        return done

    def work(self, times: int = 8) -> None:
        """Let the processes do what is due, and the views follow."""
        for _ in range(times):
            self.platform.processes.step(self.clock.now)
            self.platform.hear_bank()
        self.platform.follower.catch_up()


def transport_to(platform: Platform) -> httpx.ASGITransport:
    """A way to the application without a network; a fault of ours is answered, not raised.

    A page shows at once what a test has just done: it is never a quarter of a second old.
    """
    cache_of(platform).fresh_s = 0
    application: Any = create_app(platform)  # httpx and Litestar write ASGI's types differently
    return httpx.ASGITransport(application, raise_app_exceptions=False)


def new_id() -> str:
    """A random id."""
    return str(uuid.uuid4())


def campaign(**changes: Json) -> dict[str, Any]:
    """A campaign as a program sends it."""
    return {
        "title": "Film nights under the viaduct",
        "blurb": "Twelve evenings, one white wall.",
        "story": "A proper screen.\n\nA quiet generator.",
        "model": "all_or_nothing",
        "currency": "CNY",
        "goal_minor": 8_000_000,
        "deadline_at": NOW + 30 * DAY_MS,
        "first_time_creator": False,
        "rewards": [
            {
                "title": "Poster",
                "price_minor": 12_000,
                "shipping": [{"region": "CN", "fee_minor": 1_200}],
            },
            {"title": "Front row blanket", "price_minor": 36_000, "limit": 1},
        ],
        "needs": [{"title": "Translation, hours", "quantity": 40}],
    } | changes


def pledge(**changes: Json) -> dict[str, Any]:
    """A pledge as a program sends it."""
    return {"pledge_id": new_id(), "amount": 5_000} | changes


@pytest.fixture
def clock() -> Clock:
    """The clock of this test's platform."""
    return Clock()


@pytest.fixture
async def running(tmp_path: Path, clock: Clock, platform_url: str) -> AsyncIterator[Running]:
    """A platform with one channel; its processes and views move when the test says so."""
    environ = {"TRIBUTARY_PUBLIC_URL": ORIGIN, "TRIBUTARY_DATABASE_URL": platform_url}
    settings = load_settings(environ, data_dir=tmp_path / "var")
    async with open_platform(settings, clock=clock) as platform:
        transport = transport_to(platform)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            running = Running(platform, client, clock)
            await platform.stores.channels.save(
                Channel(
                    id=running.channel,
                    name="Test channel",
                    languages=("en",),
                    currencies=("CNY", "EUR", "JPY"),
                    terms=Terms(),
                ),
                at=NOW,
            )
            yield running


@pytest.fixture
async def staff(running: Running) -> Caller:
    """A program of the channel's staff."""
    return await running.caller("staff")
