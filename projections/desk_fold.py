"""How a batch of facts changes the creators' desks; `creator_desk` reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Connection

from domain import events as e
from domain.codec import tag_of
from domain.ids import role_of
from projections.facts import Fact, day_of, iso_day
from projections.new_pledges import Together, cost_minor
from projections.pledge_book import PledgeBook
from projections.pledges import NO_LINES, PledgeRow, Standing, lines_of
from projections.rows import Rows, Shape, Sums, Totals, append_to, table

NO_REWARD: Final = ""
"""Stands for what a pledge gives beyond its rewards, or without any."""


class StateRow(Struct, array_like=True, gc=False):
    """How many pledges of a campaign stand in a state, and their money."""

    campaign: int
    state: str
    pledges: int
    amount_minor: int
    charged_minor: int


class RewardDayRow(Struct, array_like=True, gc=False):
    """Of the pledges made on a UTC day, and still counted: those that chose a reward.

    `amount_minor` sums over the rewards to what is pledged of that day.
    """

    campaign: int
    reward_id: str
    day: int
    pledges: int
    pieces: int
    amount_minor: int

    @property
    def iso(self) -> str:
        """The day as `2026-05-03`."""
        return iso_day(self.day)


class DeliveryRow(Struct, array_like=True, gc=False):
    """Pieces of a reward that have still to be sent."""

    campaign: int
    reward_id: str
    pledges: int
    pieces: int


class DiscrepancyRow(Struct, array_like=True, gc=False):
    """A provider's report that fits nothing; `resolution` is empty until staff settle it."""

    campaign: int
    discrepancy_id: str
    position: int
    at: int
    kind: str
    no: int
    provider: str
    reference: str
    amount_minor: int
    resolution: str = ""
    resolved_by: str = ""
    resolved_at: int = 0


class DeedRow(Struct, array_like=True, gc=False):
    """Who did what. `no` and `amount_minor` are 0 where the fact has none."""

    campaign: int
    position: int
    at: int
    by: str
    tag: str
    no: int
    amount_minor: int


STATES: Final = Totals("desk_states", StateRow, ["campaign", "state"], drop_empty=True)
REWARD_DAYS: Final = Totals(
    "desk_reward_days", RewardDayRow, ["campaign", "reward_id", "day"], drop_empty=True
)
DELIVERIES: Final = Totals(
    "desk_deliveries", DeliveryRow, ["campaign", "reward_id"], drop_empty=True
)
DISCREPANCIES: Final = Shape("desk_discrepancies", DiscrepancyRow, ["campaign", "discrepancy_id"])
DEEDS: Final = table("desk_deeds", DeedRow, ["campaign", "position"])

_append_deeds: Final = append_to(DEEDS)

_TRAFFIC: Final = frozenset(
    (
        e.PledgeMade,
        e.HoldPlaced,
        e.HoldLapsed,
        e.CollectionRequested,
        e.PledgeCollected,
        e.CollectionActionRequired,
        e.CollectionUnknown,
        e.CollectionFailed,
    )
)
"""Facts as many as pledges: they are counted, not listed."""


class CreatorDesk:
    """The projection."""

    name: Final = "creator_desk"
    version: Final = 1
    tables: Final = (
        STATES.table,
        REWARD_DAYS.table,
        DELIVERIES.table,
        DISCREPANCIES.table,
        DEEDS,
    )

    def begin(self, conn: Connection, book: PledgeBook) -> DeskFold:
        """Begin a batch."""
        return DeskFold(conn, book)


class DeskFold:
    """What a batch changes on desks."""

    def __init__(self, conn: Connection, book: PledgeBook) -> None:
        self._conn = conn
        self._states = Sums(STATES, conn)
        self._reward_days = Sums(REWARD_DAYS, conn)
        self._deliveries = Sums(DELIVERIES, conn)
        self._discrepancies = Rows(DISCREPANCIES, conn)
        self._deeds: list[tuple[int, int, int, str, str, int, int]] = []
        book.standing_changed.append(self._pledge_changed)
        book.made_together.append(self._made_together)

    def fold(self, facts: Sequence[Fact], _made: Iterable[Together]) -> None:
        """Note deeds and discrepancies."""
        for fact in facts:
            event: Any = fact.event
            kind = type(event)
            if kind in _TRAFFIC:
                continue
            if kind is e.DiscrepancyRecorded:
                self._recorded(fact, event)
            elif kind is e.DiscrepancyResolved:
                self._resolved(fact, event)
            if not _is_own_doing(event):
                self._note(fact, event)

    def _recorded(self, fact: Fact, event: e.DiscrepancyRecorded) -> None:
        self._discrepancies.put(
            DiscrepancyRow(
                fact.campaign,
                event.discrepancy_id,
                fact.position,
                event.at,
                event.kind,
                event.no,
                event.provider,
                event.reference,
                event.amount_minor,
            )
        )

    def _resolved(self, fact: Fact, event: e.DiscrepancyResolved) -> None:
        found = self._discrepancies.get((fact.campaign, event.discrepancy_id))
        assert found is not None, "a fact resolves a discrepancy never recorded"
        found.resolution = event.resolution
        found.resolved_by, found.resolved_at = event.by, event.at
        self._discrepancies.put(found)

    def _note(self, fact: Fact, event: Any) -> None:  # noqa: ANN401 - any event
        no, amount_minor = getattr(event, "no", 0), getattr(event, "amount_minor", 0)
        deed = (fact.campaign, fact.position, event.at, event.by, tag_of(event), no, amount_minor)
        self._deeds.append(deed)

    def _made_together(self, some: Together) -> None:
        campaign, rest_minor = some.campaign, some.amount_minor
        self._states.add((campaign, "made"), some.pledges, rest_minor)
        if some.lines != NO_LINES:
            rest_minor -= self._count_rewards(campaign, some.day, some.lines, some.pledges)
        if some.beyond:
            self._reward_days.add((campaign, NO_REWARD, some.day), some.beyond, 0, rest_minor)

    def _pledge_changed(self, row: PledgeRow, was: Standing | None, now: Standing) -> None:
        if was is not None:
            self._count(row, was, -1)
        self._count(row, now, 1)

    def _count(self, row: PledgeRow, stands: Standing, sign: int) -> None:
        campaign, amount_minor = row.campaign, sign * stands.amount_minor
        state = campaign, stands.state
        self._states.add(state, sign, amount_minor, sign * stands.charged_minor)
        if stands.counted:
            day, rest_minor = day_of(row.made_at), amount_minor
            if stands.lines != NO_LINES:
                rest_minor -= self._count_rewards(campaign, day, stands.lines, sign)
            if rest_minor:
                self._reward_days.add((campaign, NO_REWARD, day), sign, 0, rest_minor)
        if stands.to_deliver:
            for line in lines_of(stands.lines):
                self._deliveries.add((campaign, line.reward_id), sign, sign * line.quantity)

    def _count_rewards(self, campaign: int, day: int, lines: str, pledges: int) -> int:
        """Count the rewards of so many pledges; return what they come to."""
        total_minor = 0
        for line in lines_of(lines):
            cost = pledges * cost_minor(line)
            key = campaign, line.reward_id, day
            self._reward_days.add(key, pledges, pledges * line.quantity, cost)
            total_minor += cost
        return total_minor

    def write(self) -> None:
        """Write the desks."""
        self._states.write()
        self._reward_days.write()
        self._deliveries.write()
        self._discrepancies.write()
        _append_deeds.write(self._conn, sorted(self._deeds))


def _is_own_doing(event: e.Event) -> bool:
    """Whether a backer changed their own pledge: theirs to know, and counted."""
    return role_of(event.by) == "backer" and isinstance(
        event, (e.PledgeRevised, e.PaymentMethodReplaced)
    )
