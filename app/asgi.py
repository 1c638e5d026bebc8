"""The web application: the API and the pages over one platform."""

from __future__ import annotations

from functools import partial
from typing import Final

from litestar import Litestar, Router
from litestar.config.compression import CompressionConfig
from litestar.di import Provide
from litestar.middleware import DefineMiddleware
from litestar.middleware.compression import CompressionMiddleware
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.template import TemplateConfig
from litestar.types import HTTPScope

from app.api.access import bearer_keys
from app.api.bodies import StrictRequest
from app.api.health import live, ready
from app.api.manners import manners
from app.api.manual import PAGES as MANUAL
from app.api.metrics import metrics_router
from app.api.problems import Refused, problem_of
from app.api.routes import HANDLERS as API
from app.metrics.counting import count_refused, counted
from app.payments.test_bank.pages import test_bank_router
from app.web.accounts.routes import HANDLERS as ACCOUNTS
from app.web.admission import Admission, Page, admit
from app.web.audit.books import shown_seal
from app.web.audit.routes import HANDLERS as AUDIT
from app.web.backer.abuse import PaymentWatch
from app.web.backer.routes import HANDLERS as BACKER
from app.web.creator.routes import HANDLERS as CREATOR
from app.web.demo.routes import HANDLERS as DEMO
from app.web.discover.routes import HANDLERS as DISCOVER
from app.web.failing import answer_failure
from app.web.heads import answer_heads
from app.web.language import of_request, speak, speaking
from app.web.log_openings import HANDLERS as LOG_OPENINGS
from app.web.log_routes import HANDLERS as LOG
from app.web.mail.routes import HANDLERS as MAIL
from app.web.public.page_cache import kept_pages
from app.web.public.routes import HANDLERS as PUBLIC
from app.web.security import add_security_headers
from app.web.site import Site
from app.web.staff.routes import HANDLERS as STAFF
from app.web.static_files import static_file
from app.web.templating import STATIC_PATH, environment
from app.web.visitors import Visitors
from app.web.webhooks import hear_test_bank
from app.wiring import Platform

MAX_BODY_BYTES: Final = 2**20
"""What a request may send, where its address does not say otherwise."""

UNCOMPRESSED: Final = ["/live$", "^/pictures/", r"\.(pdf|png|woff2)$"]
"""Addresses whose answers are streams, or compressed already. Those of the API never are: what they
answer in bulk is for programs near by.
"""

COMPRESSION: Final = CompressionConfig(backend="gzip", gzip_compress_level=6, exclude=UNCOMPRESSED)
"""For pages, and for nothing else."""

PAGES: Final = (
    static_file,
    *DISCOVER,
    *AUDIT,
    *PUBLIC,
    *BACKER,
    *ACCOUNTS,
    *MAIL,
    *CREATOR,
    *STAFF,
    *MANUAL,
)
"""Every page, each area's in its own `routes`."""


def create_app(platform: Platform) -> Litestar:
    """Build the application over a platform that is open; it neither starts nor closes it."""
    settings = platform.settings
    templates = environment(demo=settings.demo, clock=platform.clock)
    visitors = Visitors(
        platform.stores.sessions,
        platform.stores.accounts,
        secret=settings.secret,
        secure=settings.public_url.startswith("https:"),
        clock=platform.clock,
    )
    templates.globals["shown_seal"] = partial(shown_seal, platform)
    site = Site(platform, visitors, templates)
    application = Litestar(
        route_handlers=[
            _api(platform),
            metrics_router(platform),
            *LOG,
            *LOG_OPENINGS,
            Router(
                "/",
                route_handlers=[
                    live,
                    ready,
                    hear_test_bank,
                    *PAGES,
                    *(DEMO if settings.demo else ()),
                ],
                middleware=[DefineMiddleware(CompressionMiddleware, config=COMPRESSION)],
            ),
            test_bank_router(
                platform.bank,
                clock=platform.clock,
                static_path=STATIC_PATH,
                with_disputes=settings.demo,
                watch=PaymentWatch(platform),
            ),
        ],
        dependencies={
            "platform": Provide(lambda: platform, sync_to_thread=False),
            "site": Provide(lambda: site, sync_to_thread=False),
        },
        exception_handlers={Exception: answer_failure},
        before_send=[add_security_headers],
        template_config=TemplateConfig(instance=JinjaTemplateEngine.from_environment(templates)),
        # The API describes itself, from the same declarations (`app.api.describing`).
        openapi_config=None,
        request_max_body_size=MAX_BODY_BYTES,
        # Who serves the application decides where its log goes.
        logging_config=None,
        debug=False,
    )
    # Around the routing, so that a page that does not exist is missed in the reader's language.
    spoken = speak(answer_heads(application.asgi_handler))
    application.state.admission = admission = Admission(told=partial(count_refused, platform.meter))
    admitted = admit(spoken, admission, _come_again(site))
    application.asgi_handler = kept_pages(admitted, platform, visitors.cookie_name)
    application.asgi_handler = counted(application.asgi_handler, platform.meter)
    return application


def _come_again(site: Site) -> Page:
    """The page for people who came when too many were there, rendered once in each language."""
    rendered: dict[str, bytes] = {}

    def page(scope: HTTPScope) -> bytes:
        language, _ = of_request(scope)
        if language not in rendered:
            with speaking(language):
                problem = problem_of(Refused("engine_busy"))
                text = site.render("failure.html", problem=problem, visitor=None)
                rendered[language] = text.encode()
        return rendered[language]

    return page


def _api(platform: Platform) -> Router:
    return Router(
        "/api/v1",
        route_handlers=[*API],
        middleware=[
            bearer_keys(platform.stores.keys, platform.stores.accounts, platform.clock),
            manners(platform.settings.api_rate),
        ],
        request_class=StrictRequest,
    )
