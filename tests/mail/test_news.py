"""Which facts are told to whom, once each."""

from __future__ import annotations

import pytest

from app.mail import news as news_module
from app.mail.reminders import Reminders
from app.stores.mail_news import MovedByAnotherError, Place
from domain import commands as c
from domain.terms import DAY_MS, Terms
from projections.campaign_pages import get_page
from tests.api.running import NOW, Running, new_id
from tests.mail.world import DEADLINE, STAFF, World


async def test_a_pledge_is_confirmed_charged_and_told(world: World) -> None:
    """A backer hears of the pledge, of success with the charge to come, and of the charge."""
    campaign = await world.live()
    await world.pledge(campaign, await world.person("ada@example.org"))
    await world.told()
    made = (await world.mails())[-1]
    assert made.name == "pledge_made"
    assert "¥0 today. ¥120 on 11 April 2026, only if the goal is met." in made.text
    assert f"http://tributary.test/campaigns/{campaign}/pledges/1" in made.text
    assert "It is no invoice." in made.text
    world.after(DEADLINE)
    assert await world.told() == [
        ("creator", "creator_ended"),
        ("ada", "campaign_succeeded"),
        ("ada", "pledge_charged"),
    ]
    (success,) = [mail for mail in await world.mails() if mail.name == "campaign_succeeded"]
    assert success.subject == "“Film nights” has reached its goal"


async def test_the_persons_language_is_spoken(world: World) -> None:
    """Words, titles and dates are in the language of the account."""
    campaign = await world.live()
    await world.pledge(campaign, await world.person("li@example.org", language="zh-Hans"))
    (mail,) = [mail for mail in await world.mails() if mail.name == "pledge_made"]
    assert mail.language == "zh-Hans"
    assert "露天电影" in mail.subject
    assert "今天" in mail.text


async def test_a_failed_campaign_says_that_nothing_is_charged(world: World) -> None:
    """Goal missed: each backer hears once that they were not charged, however many pledges."""
    campaign = await world.live(goal_minor=10_000_000)
    ada = await world.person("ada@example.org")
    await world.pledge(campaign, ada, 100)
    await world.pledge(campaign, ada, 200)
    await world.told()
    world.after(DEADLINE)
    assert await world.told() == [("creator", "creator_ended"), ("ada", "campaign_failed")]
    mail = (await world.mails())[-1]
    assert "Goal missed. You were not charged." in mail.text
    assert "http://tributary.test/me\n" in mail.text


async def test_what_was_charged_goes_back_and_is_told(world: World) -> None:
    """A failed campaign that charged at the pledge: the sum goes back, and that is told, too."""
    campaign = await world.live(goal_minor=10_000_000, terms=Terms(collect_at="pledge"))
    await world.pledge(campaign, await world.person("ada@example.org"))
    world.after(NOW + 1000)
    assert ("ada", "pledge_charged") in await world.told()
    world.after(DEADLINE)
    assert await world.told() == [
        ("creator", "creator_ended"),
        ("ada", "campaign_failed"),
        ("ada", "refund_sent"),
    ]
    failed = next(m for m in await world.mails() if m.name == "campaign_failed")
    assert "All of the ¥120 you were charged goes back to you" in failed.text


async def test_a_declined_card_leads_to_its_fix(world: World) -> None:
    """The mail says until when, when it is tried again, and has a link that needs no sign-in."""
    campaign = await world.live()
    ada = await world.person("ada@example.org")
    await world.pledge(campaign, ada, card="declines_later")
    world.after(DEADLINE)
    assert ("ada", "payment_problem") in await world.told()
    mail = next(m for m in await world.mails() if m.name == "payment_problem")
    assert "Your bank declined ¥120 for your pledge no. 1. Nothing was charged." in mail.text
    assert "is kept until 18 April 2026" in mail.text
    assert "tried again on 12 April 2026" in mail.text
    assert mail.off_path == ""
    token = mail.text.partition("/fix/")[2].split()[0]
    links = world.platform.mail.links
    fix = links.read_fix_link(token)
    assert fix is not None
    assert (fix.campaign_id, fix.no, fix.party) == (campaign, 1, ada)
    world.running.clock.now += 14 * DAY_MS
    assert links.read_fix_link(token) is None


async def test_a_mended_payment_is_not_told_as_a_problem(world: World) -> None:
    """Who reads late that a charge failed finds it mended, and writes no mail of it."""
    campaign = await world.live()
    await world.pledge(campaign, await world.person("ada@example.org"), card="insufficient_funds")
    await world.told()
    world.after(DEADLINE)
    world.after(DEADLINE + 2 * DAY_MS)
    assert [name for _, name in await world.told()] == [
        "creator_ended",
        "campaign_succeeded",
        "pledge_charged",
    ]


async def test_the_life_of_a_campaign_is_told_to_those_it_concerns(world: World) -> None:
    """Staff hear of reviews, the creator of the answer, treasurers of payouts."""
    accounts = world.platform.stores.accounts
    staff = await world.person("sam@example.org", "staff")
    treasurer = await world.person("tess@example.org", "treasurer")
    await accounts.grant(staff, world.running.channel, "staff", by=STAFF, at=NOW)
    await accounts.grant(treasurer, world.running.channel, "treasurer", by=STAFF, at=NOW)
    other = await world.person("other@example.org", "staff")
    await accounts.grant(other, new_id(), "staff", by=STAFF, at=NOW)
    campaign = await world.submitted()
    assert await world.told() == [("sam", "campaign_submitted")]
    remarks = await world.platform.stores.content.put(
        {"title": "Please", "body": "Name the risks."}, at=NOW
    )
    await world.do(c.ReturnCampaign, campaign, STAFF, text=remarks)
    assert await world.told() == [("creator", "campaign_returned")]
    assert "Name the risks." in (await world.mails())[-1].text
    campaign = await world.live()
    assert await world.told() == [("sam", "campaign_submitted"), ("creator", "campaign_approved")]
    creator = f"creator:{world.creator}"
    await world.pledge(campaign, await world.person("ada@example.org"))
    await world.do(c.VerifyPayoutAccount, campaign, STAFF, account_id=new_id())
    world.after(DEADLINE)
    await world.told()
    await world.do(c.VerifyPayoutAccount, campaign, STAFF, account_id=new_id())
    assert await world.told() == [("creator", "payout_account_changed")]
    world.after(DEADLINE + 20 * DAY_MS)
    payout = new_id()
    await world.do(c.RequestPayout, campaign, creator, payout_id=payout)
    assert await world.told() == [("tess", "payout_requested")]
    await world.do(c.ApprovePayout, campaign, f"treasurer:{treasurer}", payout_id=payout)
    world.after(DEADLINE + 20 * DAY_MS + 1000)
    assert await world.told() == [("creator", "payout_approved"), ("creator", "payout_sent")]
    await world.do(c.MarkDelivered, campaign, creator, nos=(1,))
    assert await world.told() == [("ada", "delivery_sent")]


async def test_help_and_suspension_are_told(world: World) -> None:
    """An offer reaches the creator; a suspension and its end reach creator and backers."""
    campaign = await world.live()
    ada = await world.person("ada@example.org")
    await world.pledge(campaign, ada)
    await world.told()
    await world.do(c.SuspendCampaign, campaign, STAFF, cause="under_review")
    await world.do(c.ResumeCampaign, campaign, STAFF)
    async with world.platform.views.connect() as connection:
        page = await get_page(connection, campaign)
    assert page is not None
    need = page.needs[0].need_id
    await world.do(
        c.OfferNeed,
        campaign,
        f"backer:{ada}",
        offer_id=new_id(),
        need_id=need,
        quantity=3,
    )
    assert await world.told() == [
        ("creator", "creator_suspended"),
        ("ada", "campaign_suspended"),
        ("creator", "creator_resumed"),
        ("ada", "campaign_resumed"),
        ("creator", "need_offered"),
    ]
    assert "Somebody offers 3 of: Hours." in (await world.mails())[-1].text


async def test_an_update_reaches_backers_and_followers_once(world: World) -> None:
    """Who backs and follows hears it once; who left, or turned updates off, not at all."""
    campaign = await world.live()
    people = {name: await world.person(f"{name}@example.org") for name in ("ada", "bo", "cy")}
    pledges = {name: await world.pledge(campaign, people[name], 500) for name in people}
    await world.do(c.WithdrawPledge, campaign, f"backer:{people['cy']}", pledge_id=pledges["cy"])
    mail = world.platform.mail
    await mail.choices.turn_off(people["bo"], "updates", at=NOW)
    await mail.follows.follow(campaign, people["ada"], language="en", at=NOW)
    asked = await mail.follows.ask(campaign, "fay@example.org", language="zh-Hans", at=NOW)
    await mail.follows.ask(campaign, "gus@example.org", language="en", at=NOW)
    await mail.follows.confirm(asked.id, at=NOW)
    await world.told()
    text = await world.platform.stores.content.put(
        {"title": "Rain", "body": "# Why\n\n![A tent](/pictures/1) We moved."}, at=NOW
    )
    creator = f"creator:{world.creator}"
    await world.do(c.PostUpdate, campaign, creator, update_id=new_id(), text=text)
    assert await world.told() == [("ada", "update_posted"), ("fay", "followed_update")]
    ada, fay = (await world.mails())[-2:]
    assert ada.subject == "“Film nights”: Rain"
    assert "Why\n\nA tent We moved." in ada.text
    assert fay.language == "zh-Hans"


async def test_people_without_an_address_get_nothing(world: World) -> None:
    """No account, no mail; a party's own address counts; who was forgotten is left in peace."""
    campaign = await world.live()
    people = world.platform.stores.people
    mute = await people.mint_backer(at=NOW)
    heard = await people.add_person("backer", mail="Heard@Example.org", at=NOW)
    gone = await people.add_person("backer", mail="gone@example.org", at=NOW)
    await people.forget(gone, at=NOW)
    for backer in (mute, heard, gone):
        await world.pledge(campaign, backer, 500)
    told = await world.told()
    assert [name for name, what in told if what == "pledge_made"] == ["heard"]


async def test_a_log_with_history_is_no_news(running: Running) -> None:
    """What happened before the follower first began is not told; a campaign's can be asked for."""
    world = World(running)
    campaign = await world.live()
    await world.pledge(campaign, await world.person("ada@example.org"))
    assert await world.told() == []
    await world.pledge(campaign, await world.person("bo@example.org"))
    assert await world.told() == [("bo", "pledge_made")]
    assert await world.news.tell_campaign(campaign, ["receipts"]) == 1
    assert await world.told() == [("ada", "pledge_made")]
    assert await world.news.tell_campaign(campaign, ["receipts"]) == 0


async def test_mails_wait_for_the_views(world: World) -> None:
    """Whom a fact concerns is read from the views: nothing is told before they have it."""
    campaign = await world.live()
    await world.told()
    backer = await world.person("ada@example.org")
    command = c.MakePledge(
        campaign_id=campaign,
        by=f"backer:{backer}",
        command_id=new_id(),
        pledge_id=new_id(),
        backer=backer,
        amount_minor=500,
    )
    await world.platform.engine.submit_async(command)
    assert await world.told() == []
    world.platform.follower.catch_up()
    assert await world.told() == [("ada", "pledge_made")]


class Killed(Exception):  # noqa: N818 - what happened to the process
    """The process died here."""


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_crowd_is_told_once_whenever_we_are_killed(
    world: World, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Killed before or after every single transaction: nobody is missed, nobody hears it twice."""
    monkeypatch.setattr(news_module, "PAGE", 3)
    campaign = await world.live()
    names = [f"b{number}" for number in range(10)]
    for name in names:
        await world.pledge(campaign, await world.person(f"{name}@example.org"), 100)
        await world.platform.mail.follows.follow(
            campaign, await world.person(f"f{name}@example.org"), language="en", at=NOW
        )
    await world.told()
    text = await world.platform.stores.content.put({"title": "Hi", "body": "There"}, at=NOW)
    await world.do(
        c.PostUpdate, campaign, f"creator:{world.creator}", update_id=new_id(), text=text
    )
    keep = news_module.News._keep
    kills = 0
    alive = False

    async def dying(news: news_module.News, mails: object, was: Place, to: Place) -> int:
        nonlocal alive, kills
        alive = not alive
        if alive and moment == "before":
            kills += 1
            raise Killed
        kept = await keep(news, mails, was, to)  # type: ignore[arg-type]
        if not alive and moment == "after":
            kills += 1
            raise Killed
        return kept

    monkeypatch.setattr(news_module.News, "_keep", dying)
    while True:
        try:
            if await world.news.step() is None:
                break
        except Killed:
            continue
    assert kills >= 4
    told = await world.told()
    assert sorted(told) == sorted(
        [(name, "update_posted") for name in names]
        + [(f"f{name}", "followed_update") for name in names]
    )


async def test_two_processes_write_one_mail(world: World) -> None:
    """Who finds that another moved on keeps nothing of its own."""
    campaign = await world.live()
    await world.told()
    await world.pledge(campaign, await world.person("ada@example.org"))
    place = await world.news.begin()
    await world.news.catch_up()
    with pytest.raises(MovedByAnotherError):
        await world.news._keep([], place, Place(place.position + 1))
    assert await world.told() == [("ada", "pledge_made")]


async def test_a_follower_is_told_of_start_deadline_and_end(world: World) -> None:
    """Launch, one reminder 48 hours before the end (not to who pledged), and the end."""
    campaign = await world.submitted()
    follows = world.platform.mail.follows
    for name in ("fay", "ada"):
        party = await world.person(f"{name}@example.org")
        await follows.follow(campaign, party, language="en", at=NOW)
    await world.do(c.ApproveCampaign, campaign, STAFF)
    await world.do(c.LaunchCampaign, campaign, f"creator:{world.creator}")
    started = [one for one in await world.told() if one[1] == "followed_launched"]
    assert started == [("fay", "followed_launched"), ("ada", "followed_launched")]
    await world.pledge(campaign, party)
    await world.told()
    reminders = Reminders(world.platform._people, world.news._letters, world.running.clock)
    assert await reminders.step() == 0
    world.running.clock.now = DEADLINE - 2 * DAY_MS
    assert await reminders.step() == 1
    assert await reminders.step() == 0
    assert await world.told() == [("fay", "followed_reminder")]
    world.after(DEADLINE)
    assert ("fay", "followed_ended") in await world.told()
