"""A backer's statement as PDF, with a font that has Chinese."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fpdf import FPDF
from fpdf.enums import TableBordersLayout, TableHeadingsDisplay, XPos, YPos
from fpdf.fonts import FontFace

from app.web import dates
from app.web.backer.statement import Statement
from app.web.backer.wording import line_kind
from app.web.language import current, gettext
from app.web.money import money

FONT: Final = Path(__file__).parent / "fonts" / "noto-sans-sc-regular.ttf"
_NAME: Final = "Noto Sans SC"
_INK: Final = (24, 34, 45)
_SOFT: Final = (86, 98, 110)
_LINE: Final = (205, 212, 218)
_AZURITE: Final = (27, 83, 152)
_MARGIN_MM: Final = 16.0
_WIDTHS: Final = (22, 58, 32, 22, 22, 22)


class _Sheet(FPDF):
    """A4 pages with their numbers."""

    def footer(self) -> None:
        """Say which page it is."""
        self.set_y(-14)
        self.set_font(_NAME, size=8)
        self.set_text_color(*_SOFT)
        words = gettext("Page %(page)s of %(pages)s") % {"page": self.page_no(), "pages": "{nb}"}
        self.cell(0, 6, words, align="R")


def statement_pdf(statements: Sequence[Statement], *, at: int, address: str) -> bytes:
    """Draw the statements. `at` (ms UTC) is when, `address` where they come from."""
    sheet = _Sheet(format="A4")
    sheet.set_margins(_MARGIN_MM, _MARGIN_MM)
    sheet.set_auto_page_break(auto=True, margin=18)
    sheet.add_font(_NAME, fname=FONT)
    sheet.set_lang("zh-CN" if current() == "zh-Hans" else "en")
    sheet.set_title(gettext("Statement of my pledges"))
    sheet.set_creation_date(dates.moment(at))
    sheet.add_page()
    _head(sheet, at, address)
    for one in statements:
        _currency(sheet, one)
    if not statements:
        _words(sheet, gettext("No pledges yet."), 11, _INK)
    return bytes(sheet.output())


def _words(sheet: FPDF, text: str, size: float, colour: tuple[int, int, int]) -> None:
    sheet.set_font(_NAME, size=size)
    sheet.set_text_color(*colour)
    sheet.multi_cell(0, size * 0.55, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT, align="L")


def _head(sheet: FPDF, at: int, address: str) -> None:
    _words(sheet, "Tributary", 11, _AZURITE)
    sheet.ln(2)
    _words(sheet, gettext("Statement of my pledges"), 22, _INK)
    sheet.ln(1)
    made = gettext("Made on %(when)s. Proof of pledges, not an invoice. %(address)s")
    _words(sheet, made % {"when": dates.minute(at), "address": address}, 9, _SOFT)
    sheet.ln(4)


def _currency(sheet: FPDF, one: Statement) -> None:
    currency = one.currency
    sheet.ln(3)
    _words(sheet, gettext("In %(currency)s") % {"currency": currency}, 14, _INK)
    sheet.ln(1)
    sheet.set_font(_NAME, size=8)
    sheet.set_text_color(*_INK)
    sheet.set_draw_color(*_LINE)
    headings = FontFace(color=_SOFT)
    with sheet.table(
        col_widths=_WIDTHS,
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        headings_style=headings,
        line_height=4.6,
        padding=(1.4, 1),
        text_align=("LEFT", "LEFT", "LEFT", "RIGHT", "RIGHT", "RIGHT"),
        repeat_headings=TableHeadingsDisplay.ON_TOP_OF_EVERY_PAGE,
    ) as table:
        heads = (
            gettext("Day (UTC)"),
            gettext("Campaign"),
            gettext("What"),
            gettext("Amount"),
            gettext("Pledged after it"),
            gettext("Held after it"),
        )
        table.row(heads)
        nothing = money(0, currency)
        table.row(("", gettext("Opening"), "", "", nothing, nothing))
        for row in one.rows:
            named = gettext("%(title)s, no. %(no)s") % {"title": row.title, "no": row.no}
            table.row(
                (
                    dates.moment(row.at).date().isoformat(),
                    named,
                    line_kind(row.kind),
                    money(row.amount_minor, currency),
                    money(row.pledged_minor, currency),
                    money(row.held_minor, currency),
                )
            )
        closing = (money(one.pledged_minor, currency), money(one.held_minor, currency))
        table.row(("", gettext("Closing"), "", "", *closing), style=FontFace(color=_AZURITE))
