"""What a verification found, in a form that people and machines read."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

LISTED: Final = 1_000
"""How many findings are kept; the others are counted."""


class Finding(Struct, frozen=True):
    """One violation: of which rule, at which event, and what is wrong.

    `rule` is `rule 1` to `rule 13` of the rule book, or names what else is checked: `positions`,
    `versions`, `columns`, `bytes`, `keys`, `provider`. `position` is None and `stream` empty where
    no one event is to blame.
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
    """Everything found so far: the first thousand in full, and how many there are."""

    def __init__(self) -> None:
        self.listed: list[Finding] = []
        self.count = 0

    @property
    def unlisted(self) -> int:
        """How many there are, where that is more than are listed; else 0."""
        return self.count if self.count > len(self.listed) else 0

    def take(self, listed: list[Finding], count: int) -> None:
        """Take over what somebody else found: the first of so many."""
        self.count += count
        self.listed += listed
        # What is wrong with the whole comes first, then all in the order of the log.
        self.listed.sort(key=lambda found: (found.position is not None, found.position or 0))
        del self.listed[LISTED:]

    def add(self, rule: str, sentence: str, position: int | None = None, stream: str = "") -> None:
        """Note one violation."""
        self.count += 1
        if self.count <= LISTED:
            self.listed.append(Finding(rule, position, stream, sentence))
