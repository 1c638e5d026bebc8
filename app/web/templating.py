"""The templates' environment: filters for money and time, and addresses of static files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from app.web import dates, language, markdown
from app.web.money import brief, major, money, number, rate
from app.web.refusals import reason_said

ROOT: Final = Path(__file__).parents[2]
TEMPLATES: Final = ROOT / "templates"
STATIC: Final = Path(__file__).parent / "static"
STATIC_PATH: Final = "/static"


@cache
def asset(name: str) -> str:
    """The address of a static file, with a mark of its content: a changed file is fetched anew."""
    mark = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]
    return f"{STATIC_PATH}/{name}?v={mark}"


def paragraphs(text: str) -> list[str]:
    """Cut a plain text at its empty lines."""
    parts = text.replace("\r\n", "\n").replace("\r", "\n").split("\n\n")
    return [part.strip() for part in parts if part.strip()]


def with_query(path: str, query: str, **changed: object) -> str:
    """An address with some parameters of its query changed; those that are None are left out.

    The path stays on this site: browsers take two slashes of either kind for another site's name.
    """
    path = quote("/" + path.lstrip("/"))
    kept = [(name, value) for name, value in parse_qsl(query) if name not in changed]
    put = [(name, str(value)) for name, value in changed.items() if value is not None]
    return f"{path}?{urlencode([*kept, *put])}" if kept or put else path


_DEMO_ROLES: Final = (
    ("visitor", language.translatable("a visitor")),
    ("backer", language.translatable("a backer")),
    ("creator", language.translatable("a creator")),
    ("staff", language.translatable("staff")),
    ("treasurer", language.translatable("a treasurer")),
    ("auditor", language.translatable("an auditor")),
)


def _demo_roles() -> list[tuple[str, str]]:
    """The roles with whose eyes a demo can be looked at, and how they are called."""
    return [(role, language.gettext(label)) for role, label in _DEMO_ROLES]


def environment(*, demo: bool, clock: Callable[[], int]) -> Environment:
    """The environment of all pages: what is not defined is an error, what is shown is escaped."""
    jinja = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
        # Templates change with the code, by a new start: no file is looked at for each page.
        auto_reload=False,
    )
    # A sentence is written `{{ _("…") }}` or `{% trans %}…{% endtrans %}`; what is put into it by
    # name is escaped, the sentence itself is ours.
    jinja.install_gettext_callables(  # type: ignore[attr-defined]  # added by the extension
        language.gettext,
        language.ngettext,
        newstyle=True,
        pgettext=language.pgettext,
        npgettext=language.npgettext,
    )
    jinja.policies["ext.i18n.trimmed"] = True
    jinja.filters |= {
        "money": money,
        "brief": brief,
        "major": major,
        "day": dates.day,
        "short_day": dates.short_day,
        "minute": dates.minute,
        "month": dates.month,
        "machine_time": dates.machine,
        "lasting": dates.lasting,
        "still": dates.still,
        "days": dates.in_days,
        "number": number,
        "rate": rate,
        "paragraphs": paragraphs,
        "markdown": markdown.html,
    }
    jinja.globals |= {"asset": asset, "demo": demo, "now": clock, "time_left": dates.time_left}
    jinja.globals |= {
        "demo_roles": _demo_roles,
        "language": language.current,
        "languages": language.OWN_NAMES,
        "area_styles": (),
        "with_query": with_query,
        "said_reason": reason_said,
    }
    # The test bank's pages ask for it also where they have none to tell.
    jinja.globals["refusal"] = ""
    return jinja
