"""The demo tells the stories that it is there to tell."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from app.audit.verify import verify
from app.demo.plans import CHANNELS, channel_plan
from domain.state import Phase
from tests.demo.conftest import Seeded

MINUTE_MS = 60_000


def test_it_is_as_large_as_it_says(seeded: Seeded) -> None:
    """36 campaigns in two channels over three years, 25,000 pledges, one with 15,000 backers."""
    assert len(seeded.pages) == 36
    assert len({page.channel for page in seeded.pages}) == 2
    first = min(page.launched_at or seeded.start_at for page in seeded.pages)
    assert seeded.start_at - first > 1_000 * 86_400_000
    with closing(sqlite3.connect(seeded.settings.views_path)) as views:
        (pledges,) = views.execute("SELECT count(*) FROM pledges").fetchone()
    assert pledges >= 25_000
    assert max(page.backers for page in seeded.pages) == 15_000
    assert {page.currency for page in seeded.pages} >= {"CNY", "JPY", "KWD", "EUR", "USD"}


def test_one_closes_in_four_minutes_at_96_percent(seeded: Seeded) -> None:
    """The visitor's own pledge decides about it; its reward has seven pieces left."""
    page = seeded.page_of("Harbour")
    assert 0 < page.deadline_at - seeded.start_at <= 5 * MINUTE_MS
    assert page.pledged_minor * 100 // page.goal_minor == 96
    (roof,) = [reward for reward in page.rewards if reward.limit == 8]
    assert roof.limit is not None
    assert roof.limit - roof.claimed == 7
    assert page.pledged_minor + roof.price_minor >= page.goal_minor


@pytest.mark.parametrize(
    ("team", "phase"),
    [
        ("Valley", Phase.LIVE),
        ("Allotment", Phase.LIVE),
        ("Roofs", Phase.SUCCEEDED),
        ("Kitchen", Phase.SUCCEEDED),
        ("Long Table", Phase.FAILED),
        ("Sailcloth", Phase.CANCELLED),
        ("Press", Phase.COMPLETED),
        ("Cargo", Phase.SETTLED),
    ],
)
def test_there_is_one_in_every_phase(seeded: Seeded, team: str, phase: Phase) -> None:
    """Each story ends where its text says."""
    assert seeded.page_of(team).phase == phase


def test_the_stories_are_told(seeded: Seeded) -> None:
    """Nine cards failed, two of three milestones are paid, money was paid before a cancellation."""
    with closing(sqlite3.connect(seeded.settings.views_path)) as views:
        states = dict(
            views.execute(
                "SELECT p.status, count(*) FROM pledges p JOIN campaigns c ON c.key = p.campaign"
                " WHERE c.campaign_id = ? GROUP BY p.status",
                [seeded.page_of("Roofs").campaign_id],
            ).fetchall()
        )
    assert states["failed"] == 9
    kitchen = seeded.page_of("Kitchen")
    assert kitchen.late_open
    assert kitchen.paid_minor
    assert kitchen.held_minor
    assert seeded.page_of("Sailcloth").paid_minor
    assert seeded.page_of("Quiet").suspended
    assert seeded.page_of("Allotment").pledges == 0
    assert seeded.page_of("Wood").goal_minor == 60_000
    assert seeded.page_of("Valley").needs


def test_its_books_are_clean(seeded: Seeded) -> None:
    """Everything was made by real commands: the audit finds nothing, the bank's books match."""
    found, _ = verify(seeded.settings.log_path, seeded.settings.test_bank_path)
    assert found.violations == []
    assert found.ok
    assert found.events > 40_000


def test_every_text_has_both_languages() -> None:
    """Whoever reads English or Chinese reads all of it."""
    for name in CHANNELS:
        for plan in (*channel_plan(name).plans, *channel_plan(name).in_review):
            parts = [plan.en, plan.zh, *(r.en for r in plan.rewards), *(r.zh for r in plan.rewards)]
            assert all(text.strip() for part in parts for text in part)
            assert set(plan.document()["translations"]) <= {"en", "zh-Hans"}
