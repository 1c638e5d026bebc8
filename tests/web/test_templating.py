"""What templates are given beside their own words."""

from __future__ import annotations

import pytest

from app.web.templating import with_query


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/discover", "q=a+b&page=2", "/discover?q=a+b&page=2&lang=en"),
        ("//elsewhere.example/x", "", "/elsewhere.example/x?lang=en"),
        ("/\\elsewhere.example", "", "/%5Celsewhere.example?lang=en"),
        ("/\t/elsewhere.example", "", "/%09/elsewhere.example?lang=en"),
        ("/a?b", "", "/a%3Fb?lang=en"),
    ],
)
def test_links_stay_on_this_site(path: str, query: str, expected: str) -> None:
    """The links to the other language repeat an address that anybody can have made up."""
    assert with_query(path, query, lang="en") == expected
