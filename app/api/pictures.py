"""Pictures for drafts: sent as they are, kept in up to three sizes without what a camera wrote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from msgspec import Struct

from app.api.access import ApiRequest
from app.api.addresses import Notes, writes
from app.api.bodies import require_media_type
from app.api.drafts import own_draft
from app.api.problems import Refused
from app.api.repeating import planned
from app.stores.pictures import LARGE_PX, MIDDLE_PX, SMALL_PX, PictureInfo
from app.web.creator.editor import handed_in
from app.web.creator.pictures import MAX_BYTES, BadPictureError, keep_picture
from app.web.language import gettext
from app.wiring import Platform
from domain.errors import WrongPhase
from domain.state import Phase

TYPES: Final = ("image/jpeg", "image/png", "image/webp")
LONGEST_ALT: Final = 300


class SizeOut(Struct, frozen=True):
    """A size of a picture, in pixels; `path` is where anybody gets it, as WebP."""

    hash: str
    width: int
    height: int
    path: str


class PictureOut(Struct, frozen=True):
    """A picture under its hash: as a draft's `cover`, or in a story as `![alt](/pictures/<hash>)`.

    `sizes` are what is kept of it, the smallest first; none is larger than what was sent.
    """

    hash: str
    width: int
    height: int
    alt: str
    sizes: tuple[SizeOut, ...]


@writes(
    "/drafts/{draft_id:str}/pictures",
    "campaigns:write",
    status=201,
    notes=Notes(
        area="Creators", reasons=("not_found", "wrong_phase", "request_invalid"), raw=TYPES
    ),
    request_max_body_size=MAX_BYTES,
    summary="Add a picture",
)
async def add_picture(
    draft_id: FromPath[str],
    request: ApiRequest,
    platform: NamedDependency[Platform],
    alt: Annotated[
        str,
        QueryParameter(
            pattern=r"\S",
            max_length=LONGEST_ALT,
            description="What it shows, for who cannot see it.",
        ),
    ],
) -> Response[PictureOut]:
    """Send a JPEG, PNG or WebP of at most 10 MB and 40 million pixels as the body itself. It is
    encoded anew: places and cameras that stood in the file are gone.
    """
    await own_draft(platform, request.auth, draft_id)
    page = await handed_in(platform, draft_id)
    if page is not None and page.phase != Phase.RETURNED:
        raise WrongPhase("It was handed in: it can be edited when it is sent back.")
    require_media_type(request, *TYPES)
    upload = await request.body()

    async def keep() -> str:
        try:
            kept = await keep_picture(
                platform, upload, alt=" ".join(alt.split()), draft=draft_id, by=request.auth.by
            )
        except BadPictureError as fault:
            raise Refused("body_invalid", gettext(str(fault))) from fault
        return kept.hash

    picture_hash = await planned(platform, request, str, keep)
    info = await platform.stores.pictures.get(picture_hash)
    if info is None:
        raise Refused("not_found", "The picture is gone.")
    return Response(_picture_out(info), status_code=201)


def _picture_out(info: PictureInfo) -> PictureOut:
    return PictureOut(info.hash, info.width, info.height, info.alt, tuple(_sizes(info)))


def _sizes(info: PictureInfo) -> Iterator[SizeOut]:
    known = {info.small: SMALL_PX, info.middle: MIDDLE_PX} | {info.hash: LARGE_PX}
    for picture_hash, width in sorted(known.items(), key=lambda size: size[1]):
        shown = min(width, info.width)
        height = max(1, round(info.height * shown / info.width))
        yield SizeOut(picture_hash, shown, height, f"/pictures/{picture_hash}")


HANDLERS: Final[tuple[Any, ...]] = (add_picture,)
