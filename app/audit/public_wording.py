"""An audit from outside, in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from app.audit.counting import counted
from app.audit.public import CampaignAudit, PublicAudit
from app.transparency.openings import NUMBERS, PLATFORM, Claim
from domain.money import EXPONENTS, format_minor

_LAST_S = 253_402_300_799
"""The end of the year 9999, in seconds since 1970."""

_SHORT = "pledges"
"""The one number that is no money."""


def describe(found: PublicAudit) -> Iterator[str]:
    """Everything, line by line."""
    yield f"Log {found.origin}, at {found.source}"
    yield f"  key {found.key} ({_FROM[found.key_from]})"
    yield f"  checkpoint of {counted(found.signed_size, 'leaf', 'leaves')}, signed by that key"
    yield from (f"  {line}" for line in _witnesses(found))
    of = "" if found.size == found.signed_size else f" (its first {found.size:,} leaves)"
    yield f"  root {found.root}{of}"
    if found.earlier:
        yield f"  goes on from {counted(found.earlier, 'smaller checkpoint')} kept here"
    yield from (f"Warning: {warning}" for warning in found.warnings)
    yield ""
    yield (
        f"Opened: {found.opened:,} of {counted(found.size, 'leaf', 'leaves')},"
        f" in {counted(found.batches, 'batch', 'batches')}."
        f" Not yet opened: {found.unopened:,}"
        + (
            f", the first at position {found.first_unopened:,}."
            if found.first_unopened is not None
            else "."
        )
    )
    if found.size and not found.opened:
        yield "  so no total could be added up: only the tree was checked."
    if found.cut_batches:
        yield (
            f"  {counted(found.cut_batches, 'batch ends', 'batches end')} beyond these leaves: what"
            " they open of them was added, and what they claim, which is of their end, could not be"
            " compared."
        )
    if found.later_batches:
        yield f"  {found.later_batches:,} batches open leaves beyond these; they were not added."
    if found.live_position is not None:
        yield f"What the pages show is as of position {found.live_position:,}."
    for campaign in found.campaigns:
        yield ""
        yield from _campaign(campaign, found)
    yield ""
    for finding in found.findings:
        yield str(finding)
    if found.found > len(found.findings):
        yield f"… and {found.found - len(found.findings):,} more."
    if found.refused:
        yield unchanged(found.refused)
    yield _verdict(found)


def unchanged(refused: str) -> str:
    """That what was shown was not taken into the mirror, and where it is instead."""
    return f"The mirror is unchanged; what was shown lies in {refused}."


_FROM = {
    "given": "given with --key",
    "kept": "kept in the mirror",
    "served": "taken on trust",
}


def _witnesses(found: PublicAudit) -> Iterator[str]:
    for one in found.witnesses:
        at = ""
        if one.at_s is not None:
            # A time beyond the calendar is told as the last there is.
            moment = datetime.fromtimestamp(min(one.at_s, _LAST_S), UTC)
            at = f" at {moment:%F %T} UTC"
        yield f"cosigned by {one.name}{at}"
    for name in found.unchecked:
        yield f"also signed by {name} (not checked: its key was not given)"


def _campaign(one: CampaignAudit, found: PublicAudit) -> Iterator[str]:
    if one.campaign == PLATFORM:
        yield f"Of no campaign: {counted(one.entries, 'entry', 'entries')} opened, none moves money"
        return
    opened = f"{counted(one.entries, 'entry', 'entries')} opened, up to position {one.position:,}"
    yield f"Campaign {one.campaign}: {opened if one.entries else 'nothing opened yet'}"
    if one.page:
        yield f"  {one.page}"
    if one.currency and one.entries:
        yield f"  {_numbers(one.totals, one.currency)}"
    if one.live is None:
        return
    if one.live.more == Claim():
        yield "  the page shows the same"
        return
    yield f"  the page shows besides: {_numbers(one.live.more, one.currency, changes=True)}"
    if one.position > (found.live_position or 0):
        yield "    because the page has not read so far yet"
    elif one.live.unopened:
        leaf = "leaf that is" if one.live.unopened == 1 else "leaves that are"
        yield f"    which must stand in {one.live.unopened:,} {leaf} not opened yet"


def _numbers(claim: Claim, currency: str, *, changes: bool = False) -> str:
    parts = []
    for name in NUMBERS:
        value = getattr(claim, name)
        if not value and (changes or name in ("owed", "written_off")):
            continue
        told = f"{value:,}" if name == _SHORT else _money(value, currency)
        sign = "+" if changes and value > 0 else ""
        parts.append(f"{name.replace('_', ' ')} {sign}{told}")
    return " · ".join(parts)


def _money(value: int, currency: str) -> str:
    """An amount; of a currency that nobody knows, in minor units."""
    return format_minor(value, currency) if currency in EXPONENTS else f"{currency} {value:,}"


def _verdict(found: PublicAudit) -> str:
    if found.found:
        findings = counted(found.found, "finding")
        return f"{findings}: what is published contradicts itself or what was kept."
    tree = "All well: the leaves lead to the signed root"
    if not found.opened:
        return f"{tree}."
    tree = f"{tree}, every opening opens its leaf, once"
    if found.cut_batches == found.batches:
        return f"{tree}. No claimed total is of these leaves alone, so none was compared."
    claimed = "every claimed total of these leaves" if found.cut_batches else "every claimed total"
    return f"{tree}, and {claimed} is the sum of what is opened."
