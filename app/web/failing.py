"""How a refusal reaches who asked: problem details for programs, a page that helps for people."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect, Template

from app.api.problems import MEDIA_TYPE, Refused, problem_of
from app.web.site import RoleNeededError, SignInNeededError, StepUpNeededError

PROGRAM_PATHS: Final = ("/api", "/health", "/webhooks")


def answer_failure(request: Request[Any, Any, Any], fault: Exception) -> Response[Any]:
    """Answer any exception, whatever raised it."""
    if isinstance(fault, (SignInNeededError, StepUpNeededError)):
        return _prove_first(request, fault)
    if isinstance(fault, RoleNeededError):
        fault = Refused("role_missing")
    problem = problem_of(fault)
    # A method that is not allowed comes with those that are.
    told = fault.headers or {} if isinstance(fault, HTTPException) else {}
    own = fault.headers if isinstance(fault, Refused) else {}
    headers = {"cache-control": "no-store", **told, **problem.headers, **own}
    if request.scope["path"].startswith(PROGRAM_PATHS):
        return Response(
            msgspec.json.encode(problem),
            media_type=MEDIA_TYPE,
            status_code=problem.status,
            headers=headers,
        )
    return Template(
        "failure.html",
        context={"problem": problem, "visitor": None},
        status_code=problem.status,
        headers=headers,
    )


def _prove_first(
    request: Request[Any, Any, Any], fault: SignInNeededError | StepUpNeededError
) -> Response[Any]:
    """Send the browser to sign in, or to prove anew who it is, and then back here.

    A form that was posted is not repeated by itself: its page is shown again.
    """
    here = request.url.path if request.method == "GET" else request.headers.get("referer", "/")
    query = f"?{request.url.query}" if request.method == "GET" and request.url.query else ""
    path = urlsplit(here).path or "/"
    page = "/sign-in" if isinstance(fault, SignInNeededError) else "/step-up"
    return Redirect(f"{page}?next={quote(path + query, safe='')}", status_code=303)
