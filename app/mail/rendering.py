"""From a template and what it tells to a mail's words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import urljoin

from jinja2 import Environment, TemplateNotFound
from msgspec import Struct

from app.web.language import known, speaking

FOLDER: Final = "mail"
LAYOUT: Final = f"{FOLDER}/letter.html"
"""How a mail without an HTML template of its own is set."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*").fullmatch
_LINK: Final = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)，。；：！？）]")


class Letter(Struct, frozen=True):
    """A mail's words. `html` is a whole page."""

    language: str
    subject: str
    text: str
    html: str


class Piece(Struct, frozen=True):
    """Part of a paragraph: plain text, or the address of a link."""

    text: str
    is_link: bool


class Paragraph(Struct, frozen=True):
    """A paragraph of a mail. `button` is its address where it is nothing but a link."""

    lines: tuple[tuple[Piece, ...], ...]
    button: str


class Renderer:
    """Renders mails. `public_url` is where links lead."""

    def __init__(self, environment: Callable[[], Environment], public_url: str) -> None:
        self._make = environment
        self._made: Environment | None = None
        self._public_url = public_url

    @property
    def _templates(self) -> Environment:
        """The pages' environment, made when the first mail is written."""
        if self._made is None:
            # A block's tag on a line of its own leaves the line: paragraphs stay apart.
            self._made = self._make().overlay(trim_blocks=False)
        return self._made

    def link(self, path: str) -> str:
        """The whole address of a page of ours."""
        return urljoin(f"{self._public_url}/", path)

    def render(
        self,
        name: str,
        language: str,
        *,
        off_path: str = "",
        **context: Any,  # noqa: ANN401 - whatever the template tells
    ) -> Letter:
        """Render `templates/mail/<name>.txt`: its first line is the subject, the rest the text.

        Templates have `link(path)` and `public_url` beside what they are given. Raises
        TemplateNotFound, and UndefinedError for what a template asks for and was not given.
        """
        if not _NAME(name):
            raise TemplateNotFound(name)
        language = known(language) or "en"
        given = {"link": self.link, "public_url": self._public_url, **context}
        with speaking(language):
            whole = self._templates.get_template(f"{FOLDER}/{name}.txt").render(given)
            subject, _, body = whole.strip().partition("\n")
            subject = " ".join(subject.split())
            text = re.sub(r"\n\s*\n", "\n\n", body.strip())
            off = self.link(off_path) if off_path else ""
            template = self._templates.select_template([f"{FOLDER}/{name}.html", LAYOUT])
            html = template.render(
                given
                | {
                    "subject": subject,
                    "paragraphs": paragraphs(text, self._public_url),
                    "off_link": off,
                }
            )
            if off:
                text += "\n\n" + self._templates.get_template(f"{FOLDER}/foot.txt").render(
                    given | {"off_link": off}
                )
        return Letter(language, subject, f"{text.rstrip()}\n", html)


def paragraphs(text: str, public_url: str) -> tuple[Paragraph, ...]:
    """A mail's text as a page sets it: cut at its empty lines, links to our pages found.

    Other addresses stay text: what a creator wrote looks like no button of ours.
    """
    parts = re.split(r"\n\s*\n", text.strip())
    return tuple(_paragraph(part, public_url) for part in parts if part.strip())


def _paragraph(text: str, public_url: str) -> Paragraph:
    lines = tuple(
        tuple(pieces(line.strip(), public_url)) for line in text.splitlines() if line.strip()
    )
    only = lines[0] if len(lines) == 1 else ()
    button = only[0].text if len(only) == 1 and only[0].is_link else ""
    return Paragraph(lines, button)


def pieces(line: str, public_url: str) -> Iterable[Piece]:
    """A line cut into text and links."""
    end = 0
    for found in _LINK.finditer(line):
        if found.group() != public_url and not found.group().startswith(f"{public_url}/"):
            continue
        if found.start() > end:
            yield Piece(line[end : found.start()], is_link=False)
        yield Piece(found.group(), is_link=True)
        end = found.end()
    if end < len(line):
        yield Piece(line[end:], is_link=False)
