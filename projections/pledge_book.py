"""The pledges that a batch of facts touches: loaded, changed in memory, written, told of.

What each fact does to them stands in `pledge_changes`. A fact about many pledges (fees, payouts,
an end) goes through their rows in order, some thousand at a time, so that memory stays bounded
however large the campaign is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from sqlite3 import IntegrityError
from typing import Final, TypeAlias

import msgspec
import numpy as np
from sqlalchemy import Connection

from projections.facts import MAX_NO, NO_BITS, Fact, pledge_key
from projections.new_pledges import MadeTogether, NewPledges
from projections.pledges import (
    CAMPAIGNS,
    DISPUTES,
    PAYOUTS,
    PLEDGES,
    REFUNDS,
    SHARES,
    CampaignRow,
    Kind,
    PledgeRow,
    Standing,
    bits_of,
    standing,
)
from projections.rows import Rows, append_to, as_json
from projections.seen import SeenBackers, bits_of_all

_Pairs: TypeAlias = Collection[tuple[int, str]]
"""Campaigns' keys, each with a backer."""

BITS: Final = 32
"""How many bits of an id are looked for; see `bits_of`."""

CHUNK: Final = 5_000
"""How many pledges a fact about many goes through at a time."""

MOST_IN_MEMORY: Final = 20_000
"""Rows beyond which those that a fact about many has changed are written at once."""

StandingChanged = Callable[[PledgeRow, Standing | None, Standing], None]
"""Told of a pledge, what it was when the batch began (None: it was not), and what it is."""

BackersChanged = Callable[[int, int], None]
"""Told of a campaign's key and by how many its backers became more or fewer."""

MoneyMoved = Callable[[PledgeRow, Fact, tuple[tuple[Kind, int], ...]], None]
"""Told of a pledge, the fact, and the lines that it adds to the backer's statement."""


class FactsDisagreeError(Exception):
    """A fact does not follow from those before it: the log was not written by these rules."""


_append_shares: Final = append_to(SHARES)

_BACKING: Final = """
    WITH RECURSIVE segments(number) AS (
        SELECT 0 UNION ALL SELECT number + 1 FROM segments
        WHERE number < (SELECT max(segment) FROM pledges_by_backer)
    )
    SELECT json_group_array(asked.key) FROM json_each(?) AS asked
    WHERE EXISTS (
        SELECT 1 FROM segments CROSS JOIN pledges_by_backer AS found
        ON found.segment = segments.number AND found.bits = asked.value ->> 0
        AND found.pledge BETWEEN asked.value ->> 1 AND asked.value ->> 2
        CROSS JOIN pledges ON pledges.key = found.pledge
        WHERE pledges.backer = asked.value ->> 3
        AND pledges.status NOT IN ('withdrawn', 'dropped', 'released')
    )"""
"""Which of the asked (bits, first key, last key, backer) have a pledge that counts."""

_GIVEN: Final = """
    SELECT json_group_array(json_array(pledge, amount_minor)) FROM (
        SELECT pledge, amount_minor FROM payout_shares
        WHERE payout = ? AND pledge > ? ORDER BY pledge LIMIT ?
    )"""
"""The next shares of a payout."""

_numbers: Final = msgspec.json.Decoder(list[int])
_pairs: Final = msgspec.json.Decoder(list[tuple[int, int]])


class PledgeBook:
    """The pledges that a batch of facts touches.

    Other folds join the lists of those who are told; they are told while the batch is folded and
    written, in an order that is not that of the facts, so they may only add up.
    """

    def __init__(self, conn: Connection, seen: SeenBackers, made: NewPledges) -> None:
        self._conn = conn
        self._seen = seen
        self._made = made
        self.campaigns = Rows(CAMPAIGNS, conn)
        self.pledges = Rows(PLEDGES, conn)
        self.refunds = Rows(REFUNDS, conn)
        self.disputes = Rows(DISPUTES, conn)
        self.payouts = Rows(PAYOUTS, conn)
        self.shares: list[tuple[int, int, int]] = []
        self._before: dict[int, Standing | None] = {}
        self._fresh: defaultdict[int, list[int]] = defaultdict(list)
        self.standing_changed: list[StandingChanged] = []
        self.made_together: list[MadeTogether] = []
        self.backers_changed: list[BackersChanged] = []
        self.money_moved: list[MoneyMoved] = []

    def write(self) -> None:
        """Write every change, and tell the other folds what became of each pledge."""
        gained: set[tuple[int, str]] = set()
        lost: set[tuple[int, str]] = set()
        told, before = self.standing_changed, self._before
        for row in self.pledges.changed():
            was, now = before[row.key], standing(row)
            if was is not None and was == now:
                continue
            for tell in told:
                tell(row, was, now)
            if was is None or was.counted != now.counted:
                if now.counted:
                    gained.add((row.campaign, row.backer))
                elif was is not None:
                    lost.add((row.campaign, row.backer))
        changes = self._count_made(gained)
        moved = gained | lost
        backed = self._backing(moved)  # before any row of this batch can be found
        if not self._made.written:
            self._seen.add(self._made.bits, self._made.campaigns)
            try:
                self._made.write(self._conn)
            except IntegrityError as fault:
                last = self._made.last
                raise FactsDisagreeError(f"up to position {last} a pledge is made twice") from fault
        self.pledges.write()
        back = gained | self._backing(lost - gained)
        for pair in moved:
            changes[pair[0]] += (pair in back) - (pair in backed)
        for campaign, change in changes.items():
            for tell_backers in self.backers_changed:
                tell_backers(campaign, change)
        for rows_of in (self.campaigns, self.refunds, self.disputes, self.payouts):
            rows_of.write()
        _append_shares.write(self._conn, self.shares)
        self.shares.clear()
        self._before.clear()
        self._fresh.clear()

    def _count_made(self, gained: set[tuple[int, str]]) -> defaultdict[int, int]:
        """Tell of the new pledges that nothing else touched; return by how many each campaign's
        backers became more. Those who may have backed it before, or pledged twice in this batch,
        are added to `gained` instead.
        """
        changes: defaultdict[int, int] = defaultdict(int)
        made = self._made
        if made.written:
            return changes
        for together in made.together():
            for tell in self.made_together:
                tell(together)
        backers, kept = made.backers()
        pairs = made.campaigns << BITS | made.bits.astype(np.int64)
        unsure = self._seen.may_know(made.bits, made.campaigns)
        order = np.argsort(pairs)
        again = np.diff(pairs[order]) == 0
        unsure[order[1:][again]] = unsure[order[:-1][again]] = True
        for place in (kept & unsure).nonzero()[0].tolist():
            gained.add((int(made.campaigns[place]), backers[place]))
        counted = np.unique(made.campaigns[kept & ~unsure], return_counts=True)
        changes.update(zip(*(each.tolist() for each in counted), strict=True))
        return changes

    def _backing(self, pairs: _Pairs) -> set[tuple[int, str]]:
        """Those (campaign, backer) with a stored pledge that counts."""
        if not pairs:
            return set()
        several = list(pairs)
        bits = bits_of_all([backer for _, backer in several])
        campaigns = np.array([campaign for campaign, _ in several], np.int64)
        may = self._seen.may_know(bits, campaigns).tolist()
        asked = [
            (bits_of(backer), pledge_key(campaign, 0), pledge_key(campaign, MAX_NO), backer)
            for (campaign, backer), known in zip(several, may, strict=True)
            if known
        ]
        if not asked:
            return set()
        found = _numbers.decode(self._ask(_BACKING, asked))
        return {(asked[index][1] >> NO_BITS, asked[index][3]) for index in found}

    def _ask(self, sql: str, asked: Sequence[object]) -> str:
        packed: str = self._conn.exec_driver_sql(sql, (as_json(asked),)).scalar_one()
        return packed

    # --- Rows ------------------------------------------------------------------------------------

    def load(
        self, campaigns: Iterable[int], pledges: Iterable[int], movements: Iterable[int]
    ) -> None:
        """Fetch rows in a few queries instead of one by one.

        `campaigns` and `pledges` are keys; of the pledges in `movements` refunds and disputes too.
        """
        self.campaigns.load(campaigns)
        self.pledges.load(pledges)
        moving = set(movements)
        self.refunds.load(moving)
        self.disputes.load(moving)

    def _keep(self, row: PledgeRow) -> PledgeRow:
        """Keep a pledge of this batch that another fact concerns: a row like any other now."""
        self._before[row.key] = None
        self.pledges.add(row.key, row)
        self._fresh[row.campaign].append(row.key)
        return row

    def touched(self, fact: Fact, no: int) -> PledgeRow:
        """The pledge that a fact is about to change. Raises FactsDisagreeError."""
        key = pledge_key(fact.campaign, no)
        made = self._made.take(key, fact.position)
        row = self.pledges.get(key) if made is None else self._keep(made)
        if row is None:
            raise FactsDisagreeError(f"position {fact.position} names pledge {no}, never made")
        self.touch(row, fact)
        return row

    def touch(self, row: PledgeRow, fact: Fact) -> None:
        """Remember how a pledge stood before it is changed, and that it is."""
        if row.key not in self._before:
            self._before[row.key] = standing(row)
        row.changed_position = fact.position
        self.pledges.put(row)

    def campaign(self, fact: Fact) -> CampaignRow:
        """The campaign that a fact is about. Raises FactsDisagreeError."""
        row = self.campaigns.get(fact.campaign)
        if row is None:
            raise FactsDisagreeError(f"position {fact.position} names a campaign never submitted")
        return row

    def span(self, fact: Fact, from_no: int, to_no: int) -> Iterator[PledgeRow]:
        """Every pledge of a range in the order of its number, of those that a fact may concern."""
        campaign = fact.campaign
        after, last = pledge_key(campaign, from_no) - 1, pledge_key(campaign, to_no)
        for row in self._made.take_all(after, last, fact.position):
            self._keep(row)
        while rows := self.pledges.span(after, last, CHUNK):
            yield from rows
            after = rows[-1].key
            self.relieve()
        for key in sorted(self._fresh[campaign]):
            if after < key <= last:
                fresh = self.pledges.get(key)
                assert fresh is not None, "what is not written yet is in memory"
                yield fresh

    def given(self, payout: int, after: int) -> list[tuple[int, int]]:
        """The next (pledge key, share) of the payout that was approved at a position."""
        packed = self._conn.exec_driver_sql(_GIVEN, (payout, after, CHUNK)).scalar_one()
        return _pairs.decode(packed)

    def relieve(self) -> None:
        """Write and let go of rows where there are too many in memory."""
        if len(self.pledges) > MOST_IN_MEMORY:
            self.write()
            self.pledges.forget()

    def say(self, row: PledgeRow, fact: Fact, *lines: tuple[Kind, int]) -> None:
        """Add lines to the statement of the pledge's backer; those of nothing are left out."""
        moved = tuple(line for line in lines if line[1])
        if moved:
            for tell in self.money_moved:
                tell(row, fact, moved)
