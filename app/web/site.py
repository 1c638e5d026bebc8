"""What every page needs: the platform, who is looking, and how a template becomes an answer."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.response import Redirect, Template

from app.engine import Outcome
from app.stores.people import Role
from app.web.visitors import Form, Visitor, Visitors, read_form
from app.wiring import Platform
from domain.commands import Command
from domain.errors import CampaignUnknown
from projections.campaign_pages import CampaignPage, get_page

WAIT_S = 2.0
"""How long a page asked for `at_least` a position waits for the views, in seconds."""

PageRequest = Request[Any, Any, Any]


class SignInNeededError(Exception):
    """The page is for people who signed in; `failing` sends them there and back."""


class StepUpNeededError(Exception):
    """What was asked moves money: the person has to prove again who they are, and comes back."""


class RoleNeededError(Exception):
    """The page is for people with a role that this one does not have."""


class Site:
    """The pages' side of the platform."""

    def __init__(self, platform: Platform, visitors: Visitors, templates: Environment) -> None:
        self.platform = platform
        self.visitors = visitors
        self._templates = templates

    # --- Who is looking --------------------------------------------------------------------------

    async def visitor(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Visitor:
        """Who is looking."""
        return await self.visitors.recognise(connection)

    async def signed_in(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Visitor:
        """Who is looking, having signed in. Raises SignInNeededError."""
        visitor = await self.visitor(connection)
        if not visitor.signed_in:
            raise SignInNeededError
        return visitor

    async def with_role(
        self, connection: ASGIConnection[Any, Any, Any, Any], *roles: Role, channel: str = ""
    ) -> Visitor:
        """Who is looking, with one of these roles, in this channel or in any.

        Raises SignInNeededError and RoleNeededError.
        """
        visitor = await self.signed_in(connection)
        fits = visitor.is_in(channel, *roles) if channel else visitor.roles & set(roles)
        if not fits:
            raise RoleNeededError
        return visitor

    def require_step_up(self, visitor: Visitor) -> None:
        """Raise StepUpNeededError unless the person proved who they are a moment ago."""
        if not visitor.stepped_up:
            raise StepUpNeededError

    async def form(self, request: PageRequest, visitor: Visitor) -> Form:
        """What was posted, by one of our own pages. Raises PermissionDeniedException."""
        return await read_form(request, visitor, self.platform.settings.public_url)

    # --- Answers ---------------------------------------------------------------------------------

    def page(
        self,
        template: str,
        visitor: Visitor | None = None,
        *,
        status_code: int = 200,
        headers: dict[str, str] | None = None,
        **context: Any,  # noqa: ANN401 - whatever the template shows
    ) -> Template:
        """Render a page. With a visitor it may hold forms; it is then nobody else's to keep."""
        response = Template(
            template,
            context={"visitor": visitor, **context},
            status_code=status_code,
            headers={"vary": "cookie, accept-language", **(headers or {})},
        )
        if visitor is not None:
            response.headers["cache-control"] = "no-store"
            self._remember(response, visitor)
        return response

    def text(self, template: str, **context: Any) -> str:  # noqa: ANN401 - the same
        """Render a plain text, on one line."""
        return " ".join(self._templates.get_template(template).render(context).split())

    def render(self, template: str, **context: Any) -> str:  # noqa: ANN401 - the same
        """Render a template to text: a mail, a part of a page."""
        return self._templates.get_template(template).render(context)

    def redirect(self, path: str, visitor: Visitor | None = None) -> Redirect:
        """Send the browser on with a GET."""
        response = Redirect(path, status_code=303)
        if visitor is not None:
            self._remember(response, visitor)
        return response

    def _remember(self, response: Template | Redirect, visitor: Visitor) -> None:
        if visitor.is_new:
            response.set_cookie(self.visitors.cookie(visitor))

    # --- Campaigns -------------------------------------------------------------------------------

    async def submit(self, command: Command, key: str | None = None) -> Outcome:
        """Have a command decided. Raises Rejection; what it answers is durable."""
        return await self.platform.engine.submit_async(command, key)

    async def campaign(self, campaign_id: str, at_least: int = 0) -> CampaignPage:
        """A campaign that was launched, as the public may see it. Raises CampaignUnknown."""
        found = await self.any_campaign(campaign_id, at_least)
        if found.launched_at is None:
            raise CampaignUnknown
        return found

    async def any_campaign(self, campaign_id: str, at_least: int = 0) -> CampaignPage:
        """A campaign in any phase, for its team and staff. Raises CampaignUnknown."""
        if at_least:
            await self.platform.follower.wait_for_async(at_least, WAIT_S)
        async with self.platform.views.connect() as connection:
            found = await get_page(connection, campaign_id)
        if found is None:
            raise CampaignUnknown
        return found
