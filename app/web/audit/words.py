"""What is checked, in words for people who did not write it."""

from __future__ import annotations

from typing import Final

from app.web.language import gettext, translatable

RULES: Final = (
    (
        translatable("Whole amounts"),
        translatable("Every amount is a whole number of the currency's smallest coin."),
    ),
    (translatable("One currency"), translatable("A campaign never mixes two currencies.")),
    (translatable("Stock"), translatable("No more of a reward is promised than there is.")),
    (translatable("Once only"), translatable("No pledge is counted twice.")),
    (
        translatable("No more than was pledged"),
        translatable("Nobody is charged more than they pledged, or refunded more than they paid."),
    ),
    (
        translatable("Each campaign for itself"),
        translatable("This campaign's money pays only for this campaign, pledge by pledge."),
    ),
    (
        translatable("The books"),
        translatable("Every entry sums to zero, and the five numbers are what the entries say."),
    ),
    (
        translatable("Two pairs of eyes"),
        translatable("Whoever asks for a payout never approves it."),
    ),
    (
        translatable("Not before its time"),
        translatable("Nothing is charged or paid out before the terms allow it."),
    ),
    (translatable("Time"), translatable("Time in the log never runs backwards.")),
    (
        translatable("Nothing is edited"),
        translatable("What was recorded stays: nothing is missing, nothing was changed."),
    ),
    (
        translatable("No personal data"),
        translatable("No name, address or free text is in the log."),
    ),
    (
        translatable("Facts from outside"),
        translatable("What the bank reports is never refused, and stops payouts until it fits."),
    ),
)
"""The rules of the rule book in its order: a title, and what holds."""

OTHERS: Final = {
    "positions": translatable("Every event has its place, without a gap."),
    "versions": translatable("Each campaign's own events count up without a gap."),
    "columns": translatable("The index of the log says what the events say."),
    "bytes": translatable("Each event's bytes are as the one encoder writes them."),
    "keys": translatable("No request that is repeated is carried out twice."),
    "provider": translatable("Our books and the bank's say the same."),
    "replay": translatable("The log can be replayed from its first event to its last."),
    "leaf": translatable("Each leaf of the tree fits its event."),
    "tree": translatable("The tree's hashes follow from its leaves."),
    "checkpoint": translatable("Every checkpoint that was ever signed is true of the log."),
    "fork": translatable(
        "Nothing that was signed contradicts the log that is here. Whether another story was shown"
        " to others, only a checkpoint that is kept elsewhere can tell."
    ),
}
"""What is checked besides, by the names of the findings."""

NAMES: Final = {
    "positions": translatable("Positions"),
    "versions": translatable("Versions"),
    "columns": translatable("Columns"),
    "bytes": translatable("Bytes"),
    "keys": translatable("Keys"),
    "provider": translatable("Bank"),
    "replay": translatable("Replay"),
    "leaf": translatable("Leaf"),
    "tree": translatable("Tree"),
    "checkpoint": translatable("Checkpoint"),
    "fork": translatable("Fork"),
}
"""How they are called."""

ALWAYS: Final = ("positions", "versions", "bytes", "columns", "keys", "provider")
"""What every verification looks at, in the order in which it is told."""

OF_THE_TREE: Final = ("leaf", "tree", "checkpoint", "fork")
"""What a verification looks at besides, where there is a transparency log."""


def said_of_check(kind: str) -> str:
    """What should hold, by the name of a finding (`rule 6`, `bytes`); the name where unknown."""
    number = kind.removeprefix("rule ")
    if number.isdecimal() and 1 <= int(number) <= len(RULES):
        return gettext(RULES[int(number) - 1][1])
    return gettext(OTHERS[kind]) if kind in OTHERS else kind


def name_of_check(kind: str) -> str:
    """How it is called: `Rule 6`, or the finding's own name."""
    number = kind.removeprefix("rule ")
    if number.isdecimal():
        return gettext("Rule %(number)s") % {"number": number}
    return gettext(NAMES[kind]) if kind in NAMES else kind
