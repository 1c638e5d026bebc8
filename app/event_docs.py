"""Writes `docs/events.md` from the event Structs, so that the page cannot drift from the log.

`make docs` runs it; a test compares the page with what it would write.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection, Iterator
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields

from domain.events import EVENT_TYPES, Event

HEAD = """\
# Events

Every fact that the log can hold, by its stable tag. This page is written by `make docs` from
`domain/events.py`; what an event costs or moves in the books is in `domain/ledger.py`.

Amounts are whole minor units of the campaign's currency, times are milliseconds UTC, ids are
random. `text` is the salted hash of a document kept beside the log: an event holds no name, no
mail, no free text.
"""

ENVELOPE = """\
## What every event holds

{meaning}

{fields}
Beside these `type` holds the tag.
"""


def render() -> str:
    """Return the whole page, in Markdown."""
    common = [field.name for field in fields(Event)]
    parts: dict[str, type[Struct]] = {}
    pages = [
        HEAD,
        ENVELOPE.format(meaning=_meaning(Event), fields=_table(Event, (), parts)),
    ]
    for tag, event in EVENT_TYPES.items():
        pages.append(f"## {tag}\n\n{_meaning(event)}\n\n{_table(event, common, parts)}")
    pages.append("## Parts\n\nWhat the fields above are made of.\n")
    shown: set[str] = set()
    while waiting := parts.keys() - shown:
        for name in sorted(waiting):
            shown.add(name)
            table = _table(parts[name], (), parts)
            pages.append(f"### {name}\n\n{_meaning(parts[name])}\n\n{table}")
    return "\n".join(page.rstrip("\n") + "\n" for page in pages)


def _meaning(struct: type[Struct]) -> str:
    return inspect.cleandoc(struct.__doc__ or "")


def _table(struct: type[Struct], without: Collection[str], parts: dict[str, type[Struct]]) -> str:
    hints = get_type_hints(struct)
    rows = []
    for field in fields(struct):
        if field.name in without:
            continue
        hint = hints[field.name]
        parts |= {part.__name__: part for part in _structs(hint)}
        default = (
            "" if field.default is NODEFAULT else f" (unless given: `{_plain(field.default)}`)"
        )
        rows.append(f"| `{field.name}` | {_type(hint)}{default} |")
    if not rows:
        return "No facts beside those that every event holds.\n"
    return "\n".join(["| field | type |", "|---|---|", *rows]) + "\n"


def _structs(hint: Any) -> Iterator[type[Struct]]:  # noqa: ANN401 - a type form has no type
    if isinstance(hint, type) and issubclass(hint, Struct):
        yield hint
    for argument in get_args(hint):
        yield from _structs(argument)


def _type(hint: Any) -> str:  # noqa: ANN401 - a type form has no type
    """Name a type as a reader without Python would."""
    arguments = get_args(hint)
    origin = get_origin(hint)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_type(argument) for argument in arguments)
    if origin is tuple:
        return f"list of {_type(arguments[0])}s"
    if isinstance(hint, type) and issubclass(hint, Struct):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    named = {int: "whole number", str: "text", bool: "true or false", NoneType: "nothing"}
    return named[hint]


def _plain(default: object) -> str:
    """Write a default as JSON would."""
    plain = {True: "true", False: "false", None: "null"}
    if default is None or isinstance(default, bool):
        return plain[default]
    return str(list(default)) if isinstance(default, tuple) else repr(default).replace("'", '"')


if __name__ == "__main__":
    sys.stdout.write(render())
