"""What the demo shows: sample campaigns in every phase. All of it is made up and says so."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from domain.terms import CollectAt, Model

Story = Literal[
    "live",
    "suspended",
    "cards_fail",
    "milestones",
    "cancelled_after_payout",
    "completed",
    "disputed",
]
"""What happens to a campaign besides its pledges."""


class PlannedReward(Struct, frozen=True, kw_only=True):
    """A reward; `price` is in major units of the campaign's currency. The sample pledges take at
    most `sold` pieces of a limited one.
    """

    title: str
    description: str
    price: float
    limit: int | None = None
    sold: int = 10_000
    ships: bool = False
    add_on: bool = False


class Plan(Struct, frozen=True, kw_only=True):
    """One sample campaign. Times are days before (-) or after (+) the start of the demo; amounts
    are in major units; `backers` pledge until now or the end, whichever comes first. With `percent`
    a last pledge brings it to that part of the goal.
    """

    title: str
    team: str
    blurb: str
    story_text: str
    currency: str
    goal: int
    launch_day: float
    end_day: float
    backers: int
    gifts: tuple[int, ...]
    percent: int = 0
    model: Model = "all_or_nothing"
    collect_at: CollectAt = "success"
    rewards: tuple[PlannedReward, ...] = ()
    needs: tuple[tuple[str, int], ...] = ()
    milestones: tuple[tuple[str, int], ...] = ()
    updates: tuple[tuple[float, str, str], ...] = ()
    story: Story = "live"


_MINUTES_4 = 4 / (24 * 60)

_PARAGRAPHS = (
    "This is a sample campaign: nobody stands behind it and no money moves.",
    (
        "We want to build it in the open: every yuan, yen and euro that comes in can be followed on"
        " this page, from the pledge over the charge to the payout, and replayed by anyone who has"
        " the log."
    ),
    "If the goal is missed, nobody is charged.",
)

PLANS: tuple[Plan, ...] = (
    Plan(
        title="A harbour library in two containers",
        team="Sample team Harbour",
        blurb="Two old containers, four thousand books, a roof to sit on. Sample campaign.",
        story_text="\n\n".join(
            (
                (
                    "Two shipping containers become a reading room beside the ferry pier, open"
                    " from the first boat to the last."
                ),
                *_PARAGRAPHS,
            )
        ),
        currency="JPY",
        goal=800_000,
        launch_day=-29,
        end_day=_MINUTES_4,
        backers=150,
        gifts=(1000, 2000, 3000, 5000),
        percent=96,
        rewards=(
            PlannedReward(
                title="Your name on a shelf",
                description="A brass label on a shelf you choose.",
                price=5000,
                limit=60,
            ),
            PlannedReward(
                title="Opening night",
                description="A seat on the roof on the first evening.",
                price=12000,
                limit=24,
            ),
        ),
        updates=((-12, "Both containers are here", "They came by barge, and both doors open."),),
    ),
    Plan(
        title="Film nights under the viaduct, season two",
        team="Sample team Viaduct",
        blurb="Twelve evenings, one white wall, free for the neighbourhood. Sample campaign.",
        story_text="\n\n".join(
            (
                (
                    "Last summer's wall was too small and the loudspeaker buzzed. Season two has a"
                    " proper screen, a quiet generator and subtitles in two languages."
                ),
                *_PARAGRAPHS,
            )
        ),
        currency="CNY",
        goal=80_000,
        launch_day=-21,
        end_day=9,
        backers=340,
        gifts=(50, 80, 120, 200, 300),
        rewards=(
            PlannedReward(
                title="Front row blanket",
                description="A wool blanket that marks your place on all twelve evenings.",
                price=360,
                limit=50,
                sold=43,
            ),
            PlannedReward(
                title="Poster",
                description="The season's poster, printed in two colours, rolled in a tube.",
                price=120,
                ships=True,
            ),
            PlannedReward(
                title="Popcorn for the row",
                description="We bring popcorn to your whole row, once.",
                price=60,
                add_on=True,
            ),
        ),
        updates=(
            (-14, "Half way in one week", "Thank you. The screen is ordered."),
            (-3, "The programme", "Twelve films, four of them silent, two with a live piano."),
        ),
    ),
    Plan(
        title="A night bus for the valley",
        team="Sample team Valley",
        blurb="One bus, Friday and Saturday, until two in the morning. Sample campaign.",
        story_text="\n\n".join(
            (
                (
                    "The last train leaves at ten. We rent a bus for six months and drive it"
                    " ourselves; whatever comes in decides how many weekends that is."
                ),
                *_PARAGRAPHS[:2],
            )
        ),
        currency="EUR",
        goal=12_000,
        launch_day=-18,
        end_day=24,
        backers=95,
        gifts=(5, 10, 25, 50, 100),
        model="flexible",
        collect_at="pledge",
        needs=(
            ("Drivers with a bus licence, evenings", 40),
            ("Translation of the timetable, hours", 12),
            ("A dry place to park one bus", 1),
        ),
    ),
    Plan(
        title="The one-yuan wood",
        team="Sample team Wood",
        blurb="Six hundred people, one yuan each, one small wood behind the school. Sample.",
        story_text="\n\n".join(
            ("A seedling costs about a yuan. Six hundred of them make a wood.", *_PARAGRAPHS)
        ),
        currency="CNY",
        goal=600,
        launch_day=-11,
        end_day=4,
        backers=431,
        gifts=(1,),
    ),
    Plan(
        title="Chess tables for the corniche",
        team="Sample team Corniche",
        blurb="Eight stone tables in the shade, with boards cut into them. Sample campaign.",
        story_text="\n\n".join(
            ("Stone, shade and sixty-four squares: no power, no upkeep.", *_PARAGRAPHS)
        ),
        currency="KWD",
        goal=2_400,
        launch_day=-8,
        end_day=22,
        backers=38,
        gifts=(5, 10, 20, 40),
        rewards=(
            PlannedReward(
                title="First game",
                description="You open one of the tables.",
                price=120.500,
                limit=8,
            ),
        ),
    ),
    Plan(
        title="A winter greenhouse for the allotments",
        team="Sample team Allotment",
        blurb="Launched this morning. Nobody has pledged yet: be the first. Sample campaign.",
        story_text="\n\n".join(("Old windows, new frame, one stove.", *_PARAGRAPHS)),
        currency="CNY",
        goal=24_000,
        launch_day=-0.2,
        end_day=30,
        backers=0,
        gifts=(50,),
    ),
    Plan(
        title="Weather stations on forty roofs",
        team="Sample team Roofs",
        blurb="Succeeded three days ago; nine cards were declined and are tried again. Sample.",
        story_text="\n\n".join(
            ("Forty small stations, one public map, all readings free.", *_PARAGRAPHS)
        ),
        currency="CNY",
        goal=40_000,
        launch_day=-33,
        end_day=-3,
        backers=180,
        gifts=(100, 200, 300, 500),
        story="cards_fail",
    ),
    Plan(
        title="A field kitchen on two wheels",
        team="Sample team Kitchen",
        blurb="Two of three milestones are paid, late pledges are open. Sample campaign.",
        story_text="\n\n".join(
            ("A cargo trailer that cooks for two hundred wherever it is needed.", *_PARAGRAPHS)
        ),
        currency="CNY",
        goal=60_000,
        launch_day=-88,
        end_day=-58,
        backers=260,
        gifts=(100, 200, 300, 500),
        milestones=(
            ("Trailer bought and fitted", 4000),
            ("Kitchen approved by the inspector", 3500),
            ("First hundred meals served", 2500),
        ),
        updates=((-40, "The trailer is here", "It is heavier than we thought and goes well."),),
        story="milestones",
    ),
    Plan(
        title="The long-table cookbook",
        team="Sample team Long Table",
        blurb="The goal was missed. Nobody was charged. Sample campaign.",
        story_text="\n\n".join(
            ("A hundred recipes for tables of thirty, tested on neighbours.", *_PARAGRAPHS)
        ),
        currency="EUR",
        goal=15_000,
        launch_day=-50,
        end_day=-20,
        backers=74,
        gifts=(20, 35, 60),
    ),
    Plan(
        title="Bags from old sails",
        team="Sample team Sailcloth",
        blurb="Cancelled after the first payout: what was left went back. Sample campaign.",
        story_text="\n\n".join(
            ("Old sails, new bags. The sewing shop closed before the second batch.", *_PARAGRAPHS)
        ),
        currency="EUR",
        goal=6_000,
        launch_day=-80,
        end_day=-50,
        backers=130,
        gifts=(30, 60, 90),
        story="cancelled_after_payout",
    ),
    Plan(
        title="A map of quiet places",
        team="Sample team Quiet",
        blurb="Suspended while staff look into a report. Leaving is allowed. Sample campaign.",
        story_text="\n\n".join(("Where can one hear nothing? We measured.", *_PARAGRAPHS)),
        currency="CNY",
        goal=30_000,
        launch_day=-15,
        end_day=15,
        backers=110,
        gifts=(50, 100, 200),
        story="suspended",
    ),
    Plan(
        title="A press for the neighbourhood",
        team="Sample team Press",
        blurb="Printed, paid out and delivered: the books of this one are closed. Sample.",
        story_text="\n\n".join(
            ("A second-hand letterpress, open to everybody on Saturdays.", *_PARAGRAPHS)
        ),
        currency="JPY",
        goal=500_000,
        launch_day=-120,
        end_day=-90,
        backers=150,
        gifts=(2000, 3000, 5000, 10000),
        updates=((-60, "The press is on its feet", "Four people and one crane."),),
        story="completed",
    ),
    Plan(
        title="Toolboxes for repair evenings",
        team="Sample team Repair",
        blurb="A chargeback after the payout, and a partial refund. Sample campaign.",
        story_text="\n\n".join(
            ("Twenty toolboxes that travel from street to street.", *_PARAGRAPHS)
        ),
        currency="EUR",
        goal=8_000,
        launch_day=-75,
        end_day=-45,
        backers=140,
        gifts=(30, 50, 80, 120),
        story="disputed",
    ),
)
