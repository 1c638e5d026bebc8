"""What every page needs: the platform, who is looking, and how a template becomes an answer."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.response import Redirect, Template

from app.web.visitors import Visitor, Visitors, read_form
from app.wiring import Platform
from domain.errors import CampaignUnknown
from projections.campaign_pages import CampaignPage, get_page

WAIT_S = 2.0
"""How long a page asked for `at_least` a position waits for the views, in seconds."""

PageRequest = Request[Any, Any, Any]


class Site:
    """The pages' side of the platform."""

    def __init__(self, platform: Platform, visitors: Visitors, templates: Environment) -> None:
        self.platform = platform
        self.visitors = visitors
        self._templates = templates

    async def visitor(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Visitor:
        """Who is looking."""
        return await self.visitors.recognise(connection)

    async def form(self, request: PageRequest, visitor: Visitor) -> dict[str, str]:
        """What was posted, by one of our own pages. Raises PermissionDeniedException."""
        return await read_form(request, visitor, self.platform.settings.public_url)

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
            headers=headers or {},
        )
        if visitor is not None:
            response.headers["cache-control"] = "no-store"
            self._remember(response, visitor)
        return response

    def text(self, template: str, **context: Any) -> str:  # noqa: ANN401 - the same
        """Render a plain text, on one line."""
        return " ".join(self._templates.get_template(template).render(context).split())

    def redirect(self, path: str, visitor: Visitor | None = None) -> Redirect:
        """Send the browser on with a GET."""
        response = Redirect(path, status_code=303)
        if visitor is not None:
            self._remember(response, visitor)
        return response

    def _remember(self, response: Template | Redirect, visitor: Visitor) -> None:
        if visitor.is_new:
            response.set_cookie(self.visitors.cookie(visitor))

    async def campaign(self, campaign_id: str, at_least: int = 0) -> CampaignPage:
        """A campaign that was launched, as the public may see it. Raises CampaignUnknown."""
        if at_least:
            await self.platform.follower.wait_for_async(at_least, WAIT_S)
        async with self.platform.views.connect() as connection:
            found = await get_page(connection, campaign_id)
        if found is None or found.launched_at is None:
            raise CampaignUnknown
        return found
