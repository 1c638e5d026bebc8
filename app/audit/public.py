"""The audit from outside: from what a log publishes, and nothing else, to every published total.

It needs the log's public key, and none of our files. What it proves, and what it cannot, stands in
docs/auditing-from-outside.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from app.audit.findings import Finding, Findings
from app.audit.progress import Progress
from app.audit.public_books import Books, Difference, compare
from app.audit.public_mirror import Mirror, past_checkpoints
from app.audit.public_source import INDEX, CannotReadError, Folder, Source
from app.audit.public_tree import Tree, check_tiles, read_tree
from app.transparency.checkpoint import Checkpoint, CheckpointError, open_checkpoint
from app.transparency.note import NoteError, VerifierKey, encode_base64, parse_note
from app.transparency.openings import (
    PLATFORM,
    Claim,
    Live,
    OpeningsError,
    claim_of,
    decode_index,
    decode_live,
    is_campaign,
)

_BEARABLE: Final = frozenset({"live", "witnesses"})
"""Findings that are no reason against keeping what was read."""

Watch = Callable[[str], Progress]
"""Begins a bar for what is done next, and returns what moves it."""


class Asked(Struct, frozen=True):
    """What the auditor brings: keys known from elsewhere, and the size to look at."""

    key: VerifierKey | None = None
    witnesses: tuple[VerifierKey, ...] = ()
    quorum: int = 0
    at: int | None = None


class Cosigned(Struct, frozen=True):
    """A witness that signed the checkpoint, at a time in seconds since 1970."""

    name: str
    at_s: int | None


class CampaignAudit(Struct, frozen=True):
    """A campaign as its openings add up, in minor units. `first` and `position` are those of the
    first and the last of them, `page` is the address of what the platform shows of it.
    """

    campaign: str
    page: str
    currency: str
    totals: Claim
    entries: int
    batches: int
    first: int
    position: int
    live: Difference | None


class PublicAudit(Struct, frozen=True):
    """What was found. `root` and the log's key are as in a checkpoint and a note; `size` counts the
    leaves that were looked at, `signed_size` those of the checkpoint. `unchecked` are the names of
    others who signed, and whose keys were not given. Of `cut_batches` only a part was looked at.
    """

    source: str
    origin: str
    key: str
    key_from: str
    size: int
    signed_size: int
    root: str
    witnesses: tuple[Cosigned, ...]
    unchecked: tuple[str, ...]
    earlier: int
    opened: int
    unopened: int
    first_unopened: int | None
    batches: int
    later_batches: int
    cut_batches: int
    live_position: int | None
    campaigns: tuple[CampaignAudit, ...]
    warnings: tuple[str, ...]
    refused: str
    findings: tuple[Finding, ...]
    found: int

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.found


class PublicAuditor:
    """One audit. `run` does it; what is wrong lands in the answer."""

    def __init__(self, source: Source, asked: Asked, watch: Watch) -> None:
        self._source = source
        self._asked = asked
        self._watch = watch
        self._findings = Findings()
        self._warnings: list[str] = []
        self._mirror = source if isinstance(source, Mirror) else None
        self._kept: Folder | None = None
        if isinstance(source, Mirror):
            self._kept = source.kept
        elif isinstance(source, Folder):
            self._kept = source

    def run(self) -> PublicAudit:
        """Look at everything. Raises CannotReadError where what is needed cannot be had."""
        key, key_from = self._key()
        checkpoint, witnesses, unchecked = self._checkpoint(key)
        size = checkpoint.size if self._asked.at is None else self._asked.at
        if self._asked.at is not None and not 1 <= size <= checkpoint.size:
            raise CannotReadError(
                f"There is no position {size}: the log holds 1 to {checkpoint.size:,}."
            )
        earlier, live, root = 0, None, checkpoint.root
        tree, leads = self._tree(checkpoint)
        books = Books(tree, size, self._findings)
        differences: dict[str, Difference] = {}
        if leads:
            earlier = self._grown_from(key, checkpoint, tree)
            root = tree.root(size)
            self._read_openings(books)
            live = self._live() if self._asked.at is None else None
            if live is not None:
                differences = compare(books, live, size, self._findings)
        refused = self._keep(leads, checkpoint.size)
        return PublicAudit(
            source=self._source.name,
            origin=checkpoint.origin,
            key=key.encode(),
            key_from=key_from,
            size=size,
            signed_size=checkpoint.size,
            root=encode_base64(root),
            witnesses=witnesses,
            unchecked=unchecked,
            earlier=earlier,
            opened=books.opened,
            unopened=size - books.opened,
            first_unopened=books.first_unopened,
            batches=sum(account.batches for account in books.accounts.values()),
            later_batches=books.later,
            cut_batches=books.cut,
            live_position=None if live is None else live.position,
            campaigns=_campaigns(books, live, differences, self._source.site),
            warnings=tuple(self._warnings),
            refused=refused,
            findings=tuple(self._findings.listed),
            found=self._findings.count,
        )

    # --- Who speaks ------------------------------------------------------------------------------

    def _key(self) -> tuple[VerifierKey, str]:
        """The log's key, and where it is from: `given`, `kept` or `served`."""
        served = self._source.read("key")
        kept = self._kept.read("key") if self._kept is not None and self._mirror else None
        if self._asked.key is not None:
            key, key_from = self._asked.key, "given"
        elif kept is not None:
            key, key_from = _parsed(kept), "kept"
        elif served is not None:
            key, key_from = _parsed(served), "served"
            self._warnings.append(
                "The key is the one that the log shows of itself: whoever can alter the log can"
                " alter it, too. Get it from somebody else, and give it with --key."
            )
        else:
            raise CannotReadError("The log shows no key: give it with --key.")
        if served is not None and served.strip() != key.encode().encode():
            sentence = f"The log shows another key than the one that was {key_from}."
            self._findings.add("key", sentence)
        return key, key_from

    def _checkpoint(
        self, key: VerifierKey
    ) -> tuple[Checkpoint, tuple[Cosigned, ...], tuple[str, ...]]:
        """The checkpoint, who cosigned it, and the names of others who may have."""
        data = self._source.read("checkpoint")
        if data is None:
            raise CannotReadError("No checkpoint is published: nothing can be held to anything.")
        note = data.decode(errors="replace")
        try:
            opened = open_checkpoint(note, key, self._asked.witnesses)
        except CheckpointError as fault:
            sentence = f"What is shown is no checkpoint of the log: {fault}."
            self._findings.add("checkpoint", sentence)
            refused = None if self._mirror is None else self._mirror.refuse(None)
            raise CheckpointRefusedError(
                tuple(self._findings.listed), "" if refused is None else str(refused)
            ) from fault
        if self._mirror is not None:
            self._mirror.keep_checkpoint(note, opened.checkpoint.size)
        signed = {one.key.public for one in opened.witnessed} - {key.public}
        if len(signed) < self._asked.quorum:
            sentence = f"Of {self._asked.quorum} witnesses that are needed {len(signed)} signed."
            self._findings.add("witnesses", sentence)
        seen = tuple(Cosigned(one.key.name, one.at_s) for one in opened.witnessed)
        known = {(one.name, one.key_id) for one in (key, *self._asked.witnesses)}
        others = (one.name for one in parse_note(note).lines if (one.name, one.key_id) not in known)
        return opened.checkpoint, seen, tuple(dict.fromkeys(others))

    # --- The tree --------------------------------------------------------------------------------

    def _tree(self, checkpoint: Checkpoint) -> tuple[Tree, bool]:
        """The tree of the leaves, and whether it is the one that is signed."""
        mine = Findings()
        tree = read_tree(self._source, checkpoint.size, mine, self._watch("Leaves"))
        leads = tree.root(checkpoint.size) == checkpoint.root
        if not leads and self._mirror is not None and not self._mirror.fresh:
            # What is kept may not be what is signed now: look at all of it as it is shown today.
            self._mirror.fresh = True
            mine = Findings()
            shown = read_tree(self._mirror, checkpoint.size, mine, self._watch("Leaves, again"))
            leads = shown.root(checkpoint.size) == checkpoint.root
            position = tree.first_difference(shown)
            if position is not None:
                sentence = (
                    "The leaf is another one than the log showed before: its history was changed."
                )
                mine.add("fork", sentence, position)
            tree = shown
        check_tiles(self._source, tree, checkpoint.root, mine, self._watch("Tiles"))
        self._findings.take(mine)
        return tree, leads

    def _grown_from(self, key: VerifierKey, now: Checkpoint, tree: Tree) -> int:
        """Hold the tree to every checkpoint that is kept; return how many it goes on from."""
        if self._kept is None:
            return 0
        agreeing = 0
        largest = 0
        for name, note in past_checkpoints(self._kept.folder):
            try:
                past = open_checkpoint(note, key).checkpoint
            except CheckpointError as fault:
                self._findings.add("fork", f"The kept checkpoint {name} is not the log's: {fault}.")
                continue
            largest = max(largest, past.size)
            if past.size > now.size:
                continue
            if tree.root(past.size) == past.root:
                agreeing += past.size < now.size
            else:
                self._findings.add(
                    "fork",
                    f"The log signed two histories: the kept checkpoint {name} of"
                    f" {past.size:,} leaves is not a beginning of the present one.",
                )
        if largest > now.size:
            sentence = (
                f"The log has {now.size:,} leaves, and signed {largest:,} before: it was rolled"
                " back, or shows an old checkpoint."
            )
            self._findings.add("rolled back", sentence)
        return agreeing

    # --- The books -------------------------------------------------------------------------------

    def _read_openings(self, books: Books) -> None:
        data = self._source.read(INDEX)
        if data is None:
            self._warnings.append("No openings are published: no total can be added up.")
            return
        try:
            index = decode_index(data)
        except OpeningsError as fault:
            raise CannotReadError(f"The list of openings cannot be read: {fault}.") from fault
        if self._mirror is not None and self._kept is not None:
            self._hold_to_kept({one.campaign: one.batches for one in index.campaigns})
        books.read(self._source, index.campaigns, self._watch("Openings"))
        for one in index.campaigns:
            account = books.accounts.get(one.campaign)
            if account is not None and not books.later and account.listed != one.entries:
                sentence = f"It is listed with {one.entries:,} entries, and has {account.listed:,}."
                self._findings.add("openings", sentence, None, one.campaign)

    def _hold_to_kept(self, batches: dict[str, int]) -> None:
        """What was opened once stays."""
        data = self._kept.read(INDEX) if self._kept is not None else None
        try:
            kept = decode_index(data).campaigns if data is not None else []
        except OpeningsError:
            return
        for one in kept:
            if batches.get(one.campaign, 0) < one.batches:
                sentence = (
                    f"{one.batches:,} batches of it were opened before,"
                    f" and {batches.get(one.campaign, 0):,} are now."
                )
                self._findings.add("openings", sentence, None, one.campaign)

    def _live(self) -> Live | None:
        data = self._source.read("totals")
        if data is None:
            self._warnings.append("What the pages show is not published here: it is not compared.")
            return None
        try:
            return decode_live(data)
        except OpeningsError as fault:
            raise CannotReadError(f"What the pages show cannot be read: {fault}.") from fault

    # --- The mirror ------------------------------------------------------------------------------

    def _keep(self, leads: bool, size: int) -> str:  # noqa: FBT001 - said by the one caller
        """Keep what was read, or apart where it contradicts what is kept; return where then."""
        if self._mirror is None:
            return ""
        if leads and all(one.rule in _BEARABLE for one in self._findings.listed):
            self._mirror.accept()
            return ""
        folder = self._mirror.refuse(size)
        return "" if folder is None else str(folder)


def _campaigns(
    books: Books, live: Live | None, differences: dict[str, Difference], site: str
) -> tuple[CampaignAudit, ...]:
    """Every campaign that is opened, in the order in which they begin, and those that are only
    shown, in the order of their last entries; what belongs to none comes last.
    """
    accounts = sorted(
        books.accounts.values(),
        key=lambda one: (one.campaign == PLATFORM, not one.first, one.first),
    )
    opened = [
        CampaignAudit(
            account.campaign,
            _page(site, account.campaign),
            account.currency,
            claim_of(account.totals),
            account.entries,
            account.batches,
            account.first,
            account.position,
            differences.get(account.campaign),
        )
        for account in accounts
    ]
    shown = [
        CampaignAudit(
            one.campaign,
            _page(site, one.campaign),
            one.currency,
            Claim(),
            0,
            0,
            0,
            0,
            differences[one.campaign],
        )
        for one in sorted(live.campaigns if live else (), key=lambda one: one.position)
        if one.campaign not in books.accounts
    ]
    first, last = opened, list[CampaignAudit]()
    if opened and opened[-1].campaign == PLATFORM:
        first, last = opened[:-1], opened[-1:]
    return (*first, *shown, *last)


def _page(site: str, campaign: str) -> str:
    """Where the platform shows a campaign."""
    named = site and campaign != PLATFORM and is_campaign(campaign)
    return f"{site}/campaigns/{campaign}" if named else ""


class CheckpointRefusedError(Exception):
    """What is shown as a checkpoint is none that the key signed: nothing else can be looked at.
    `refused` is where a mirror keeps it, empty where there is no mirror.
    """

    def __init__(self, findings: tuple[Finding, ...], refused: str) -> None:
        """Say what was found."""
        super().__init__("; ".join(map(str, findings)))
        self.refused = refused
        self.findings = findings


def _parsed(data: bytes) -> VerifierKey:
    try:
        return VerifierKey.parse(data.decode(errors="replace").strip())
    except NoteError as fault:
        raise CannotReadError(f"The log's key cannot be read: {fault}.") from fault
