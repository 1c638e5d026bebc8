"""Adding up what is opened: each opening against its leaf, each claim against their sum."""

from __future__ import annotations

from array import array
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections import deque
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

import msgspec
from msgspec import Struct

from app.audit.findings import Findings
from app.audit.progress import Progress
from app.audit.public_source import CannotReadError, Source
from app.audit.public_tree import Tree
from app.transparency.leaf import COMMITMENT_BYTES, SALT_BYTES
from app.transparency.openings import (
    NUMBERS,
    PLATFORM,
    Batch,
    Claim,
    Listed,
    Live,
    LiveTotals,
    Opening,
    OpeningsError,
    batch_path,
    claim_of,
    decode_batch,
)
from app.transparency.public_part import PublicPart, PublicPartError, Totals, parse_public_part

BLOCK: Final = 4096
"""Leaves that are counted at once."""


class Account(Struct):
    """A campaign as its openings add up, from position `first` to `position`. `listed` counts the
    entries that its batches say they open, `entries` those that were looked at. `blamed` is by how
    much a claim was found to be wrong, so that the claims after it are not blamed for the same.
    """

    campaign: str
    currency: str = ""
    totals: Totals = msgspec.field(default_factory=Totals)
    listed: int = 0
    entries: int = 0
    batches: int = 0
    first: int = 0
    position: int = 0
    day: str = ""
    blamed: dict[str, int] = {}


class Books:
    """All openings, added up. `accounts` by campaign; `opened` counts the leaves, `later` the
    batches that only open leaves beyond the tree that is looked at, `cut` those that begin in it
    and end beyond: what they claim holds later, and is not compared.
    """

    def __init__(self, tree: Tree, size: int, findings: Findings) -> None:
        self._tree = tree
        self._size = size
        self._findings = findings
        self._opened_by = array("I", bytes(4 * size))
        self._names: list[tuple[str, int]] = [("", 0)]
        self._blocks: list[int] = []
        self.accounts: dict[str, Account] = {}
        self.opened = 0
        self.later = 0
        self.cut = 0

    def read(self, source: Source, listed: list[Listed], progress: Progress) -> None:
        """Read and add up every batch that is listed. Raises CannotReadError."""
        total = sum(one.batches for one in listed)
        if total > self._tree.size:
            raise CannotReadError("More batches are listed than the tree has leaves.")
        waiting: deque[tuple[Listed, int]] = deque()
        missing: set[str] = set()

        def asked() -> Iterator[str]:
            for one in listed:
                for number in range(1, one.batches + 1):
                    if one.campaign in missing:
                        break
                    waiting.append((one, number))
                    yield batch_path(one.campaign, number)

        for done, data in enumerate(source.read_all(asked()), 1):
            one, number = waiting.popleft()
            account = self.accounts.setdefault(one.campaign, Account(one.campaign))
            if data is None:
                sentence = f"Batch {number:,} is listed and not published."
                if one.campaign not in missing:
                    self._findings.add("openings", sentence, None, one.campaign)
                missing.add(one.campaign)
                continue
            try:
                batch = decode_batch(data)
            except OpeningsError as fault:
                raise CannotReadError(
                    f"Batch {number:,} of {one.campaign} is none: {fault}."
                ) from fault
            self._take(account, number, batch)
            progress(done, total)

    # --- A batch ---------------------------------------------------------------------------------

    def _take(self, account: Account, number: int, batch: Batch) -> None:
        openings = batch.openings
        campaign, first = account.campaign, openings[0].position if openings else None
        if not batch.openings or batch.openings[-1].position != batch.up_to_position:
            sentence = (
                f"Batch {number:,} does not end at position {batch.up_to_position:,} as it says:"
                " openings were left out."
            )
            self._findings.add("openings", sentence, None, campaign)
        elif batch.up_to_position > self._size:
            openings = [one for one in batch.openings if one.position <= self._size]
            if not openings:
                self.later += 1
                return
        cut = len(openings) < len(batch.openings)
        if (batch.campaign, batch.batch) != (campaign, number):
            sentence = f"Batch {number:,} says that it is {batch.batch:,} of {batch.campaign}."
            self._findings.add("openings", sentence, first, campaign)
        if batch.after_version != account.listed:
            sentence = (
                f"Batch {number:,} goes on after {batch.after_version:,} entries, and"
                f" {account.listed:,} are opened before it: openings were left out."
            )
            self._findings.add("openings", sentence, first, campaign)
        self._names.append((campaign, number))
        for opening in openings:
            part = self._opened(account, opening)
            if part is not None:
                self._add(account, opening.position, part)
        account.listed = batch.after_version + len(batch.openings)
        account.entries = batch.after_version + len(openings)
        account.batches = number
        if cut:
            self.cut += 1
        else:
            self._hold_to(account, batch)

    def _opened(self, account: Account, opening: Opening) -> PublicPart | None:
        """The public part that an opening shows, where it opens its leaf and no other did."""
        position, campaign, found = opening.position, account.campaign, self._findings
        if not 1 <= position <= self._size:
            sentence = f"An opening names position {position:,}, which is not in the tree."
            found.add("openings", sentence, None, campaign)
            return None
        public = opening.public.encode(errors="replace")
        try:
            salt = a2b_base64(opening.salt, strict_mode=True)
        except (Base64Error, ValueError):
            salt = b""
        start = (position - 1) * COMMITMENT_BYTES
        committed = self._tree.commitments[start : start + COMMITMENT_BYTES]
        if len(salt) != SALT_BYTES or sha256(salt + public).digest() != committed:
            found.add("openings", "What is shown does not open the leaf.", position, campaign)
            return None
        before = self._opened_by[position - 1]
        if before:
            other, number = self._names[before]
            where = f"batch {number:,}" + ("" if other == campaign else f" of {other}")
            found.add("openings", f"The leaf was opened before, in {where}.", position, campaign)
            return None
        self._opened_by[position - 1] = len(self._names) - 1
        self.opened += 1
        if position <= account.position:
            found.add("openings", "The opening is not in the order of the log.", position, campaign)
        account.first = account.first or position
        account.position = max(account.position, position)
        try:
            return parse_public_part(public)
        except (PublicPartError, UnicodeError) as fault:
            found.add("openings", f"{fault}.", position, campaign)
            return None

    def _add(self, account: Account, position: int, part: PublicPart) -> None:
        found, campaign = self._findings, account.campaign
        if part.campaign != ("" if campaign == PLATFORM else campaign):
            whose = part.campaign or "no campaign"
            found.add("openings", f"The leaf is an entry of {whose}.", position, campaign)
            return
        if part.day < account.day:
            sentence = f"Its day, {part.day}, is before {account.day}, the entry's before it."
            found.add("openings", sentence, position, campaign)
        account.day = part.day
        if not part.changes:
            return
        if campaign == PLATFORM:
            found.add("openings", "An entry of no campaign changes money.", position, campaign)
            return
        if part.currency != account.currency:
            if account.currency:
                sentence = f"Its currency is {part.currency}, the campaign's {account.currency}."
                found.add("openings", sentence, position, campaign)
            account.currency = part.currency
        totals = account.totals
        before = totals.held
        totals.add(part)
        if totals.held < 0 <= before:
            sentence = "From here on more has left the campaign than came in."
            found.add("totals", sentence, position, campaign)

    def _hold_to(self, account: Account, batch: Batch) -> None:
        """The claimed numbers after a batch are what the openings add up to."""
        ours, claimed = claim_of(account.totals), batch.totals
        for name in NUMBERS:
            wrong = getattr(claimed, name) - getattr(ours, name)
            if wrong not in (0, account.blamed.get(name, 0)):
                sentence = (
                    f"Batch {batch.batch:,} claims {name} {getattr(claimed, name):,}, and the"
                    f" openings add up to {getattr(ours, name):,} (minor units)."
                )
                self._findings.add("totals", sentence, batch.up_to_position, account.campaign)
            account.blamed[name] = wrong

    # --- What is not opened ----------------------------------------------------------------------

    @property
    def first_unopened(self) -> int | None:
        """The first position that is not opened; None where all are."""
        place = next((place for place, batch in enumerate(self._opened_by) if not batch), None)
        return None if place is None else place + 1

    def unopened(self, after: int, up_to: int) -> int:
        """How many positions after one, up to another, are not opened."""
        end = min(up_to, self._size)
        if end <= after:
            return 0
        if not self._blocks:
            self._blocks = [
                self._opened_by[start : start + BLOCK].count(0)
                for start in range(0, self._size, BLOCK)
            ]
        first, last = -(-after // BLOCK), end // BLOCK
        if first >= last:
            return self._opened_by[after:end].count(0)
        edges = self._opened_by[after : first * BLOCK].count(0)
        edges += self._opened_by[last * BLOCK : end].count(0)
        return edges + sum(self._blocks[first:last])


# --- What the pages show -------------------------------------------------------------------------


class Difference(Struct, frozen=True):
    """What a campaign's page shows more than is opened, and the most leaves that can be of it."""

    more: Claim
    unopened: int


def compare(books: Books, live: Live, size: int, findings: Findings) -> dict[str, Difference]:
    """Hold what the pages show to what is opened; return the differences that time explains."""
    found: dict[str, Difference] = {}
    shown: set[str] = set()
    for one in live.campaigns:
        if one.campaign in shown:
            findings.add("live", "The campaign is shown twice.", None, one.campaign)
        shown.add(one.campaign)
        found[one.campaign] = _difference(books, live, one, size, findings)
    for campaign, account in books.accounts.items():
        if account.currency and campaign not in shown:
            findings.add("live", "The campaign is opened and not shown.", None, campaign)
    return found


def _difference(
    books: Books, live: Live, one: LiveTotals, size: int, findings: Findings
) -> Difference:
    account = books.accounts.get(one.campaign) or Account(one.campaign)
    ours = claim_of(account.totals)
    more = Claim(**{name: getattr(one.totals, name) - getattr(ours, name) for name in NUMBERS})
    unopened = books.unopened(account.position, live.position) + max(0, live.position - size)
    if live.position < account.position:
        return Difference(more, unopened)  # the pages are behind what is opened
    if not one.totals.reconciles:
        sentence = "charged + owed is not held + paid + fees + returned."
        findings.add("live", sentence, None, one.campaign)
    if one.currency != account.currency and account.currency:
        sentence = f"It is shown in {one.currency}, its openings are in {account.currency}."
        findings.add("live", sentence, None, one.campaign)
    if more != Claim() and (not unopened or one.position <= account.position):
        names = ", ".join(
            f"{name} {getattr(one.totals, name):,} and not {getattr(ours, name):,}"
            for name in NUMBERS
            if getattr(more, name)
        )
        sentence = f"Every entry of it is opened, and its page shows {names} (minor units)."
        findings.add("live", sentence, None, one.campaign)
    return Difference(more, unopened)
