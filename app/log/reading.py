"""From stored rows to facts, and what the audit checks of a row."""

from __future__ import annotations

from app.log.ports import LogRow
from domain.codec import CorruptEventError, UnknownEventError, decode, encode, tag_of
from domain.events import EVENT_TYPES, AnyEvent


class UnreadableEvent(Exception):  # noqa: N818 - what was found, named for who must act on it
    """A stored event that this code does not know or cannot read: whoever reads must stop here.

    `position` is None where the reader does not know it.
    """

    def __init__(
        self, position: int | None, stream: str, version: int, tag: str, fault: Exception
    ) -> None:
        """Name the place."""
        place = "" if position is None else f"position {position}, "
        super().__init__(f"{place}stream {stream}, version {version}, tag {tag}: {fault}")
        self.position = position
        self.stream = stream
        self.version = version
        self.tag = tag


def decode_row(row: LogRow) -> AnyEvent:
    """Return the fact that a row holds; raises UnreadableEvent."""
    try:
        return decode(row.tag, row.body)
    except (UnknownEventError, CorruptEventError) as fault:
        raise UnreadableEvent(row.position, row.stream, row.version, row.tag, fault) from fault


def check_columns(row: LogRow, event: AnyEvent) -> tuple[str, ...]:
    """Return the names of the columns that differ from what the body says.

    `body` is among them where the bytes are not those that the one encoder writes. Bodies of
    older versions were written by the encoder of their time and are not compared.
    """
    differing = [
        name
        for name, column, said in (
            ("stream", row.stream, event.stream),
            ("version", row.version, event.version),
            ("at", row.at, event.at),
        )
        if column != said
    ]
    if row.tag in EVENT_TYPES:
        if row.tag != tag_of(event):
            differing.append("tag")
        if row.body != encode(event):
            differing.append("body")
    return tuple(differing)
