"""The site is whole in every language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from app.web.language import FOLDER, LANGUAGES, Language
from app.web.messages import Sentence, every_sentence, missing, unused

TRANSLATED: list[Language] = [language for language in LANGUAGES if language != "en"]

_PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%%|\{\w*\}")


@cache
def by_key() -> dict[tuple[str | None, str], Sentence]:
    """Every sentence of the site by what a catalogue finds it by."""
    return {sentence.key: sentence for sentence in every_sentence()}


def entries(language: Language) -> Iterator[tuple[Path, str | None, str, str]]:
    """(catalogue, context, sentence, translation) of every entry."""
    for path in sorted((FOLDER / language).glob("*.po")):
        with path.open("rb") as file:
            for message in read_po(file):
                if not message.id:
                    continue
                singular = message.id if isinstance(message.id, str) else message.id[0]
                told = message.string or ""
                yield path, message.context, singular, told if isinstance(told, str) else told[0]


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_sentence_is_translated(language: Language) -> None:
    """`python -m app.web.messages` prints what is missing, ready for a catalogue."""
    assert [f"{sentence.place}: {sentence.singular}" for sentence in missing(language)] == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_translation_is_left_over(language: Language) -> None:
    """A catalogue holds nothing that the site does not say any more."""
    assert unused(language) == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_translations_say_what_they_are_given(language: Language) -> None:
    """Each placeholder of a sentence stands in its translation, and no other.

    Of a plural the translation has one form for all numbers, so it may say what either says.
    """
    wrong = []
    for path, context, singular, told in entries(language):
        said = set(_PLACEHOLDER.findall(singular))
        sentence = by_key().get((context, singular))
        plural = set(_PLACEHOLDER.findall(sentence.plural)) if sentence else set()
        given = set(_PLACEHOLDER.findall(told))
        if given not in (said, said | plural):
            wrong.append((path.name, singular, told))
    assert wrong == []


@pytest.mark.parametrize("language", TRANSLATED)
def test_one_sentence_has_one_translation(language: Language) -> None:
    """Two catalogues may both hold a sentence, but must not disagree about it."""
    first: dict[tuple[str | None, str], tuple[str, str]] = {}
    differ = []
    for path, context, singular, told in entries(language):
        before = first.setdefault((context, singular), (path.name, told))
        if before[1] != told:
            differ.append((singular, before, (path.name, told)))
    assert differ == []
