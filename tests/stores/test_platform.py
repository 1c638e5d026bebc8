"""Whole journeys of other rooms once more, with everything in PostgreSQL."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from tests.api import test_pledges, test_repeats
from tests.api.running import Caller, Running, clock, running, staff
from tests.mail import test_news
from tests.mail.world import World
from tests.web.accounts import test_data_pages, test_joining
from tests.web.backer import test_abuse

__all__ = ["clock", "running", "staff"]

Journey = Callable[..., Awaitable[None]]

JOURNEYS: Final[tuple[Journey, ...]] = (
    test_data_pages.test_everything_can_be_taken_along,
    test_data_pages.test_deleted_is_deleted,
    test_joining.test_a_known_address_joins_only_through_the_mail,
    test_joining.test_an_address_is_not_flooded,
    test_abuse.test_three_declines_close_the_payment_page,
    test_abuse.test_a_dozen_tries_at_the_same_moment_are_three,
    test_news.test_an_update_reaches_backers_and_followers_once,
    test_news.test_two_processes_write_one_mail,
    test_pledges.test_a_batch_answers_line_by_line,
    test_repeats.test_requests_at_the_same_moment_have_one_effect,
    test_repeats.test_what_was_not_noted_as_done_is_done_once_more_alike,
)


@pytest.fixture
def platform_url(postgres_url: str) -> str:
    """A database of this test."""
    return postgres_url


@pytest.fixture
async def world(running: Running) -> World:
    """A platform that began to write mails before anything happened."""
    await running.platform.news.begin()
    return World(running)


@pytest.mark.postgres
@pytest.mark.parametrize("journey", JOURNEYS, ids=lambda journey: journey.__name__)
async def test_on_postgresql(
    journey: Journey,
    running: Running,
    staff: Caller,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It ends as it does on SQLite."""
    there: dict[str, Any] = {
        "running": running,
        "staff": staff,
        "world": world,
        "monkeypatch": monkeypatch,
    }
    assert running.platform.settings.database_url
    await journey(**{name: there[name] for name in inspect.signature(journey).parameters})
