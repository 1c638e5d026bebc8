"""Markdown of people as safe HTML."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.markdown import html

HASH = "a1" * 32


def test_headings_stand_below_the_page_s_own() -> None:
    """The highest heading of a text becomes an h3, whichever it was, and none passes h6."""
    assert html("# One\n\n## Two") == "<h3>One</h3>\n<h4>Two</h4>\n"
    assert html("## One\n\n##### Deep") == "<h3>One</h3>\n<h6>Deep</h6>\n"


def test_html_is_shown_as_text() -> None:
    """Tags that somebody typed are letters."""
    made = html("<script>alert(1)</script> <b onclick=x>b</b>")
    assert "<script" not in made
    assert "<b" not in made
    assert "&lt;script&gt;" in made


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "vbscript:x", "JaVaScript:x"]
)
def test_addresses_that_run_are_no_links(address: str) -> None:
    """Only the web and mail are linked to."""
    assert "href" not in html(f"[x]({address})")


def test_links_vouch_for_nothing() -> None:
    """Search engines are told that a link is a user's."""
    assert 'rel="nofollow ugc noopener"' in html("[x](https://example.org)")


def test_pictures_are_ours() -> None:
    """A picture of ours comes in sizes, later; one from elsewhere is its words alone."""
    made = html(f"![A dog](/pictures/{HASH})")
    assert f'src="/pictures/{HASH}?w=960"' in made
    assert f"/pictures/{HASH}?w=480 480w" in made
    assert 'loading="lazy"' in made
    assert 'alt="A dog"' in made
    for foreign in ("https://example.org/x.png", "//example.org/x.png", "/pictures/../x"):
        made = html(f"![A dog]({foreign})")
        assert "<img" not in made
        assert "A dog" in made


def test_tables_and_strikethrough() -> None:
    """Two things beyond CommonMark are known."""
    assert "<td>1</td>" in html("|a|\n|-|\n|1|")
    assert "<s>no</s>" in html("~~no~~")


@given(st.text(alphabet="<>[]()!#`*_~|\\/:&;=\"' \nabjsx1-", max_size=80))
def test_nothing_gets_through(text: str) -> None:
    """Whatever is typed, no script, style, handler or foreign picture comes out."""
    made = str(html(text)).lower()
    for bad in ("<script", "<style", "<iframe", "<svg", "javascript:", "<img"):
        assert bad not in made
