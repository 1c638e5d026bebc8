"""What a verification found, in a form that people and machines read."""

from __future__ import annotations

from collections import Counter
from typing import Final

from msgspec import Struct

LISTED: Final = 1_000
"""How many findings are kept; the others are counted."""


class Finding(Struct, frozen=True):
    """One violation: of which rule, at which event, and what is wrong.

    `rule` is `rule 1` to `rule 13` of the rule book, or names what else is checked: `positions`,
    `versions`, `columns`, `bytes`, `keys`, `provider`, `leaf`, `tree`, `checkpoint`, `fork`.
    `position` is None and `stream` empty where no one event is to blame.
    """

    rule: str
    position: int | None
    stream: str
    sentence: str

    def __str__(self) -> str:
        place = "" if self.position is None else f" position {self.position:,}"
        stream = f" {self.stream}" if self.stream else ""
        return f"{self.rule}{place}{stream}: {self.sentence}"


class Findings:
    """Everything found so far: how many there are of each kind, and the first thousand in full.

    What is wrong with the whole comes first, then all in the order of the log, whoever found it.
    """

    def __init__(self) -> None:
        self.by_kind: Counter[str] = Counter()
        self._of_the_whole: list[Finding] = []
        self._placed: list[Finding] = []

    @property
    def count(self) -> int:
        """How many there are."""
        return self.by_kind.total()

    @property
    def listed(self) -> list[Finding]:
        """The first thousand."""
        # Both sorts keep the order in which things were found at one place.
        whole = sorted(self._of_the_whole, key=lambda found: found.stream)
        placed = sorted(self._placed, key=lambda found: found.position or 0)
        return [*whole, *placed][:LISTED]

    @property
    def unlisted(self) -> int:
        """How many there are, where that is more than are listed; else 0."""
        return self.count if self.count > LISTED else 0

    def take(self, others: Findings) -> None:
        """Take over what somebody else found of other streams."""
        self.by_kind += others.by_kind
        self._of_the_whole += others._of_the_whole
        self._placed += others._placed
        self._placed.sort(key=lambda found: found.position or 0)
        del self._placed[LISTED:]

    def add(self, rule: str, sentence: str, position: int | None = None, stream: str = "") -> None:
        """Note one violation; those at places are found in the order of the log."""
        self.by_kind[rule] += 1
        kept = self._of_the_whole if position is None else self._placed
        if len(kept) < LISTED:
            kept.append(Finding(rule, position, stream, sentence))
