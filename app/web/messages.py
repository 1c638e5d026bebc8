"""List the sentences of the site and which of them have no Chinese yet.

`python -m app.web.messages` prints what is missing, ready to be pasted into a catalogue, with
where each sentence stands; a test fails while anything is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import write_po
from msgspec import Struct

from app.web.language import LANGUAGES, Key, Language, sentences
from app.web.templating import ROOT, TEMPLATES, environment

_FUNCTIONS: Final = {
    "_": None,
    "gettext": None,
    "translatable": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
_PYTHON: Final = ROOT / "app"


class Sentence(Struct, frozen=True):
    """A sentence of the site and where it stands; `plural` is empty where there is none."""

    context: str | None
    singular: str
    plural: str
    place: str

    @property
    def key(self) -> Key:
        """What a catalogue finds it by."""
        return self.context, self.singular


def every_sentence() -> Iterator[Sentence]:
    """Every sentence of the templates and of the program, in the order of their places."""
    jinja: Any = environment(demo=False, clock=lambda: 0)
    for path in sorted((*TEMPLATES.rglob("*.html"), *TEMPLATES.rglob("*.txt"))):
        found = jinja.extract_translations(path.read_text())
        for line, function, message in found:
            yield from _sentence(function, message, path, line)
    for path in sorted(_PYTHON.rglob("*.py")):
        with path.open("rb") as file:
            for line, message, _, context in extract("python", file, keywords=_FUNCTIONS):
                parts = (message,) if isinstance(message, str) else message
                yield Sentence(
                    context, parts[0], parts[1] if len(parts) > 1 else "", _place(path, line)
                )


def _sentence(
    function: str, message: str | tuple[str | None, ...] | None, path: Path, line: int
) -> Iterator[Sentence]:
    parts = [message] if isinstance(message, str) else [part for part in message or () if part]
    if not parts:
        return
    context = parts.pop(0) if function in {"pgettext", "npgettext"} else None
    yield Sentence(context, parts[0], parts[1] if len(parts) > 1 else "", _place(path, line))


def _place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def missing(language: Language) -> list[Sentence]:
    """The sentences that a language does not have, each once."""
    known = sentences(language)
    found = {s.key: s for s in every_sentence() if s.key not in known}
    return list(found.values())


def unused(language: Language) -> list[Key]:
    """What a language's catalogues hold and nothing says any more."""
    said = {sentence.key for sentence in every_sentence()}
    return [key for key in sentences(language) if key not in said]


def main() -> None:
    """Print what is missing as a catalogue. `python -m app.web.messages TEXT` only prints what
    stands in places that hold TEXT, such as `templates/backer`.
    """
    within = sys.argv[1] if len(sys.argv) > 1 else ""
    for language in LANGUAGES:
        if language == "en":
            continue
        catalog = Catalog(locale=language.replace("-", "_"), charset="utf-8")
        for sentence in missing(language):
            if within in sentence.place:
                path, _, line = sentence.place.rpartition(":")
                wanted = (sentence.singular, sentence.plural) if sentence.plural else None
                catalog.add(
                    wanted or sentence.singular,
                    locations=[(path, int(line))],
                    context=sentence.context,
                )
        write_po(sys.stdout.buffer, catalog, omit_header=True, width=100)


if __name__ == "__main__":
    main()
