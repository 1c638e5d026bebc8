"""The card of a campaign as a PNG: drawn from the same outlines as the page, without a browser."""

from __future__ import annotations

import hashlib
import io
import re
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from PIL import Image, ImageDraw, ImageFont

from app.web import confluence, cover
from app.web.templating import ROOT, STATIC

WIDTH: Final = 1200
HEIGHT: Final = 630
_TWICE: Final = 2
"""Drawn at twice the size and made smaller: smooth edges."""

_COLOURS: Final = 96
"""Flat colours and their smooth edges need no more; the picture is a quarter as large."""

_MARGIN: Final = 64
_BG: Final = "#f7fafa"
_INK: Final = "#121f28"
_INK2: Final = "#4b5a66"
_AZURITE: Final = "#00549f"
_STREAM: Final = "#93b3d3"
_BED: Final = "#d2dde2"
_RIDGES: Final = ("#b6cfe6", "#7fabd6", "#4a82bf", "#00679a", "#005443")
_SKY: Final = "#dbe9f4"
_WAYS: Final = {"held": _AZURITE, "paid": "#006e4f", "fees": "#8e5300", "returned": _INK2}

_DISPLAY: Final = STATIC / "vendor" / "bricolage-grotesque-latin-wght-normal.woff2"
_CHINESE: Final = (
    ROOT / "app" / "documents" / "fonts" / "noto-sans-sc-regular.ttf",
    Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Bold.ttc"),
    Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"),
)
_TITLE_SIZES: Final = (68, 58, 50, 44)
_MOST_LINES: Final = 3
_LATIN: Final = re.compile(r"[\u0020-\u007e\u00a0-\u017f\u2010-\u2027\u2212\u20ac]*").fullmatch
_TOKEN: Final = re.compile(r"[MHVLCZ]|-?\d+(?:\.\d+)?").findall
_STEPS: Final = 12

Point = tuple[float, float]


class Telling(Struct, frozen=True):
    """What a card tells. Lengths of the bar are percent of its width; `branches` are (name,
    outline).
    """

    title: str
    creator: str
    amount: str
    of_goal: str
    promised: float
    charged: float
    goal: float
    ridges: tuple[str, ...]
    trunk: str
    streams: tuple[tuple[str, float], ...]
    branches: tuple[tuple[str, str], ...] = ()

    @property
    def mark(self) -> str:
        """A mark of everything that the picture shows, but for how the river ran so far."""
        shown = msgspec.structs.replace(self, trunk="", streams=(), branches=())
        return hashlib.sha256(msgspec.json.encode(shown)).hexdigest()[:24]


def draw(told: Telling) -> bytes:
    """The picture."""
    image = Image.new("RGB", (WIDTH * _TWICE, HEIGHT * _TWICE), _BG)
    pen = ImageDraw.Draw(image)
    _cover(pen, told)
    _river(pen, told)
    _words(pen, told)
    _bar(pen, told)
    out = io.BytesIO()
    small = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    small.quantize(_COLOURS, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def points_of(path: str) -> list[list[Point]]:
    """The outlines of an SVG path of M, H, V, L, C and Z, its curves cut into short lines."""
    tokens = iter(_TOKEN(path))
    lines: list[list[Point]] = []
    x = y = 0.0
    command = ""
    held: list[float] = []
    wanted = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6}
    for token in tokens:
        if token.isalpha():
            command, held = token, []
            continue
        held.append(float(token))
        if len(held) < wanted[command]:
            continue
        if command == "M":
            x, y = held
            lines.append([(x, y)])
            command = "L"
        elif command == "C":
            lines[-1].extend(_curve((x, y), held))
            x, y = held[4], held[5]
        else:
            x = held[0] if command in "LH" else x
            y = held[-1] if command in "LV" else y
            lines[-1].append((x, y))
        held = []
    return lines


def _curve(start: Point, held: list[float]) -> list[Point]:
    """Points along a cubic Bézier curve."""
    xs, ys = (start[0], *held[::2]), (start[1], *held[1::2])
    found = []
    for step in range(1, _STEPS + 1):
        t = step / _STEPS
        u = 1 - t
        weights = (u**3, 3 * u * u * t, 3 * u * t * t, t**3)
        found.append(
            (
                sum(w * v for w, v in zip(weights, xs, strict=True)),
                sum(w * v for w, v in zip(weights, ys, strict=True)),
            )
        )
    return found


def _placed(line: list[Point], left: float, top: float, scale: float) -> list[Point]:
    return [((left + x * scale) * _TWICE, (top + y * scale) * _TWICE) for x, y in line]


def _cover(pen: ImageDraw.ImageDraw, told: Telling) -> None:
    """The ridges at the right edge, from the top to the river."""
    left, bottom = 800, 400
    pen.rectangle((left * _TWICE, 0, WIDTH * _TWICE, bottom * _TWICE), _SKY)
    scale = bottom / cover.HEIGHT
    for ridge, colour in zip(told.ridges, _RIDGES, strict=False):
        for line in points_of(ridge):
            pen.polygon(_placed(line, left, 0, scale), colour)
    pen.rectangle((0, 0, left * _TWICE - 1, bottom * _TWICE), _BG)
    pen.rectangle((0, bottom * _TWICE, WIDTH * _TWICE, HEIGHT * _TWICE), _BG)


def _river(pen: ImageDraw.ImageDraw, told: Telling) -> None:
    """The Confluence along the foot, from edge to edge."""
    scale = WIDTH / confluence.WIDTH * 0.999
    top = HEIGHT - 196
    squeeze = 0.8

    def flat(line: list[Point]) -> list[Point]:
        return [(x, 110 + (y - 110) * squeeze) for x, y in line]

    for path, width in told.streams:
        for line in points_of(path):
            stroke = max(2, round(width * scale * squeeze)) * _TWICE
            pen.line(_placed(flat(line), 0, top - 40, scale), _STREAM, stroke, joint="curve")
    for line in points_of(told.trunk):
        pen.polygon(_placed(flat(line), 0, top - 40, scale), _AZURITE)
    for name, path in told.branches:
        for line in points_of(path):
            pen.polygon(_placed(flat(line), 0, top - 40, scale), _WAYS[name])


def _words(pen: ImageDraw.ImageDraw, told: Telling) -> None:
    room = 800 - 2 * _MARGIN
    y = 56.0
    for size in _TITLE_SIZES:
        font = _font(told.title, size, 640)
        lines = _lines(told.title, font, room)
        if len(lines) <= _MOST_LINES or size == _TITLE_SIZES[-1]:
            break
    else:
        return
    if font is not None:
        for line in lines[:_MOST_LINES]:
            pen.text((_MARGIN * _TWICE, y * _TWICE), line, _INK, font)
            y += size * 1.12
    _text(pen, told.creator, y + 12, 26, 420, _INK2)
    _text(pen, told.amount, 316, 46, 640, _INK)
    amount = _font(told.amount, 46, 640)
    taken = amount.getlength(told.amount) / _TWICE if amount else 0
    _text(pen, told.of_goal, 332, 26, 420, _INK2, left=_MARGIN + taken + 16)


def _text(
    pen: ImageDraw.ImageDraw,
    text: str,
    y: float,
    size: int,
    weight: int,
    colour: str,
    *,
    left: float = _MARGIN,
) -> None:
    font = _font(text, size, weight)
    if font is not None and text:
        pen.text((left * _TWICE, y * _TWICE), text, colour, font)


def _bar(pen: ImageDraw.ImageDraw, told: Telling) -> None:
    left, right, top, bottom = _MARGIN, 800 - _MARGIN, 384, 400

    def at(percent: float) -> float:
        return (left + (right - left) * percent / 100) * _TWICE

    high, low = top * _TWICE, bottom * _TWICE
    pen.rectangle((at(0), high, at(100), low), _BED)
    if told.promised:
        pen.rectangle((at(0), high, at(told.promised), low), _STREAM)
    if told.charged:
        pen.rectangle((at(0), high, at(told.charged), low), _AZURITE)
    pen.rectangle((at(told.goal) - 4, high, at(told.goal), low), _INK)


def _lines(text: str, font: ImageFont.FreeTypeFont | None, room: float) -> list[str]:
    """Break a text into lines that fit: between words, or anywhere among Chinese characters."""
    if font is None:
        return []
    parts = re.findall(r"[\u2e80-\uffef]|[^\s\u2e80-\uffef]+\s*|\s+", text)
    lines = [""]
    for part in parts:
        if lines[-1] and font.getlength((lines[-1] + part).rstrip()) > room * _TWICE:
            lines.append("")
        lines[-1] += part
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES - 1] = lines[_MOST_LINES - 1].rstrip() + "…"
    return [line.strip() for line in lines]


def _font(text: str, size: int, weight: int) -> ImageFont.FreeTypeFont | None:
    """A font that has the text's characters; None where there is none: no text then, not boxes."""
    return _latin(size, weight) if _LATIN(text) else _chinese(size)


@cache
def _latin(size: int, weight: int) -> ImageFont.FreeTypeFont | None:
    try:
        font = ImageFont.truetype(_DISPLAY, size * _TWICE)
        font.set_variation_by_axes([weight])
    except OSError:
        return None
    return font


@cache
def _chinese(size: int) -> ImageFont.FreeTypeFont | None:
    for path in _CHINESE:
        if path.is_file():
            return ImageFont.truetype(path, size * _TWICE)
    return None
