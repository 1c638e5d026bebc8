"""The numbers of a page that move while somebody looks: as texts, and as lengths of the bar."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from app.web.language import gettext, ngettext
from app.web.money import money, number
from app.web.public.campaign_view import percent
from domain.state import Phase
from projections.campaign_pages import CampaignPage

_HUNDRED: Final = 100


class Bar(Struct, frozen=True):
    """The progress bar, its lengths in percent of its width.

    `goal` is where the goal's tick stands: at the end, or before it when more has come. `now` is
    how much of the goal is pledged, `most` the end of its scale, `said` what is read aloud.
    """

    promised: float
    charged: float
    was: float
    goal: float
    now: int
    most: int
    said: str


class Numbers(Struct, frozen=True):
    """What changes with the campaign. `texts` are by the name under which the page shows them."""

    position: int
    texts: dict[str, str]
    bar: Bar


def numbers_of(page: CampaignPage) -> Numbers:
    """The numbers of a page in the current language."""
    share = percent(page)
    currency = page.currency

    def amount(minor: int) -> str:
        return money(minor, currency)

    return Numbers(
        position=page.position,
        texts={
            "pledged": money(page.pledged_minor, currency, coded=True),
            "pledged_plain": amount(page.pledged_minor),
            "percent": gettext("%(percent)s %%") % {"percent": number(share)},
            "backers": ngettext("%(number)s backer", "%(number)s backers", page.backers)
            % {"number": number(page.backers)},
            "charged": amount(page.charged_minor),
            "held": amount(page.held_minor),
            "paid": amount(page.paid_minor),
            "returned": amount(page.returned_minor),
            "fees": amount(page.fees_minor),
            "share": gettext("%(percent)s %% of %(goal)s")
            % {"percent": number(share), "goal": amount(page.goal_minor)},
        },
        bar=bar_of(page),
    )


def bar_of(page: CampaignPage) -> Bar:
    """The bar of a page in the current language."""
    share = percent(page)
    was = page.pledged_at_deadline_minor or 0 if page.phase == Phase.FAILED else 0
    full = max(page.goal_minor, page.pledged_minor, page.charged_minor, was)

    def length(minor: int) -> float:
        return round(_HUNDRED * minor / full, 3)

    said = gettext("%(pledged)s of %(goal)s pledged, %(percent)s %%") % {
        "pledged": money(page.pledged_minor, page.currency),
        "goal": money(page.goal_minor, page.currency),
        "percent": number(share),
    }
    return Bar(
        promised=length(page.pledged_minor),
        charged=length(page.charged_minor),
        was=length(was),
        goal=length(page.goal_minor),
        now=share,
        most=max(share, _HUNDRED),
        said=said,
    )
