"""How a refusal reaches who asked: problem details for programs, a page that helps for people."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.response import Template

from app.api.problems import MEDIA_TYPE, problem_of

PROGRAM_PATHS: Final = ("/api", "/health", "/webhooks")


def answer_failure(request: Request[Any, Any, Any], fault: Exception) -> Response[Any]:
    """Answer any exception, whatever raised it."""
    problem = problem_of(fault)
    headers = {"cache-control": "no-store", **problem.headers}
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
