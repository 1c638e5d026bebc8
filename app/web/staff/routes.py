"""The addresses of this area."""

from __future__ import annotations

from typing import Final

from litestar.handlers import HTTPRouteHandler

from app.web.staff import (
    campaigns,
    desk,
    disputes,
    health,
    needs,
    payouts,
    people,
    record,
    reports,
    reviews,
    taking_down,
)

HANDLERS: Final[tuple[HTTPRouteHandler, ...]] = (
    desk.show_desk,
    reviews.show_reviews,
    reviews.show_review,
    reviews.approve,
    reviews.send_back,
    campaigns.show_campaigns,
    campaigns.show_campaign,
    campaigns.suspend,
    campaigns.resume,
    campaigns.show_cancel,
    campaigns.cancel,
    campaigns.verify_account,
    campaigns.feature,
    taking_down.show_content,
    taking_down.take_down,
    taking_down.hide_question,
    payouts.show_payouts,
    payouts.show_payout,
    payouts.approve,
    payouts.refuse,
    payouts.revoke,
    payouts.show_debt,
    payouts.record_repayment,
    payouts.write_off,
    reports.show_reports,
    reports.show_report,
    reports.settle,
    disputes.show_disputes,
    disputes.resolve_discrepancy,
    disputes.ask_again,
    needs.show_needs,
    health.show_health,
    people.show_people,
    people.give,
    people.take,
    record.show_log,
)
