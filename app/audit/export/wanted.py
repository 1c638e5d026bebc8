"""What is asked for."""

from __future__ import annotations

from typing import Final, Literal, get_args

from msgspec import Struct

Format = Literal["beancount", "hledger", "csv", "parquet", "ndjson"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)


class Wanted(Struct, frozen=True):
    """A format; campaigns by their ids or the beginnings of them, none for all; a position or time,
    None for now; a file, a directory or `-`, and whether a file that is there may be replaced.
    """

    format: Format
    campaigns: tuple[str, ...] = ()
    moment: str | None = None
    out: str = "-"
    force: bool = False
