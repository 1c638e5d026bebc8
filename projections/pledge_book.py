"""The pledges that a batch of facts touches: loaded, changed in memory, written, told of.

What each fact does to them stands in `pledge_changes`. A fact about many pledges (fees, payouts,
an end) goes through their rows in order, some thousand at a time, so that memory stays bounded
however large the campaign is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection

from projections.facts import MAX_NO, NO_BITS, Fact, pledge_key
from projections.pledges import (
    BY_BACKER,
    BY_ID,
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


_append_backers: Final = append_to(BY_BACKER)
_append_ids: Final = append_to(BY_ID)
_append_shares: Final = append_to(SHARES)

_BACKING: Final = """
    SELECT json_group_array(asked.key) FROM json_each(?) AS asked
    WHERE EXISTS (
        SELECT 1 FROM pledges_by_backer AS found JOIN pledges ON pledges.key = found.pledge
        WHERE found.bits = asked.value ->> 0
        AND found.pledge BETWEEN asked.value ->> 1 AND asked.value ->> 2
        AND pledges.backer = asked.value ->> 3
        AND pledges.status NOT IN ('withdrawn', 'dropped', 'released')
    )"""
"""Which of the asked (bits, first key, last key, backer) have a pledge that counts."""

_KNOWN_BITS: Final = """
    SELECT json_group_array(bits) FROM pledges_by_backer
    WHERE bits IN (SELECT value FROM json_each(?))"""
"""Which bits of ids were seen: those of new backers, the most of all, hardly ever."""

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

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self.campaigns = Rows(CAMPAIGNS, conn)
        self.pledges = Rows(PLEDGES, conn)
        self.refunds = Rows(REFUNDS, conn)
        self.disputes = Rows(DISPUTES, conn)
        self.payouts = Rows(PAYOUTS, conn)
        self.shares: list[tuple[int, int, int]] = []
        self._by_backer: list[tuple[int, int]] = []
        self._by_id: list[tuple[int, int]] = []
        self._before: dict[int, Standing | None] = {}
        self._fresh: defaultdict[int, list[int]] = defaultdict(list)
        self.standing_changed: list[StandingChanged] = []
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
        moved = list(gained | lost)
        backed = self._backing(moved)
        self.pledges.write()
        self._before.clear()
        for append, found in ((_append_backers, self._by_backer), (_append_ids, self._by_id)):
            append.write(self._conn, sorted(found))
            found.clear()
        back = gained | self._backing(list(lost - gained))
        changes: defaultdict[int, int] = defaultdict(int)
        for pair in moved:
            changes[pair[0]] += (pair in back) - (pair in backed)
        for campaign, change in changes.items():
            for tell_backers in self.backers_changed:
                tell_backers(campaign, change)
        for rows_of in (self.campaigns, self.refunds, self.disputes, self.payouts):
            rows_of.write()
        _append_shares.write(self._conn, self.shares)
        self.shares.clear()
        self._fresh.clear()

    def _backing(self, pairs: Sequence[tuple[int, str]]) -> set[tuple[int, str]]:
        """Those (campaign, backer) with a stored pledge that counts."""
        bits = [bits_of(backer) for _, backer in pairs]
        known = set(_numbers.decode(self._ask(_KNOWN_BITS, bits)))
        asked = [
            (each, pledge_key(campaign, 0), pledge_key(campaign, MAX_NO), backer)
            for each, (campaign, backer) in zip(bits, pairs, strict=True)
            if each in known
        ]
        found = _numbers.decode(self._ask(_BACKING, asked)) if asked else ()
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

    def add(self, row: PledgeRow) -> None:
        """Keep a pledge that was just made."""
        key = row.key
        self._before[key] = None
        self.pledges.add(key, row)
        self._fresh[row.campaign].append(key)
        self._by_backer.append((bits_of(row.backer), key))
        self._by_id.append((bits_of(row.pledge_id), key))

    def touched(self, fact: Fact, no: int) -> PledgeRow:
        """The pledge that a fact is about to change. Raises FactsDisagreeError."""
        row = self.pledges.get(pledge_key(fact.campaign, no))
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

    def span(self, campaign: int, from_no: int, to_no: int) -> Iterator[PledgeRow]:
        """Every pledge of a range in the order of its number."""
        after, last = pledge_key(campaign, from_no) - 1, pledge_key(campaign, to_no)
        while rows := self.pledges.span(after, last, CHUNK):
            yield from rows
            after = rows[-1].key
            self.relieve()
        for key in self._fresh[campaign]:
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
