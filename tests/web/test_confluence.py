"""The shape of the Confluence."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from app.web.confluence import MIDDLE, MOST_STREAMS, BranchName, confluence

COORDINATE = re.compile(r"-?\d+(?:\.\d+)?")

DAYS = [("2026-03-01", 20_000), ("2026-03-02", 40_000), ("2026-03-03", 20_000)]


def numbers(path: str) -> list[float]:
    """Every coordinate of a path."""
    return [float(found) for found in COORDINATE.findall(path)]


def end_of(path: str) -> tuple[float, float]:
    """Where a path ends."""
    x, y = numbers(path)[-2:]
    return x, y


def test_every_day_that_brought_money_is_a_stream() -> None:
    """Three days make three tributaries that join at the beginning, the middle and the end."""
    found = confluence(DAYS, 80_000)
    assert [end_of(stream.path)[0] for stream in found.streams] == [120, 460, 800]
    assert all(stream.path.startswith("M0,") for stream in found.streams)


def test_streams_come_from_both_sides_the_later_farther_out() -> None:
    """The first comes from above, the second from below, the third from farther above."""
    starts = [numbers(stream.path)[1] for stream in confluence(DAYS, 80_000).streams]
    assert starts[0] == MIDDLE - 24
    assert starts[1] == MIDDLE + 24
    assert starts[2] < starts[0]


def test_widths_are_true() -> None:
    """The goal is 84 wide: a quarter of it is 21, and the trunk ends 88 wide when it is reached."""
    found = confluence(DAYS, 80_000)
    assert [stream.width for stream in found.streams] == [21, 42, 21]
    assert "M700,66 H800 M700,154 H800" in found.goal
    assert "960,66 " in found.trunk
    assert "960,154 " in found.trunk


def test_a_stream_ends_inside_the_trunk() -> None:
    """A tributary's outer edge meets the trunk's edge where it joins."""
    first = confluence(DAYS, 80_000).streams[0]
    _, y = end_of(first.path)
    assert y - first.width / 2 == MIDDLE - (4 + 21) / 2


def test_more_than_the_goal_moves_the_goal_inwards() -> None:
    """Overfunded, the river is as wide as what came, and the goal's outline is narrower."""
    found = confluence([("2026-03-01", 160_000)], 80_000)
    assert found.streams[0].width == 84
    assert found.goal == "M700,87 H800 M700,133 H800"


def test_what_leaves_runs_outwards() -> None:
    """A day on which more left than came is a stream that begins at the trunk."""
    found = confluence([("2026-03-01", 50_000), ("2026-03-02", -10_000)], 80_000)
    assert [stream.leaves for stream in found.streams] == [False, True]
    assert found.streams[1].path.startswith("M800,")
    assert found.streams[1].path.endswith("H960")


def test_many_days_share_streams() -> None:
    """A hundred days are drawn as 24 stretches at most, and none of their money is lost."""
    days = [(f"2026-{1 + index // 28:02}-{1 + index % 28:02}", 100) for index in range(100)]
    found = confluence(days, 10_000)
    assert len(found.buckets) <= MOST_STREAMS
    assert sum(bucket.change_minor for bucket in found.buckets) == 10_000
    assert found.buckets[-1].last_day == days[-1][0]


def test_no_pledge_is_a_thin_trunk() -> None:
    """Without a pledge there is no stream, and the trunk is as thin as at its spring."""
    found = confluence([], 80_000)
    assert (found.streams, found.buckets) == ((), ())
    assert set(numbers(found.trunk)[1::2]) & {108.0, 112.0} == {108.0, 112.0}


def test_after_closing_the_trunk_divides() -> None:
    """Each way that has money leaves the trunk at 800 and reaches the edge, none without money."""
    split: dict[BranchName, int] = {"held": 20_000, "paid": 46_000, "fees": 3_565, "returned": 0}
    found = confluence(DAYS, 80_000, split=split)
    assert [branch.name for branch in found.branches] == ["held", "paid", "fees"]
    for branch in found.branches:
        assert branch.path.startswith("M800,")
        assert " 960," in branch.path


def test_the_readers_own_strand_runs_with_their_day() -> None:
    """Who pledged on the second day follows the second tributary, and then the trunk."""
    found = confluence(DAYS, 80_000, own_day="2026-03-02")
    assert found.own.startswith(found.streams[1].path)
    assert found.own.endswith("H800")
    assert confluence(DAYS, 80_000, own_day="2026-04-01").own == ""


@given(
    changes=st.lists(st.integers(-(10**12), 10**12), max_size=40),
    goal_minor=st.integers(1, 10**12),
)
def test_it_never_leaves_its_field(changes: list[int], goal_minor: int) -> None:
    """Whatever came and went, every height of a stream lies within the field."""
    days = [
        (f"2026-{1 + index // 28:02}-{1 + index % 28:02}", change)
        for index, change in enumerate(changes)
    ]
    found = confluence(days, goal_minor)
    for stream in found.streams:
        assert 0 < stream.width <= 84
        heights = [float(y) for y in re.findall(r",(-?\d+(?:\.\d+)?)", stream.path)]
        assert all(0 <= y <= 220 for y in heights)
