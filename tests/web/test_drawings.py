"""The other drawings: the funding curve, where the money is, and covers."""

from __future__ import annotations

from itertools import pairwise

from app.web.categories import CATEGORIES
from app.web.cover import MOTIFS, WIDTH, cover
from app.web.curve import curve
from app.web.delta import HEIGHT, LABEL_GAP, delta


def test_the_curve_steps_from_day_to_day() -> None:
    """The line is level between changes, and rises at the day of a change."""
    found = curve(
        [("2026-03-01", 500), ("2026-03-06", 500)],
        1000,
        first="2026-03-01",
        last="2026-03-11",
        today="2026-03-07",
    )
    assert found.line.startswith("M56,220 H56 V")
    assert " H380 V" in found.line
    assert found.line.endswith("H444.8")
    assert found.area.endswith("V220 Z")


def test_the_grid_stands_on_round_amounts() -> None:
    """Eighty thousand yuan are marked in steps of twenty thousand."""
    found = curve(
        [], 8_000_000, first="2026-03-01", last="2026-03-31", today="2026-03-01", unit_minor=100
    )
    assert [line.amount_minor // 100 for line in found.grid] == [0, 20_000, 40_000, 60_000, 80_000]


def test_a_campaign_of_one_day_has_a_curve() -> None:
    """A first day that is also the last one divides by nothing."""
    found = curve([], 1, first="2026-03-01", last="2026-03-01", today="2026-03-01")
    assert found.line == "M56,220 H56"


def test_the_delta_shares_its_trunk() -> None:
    """Widths are as the amounts; what has nothing has no way; labels never fall together."""
    ways = delta([("held", 0), ("paid", 997), ("fees", 1), ("returned", 2)])
    assert [way.name for way in ways] == ["paid", "fees", "returned"]
    heights = [way.label_y for way in ways]
    assert heights == sorted(heights)
    assert min(b - a for a, b in pairwise(heights)) >= LABEL_GAP
    assert heights[-1] <= HEIGHT - LABEL_GAP / 2


def test_nothing_charged_has_no_delta() -> None:
    """Without money there is nothing to divide."""
    assert delta([("held", 0), ("paid", 0)]) == ()


def test_a_cover_belongs_to_its_campaign() -> None:
    """The same id has the same cover, another one another."""
    assert cover("a") == cover("a")
    assert cover("a") != cover("b")
    assert len(cover("a").ridges) == 5


def test_every_category_has_a_motif_away_from_the_sun() -> None:
    """A cover shows its category; sun and motif stand on different sides of the sky."""
    assert set(MOTIFS) == set(CATEGORIES)
    for number in range(50):
        drawn = cover(str(number), "film")
        assert drawn.motif == MOTIFS["film"]
        assert (drawn.sun[0] < WIDTH // 2) != (drawn.motif_at[0] < WIDTH // 2 - 100)
    assert cover("a", "nothing known").motif == ""
