"""How texts become words that can be found."""

from __future__ import annotations

import pytest

from app.search.words import LONGEST_QUERY, MOST_WORDS, asked, indexed


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Film nights, season two!", "film nights season two"),
        ("图书馆", "图书 书馆 馆"),
        ("书", "书"),
        ("港口library图书", "港口 口 library 图书 书"),
        ("\uff21\uff22\uff23\uff11\uff12", "abc12"),
        ("under_score", "under score"),
        ("", ""),
        ("«…»", ""),
    ],
)
def test_texts_are_cut(text: str, kept: str) -> None:
    """Words stay whole, Chinese is cut into pairs with the last character alone."""
    assert indexed(text) == kept


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("fil", '"fil"*'),
        ("图书", '"图书"'),
        ("图书馆", '"图书 书馆"'),
        ("书", '"书"*'),
        ("film 图书", '"film"* AND "图书"'),
        ('" OR title:x*', '"or"* AND "title"* AND "x"*'),
        ("   ", ""),
        ("!?", ""),
    ],
)
def test_queries_ask_for_every_word(query: str, said: str) -> None:
    """What is typed is never FTS5's own language: its signs are passed over."""
    assert asked(query) == said


def test_a_pasted_text_is_cut_short() -> None:
    """Neither many words nor one endless word reach the index."""
    assert asked("word " * 500).count("AND") == MOST_WORDS - 1
    assert len(asked("w" * 10_000)) <= LONGEST_QUERY + 3
