"""The addresses of this area."""

from __future__ import annotations

from typing import Final

from app.web.creator.addresses import save_address, show_address
from app.web.creator.backers import export_csv, export_parquet, show_backers
from app.web.creator.course import (
    cancel,
    change_story,
    extend_deadline,
    publish_plan,
    set_late_pledges,
    show_course,
)
from app.web.creator.deliveries import export_parcels, mark_deliveries, show_deliveries
from app.web.creator.desk import show_deeds, show_desk, show_desks, show_live
from app.web.creator.editor import begin_draft, save_draft, save_picture, show_create, show_draft
from app.web.creator.offers import change_stock, decide_need, save_reward, show_rewards
from app.web.creator.payouts import request_payout, show_payouts
from app.web.creator.pictures import show_picture
from app.web.creator.refunds import find_refund, request_refund, show_quote, show_refunds
from app.web.creator.submitting import launch, show_submit, submit_draft
from app.web.creator.updates import post_update, preview_update, show_updates

HANDLERS: Final = (
    show_picture,
    show_create,
    begin_draft,
    show_draft,
    save_draft,
    save_picture,
    show_submit,
    submit_draft,
    launch,
    show_desks,
    show_desk,
    show_live,
    show_deeds,
    show_backers,
    export_csv,
    export_parquet,
    show_refunds,
    find_refund,
    show_quote,
    request_refund,
    show_deliveries,
    mark_deliveries,
    export_parcels,
    show_payouts,
    request_payout,
    show_updates,
    preview_update,
    post_update,
    show_rewards,
    save_reward,
    change_stock,
    decide_need,
    show_course,
    change_story,
    extend_deadline,
    set_late_pledges,
    publish_plan,
    cancel,
    show_address,
    save_address,
)
