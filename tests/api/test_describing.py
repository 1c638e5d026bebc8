"""What the API says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.api.actions import ACTIONS
from app.api.describing import document
from app.api.introducing import SCOPES
from app.asgi import create_app
from app.stores.api_keys import ROLE_SCOPES
from tests.api.running import Json, Running

KEPT = Path(__file__).parents[2] / "docs/openapi.json"


def every_reference(said: Json) -> set[str]:
    """Every `$ref` in a document."""
    if isinstance(said, dict):
        inner = set().union(*map(every_reference, said.values())) if said else set()
        return inner | ({said["$ref"]} if isinstance(said.get("$ref"), str) else set())
    if isinstance(said, list):
        return set().union(*map(every_reference, said)) if said else set()
    return set()


def test_the_kept_document_is_the_present_one() -> None:
    """`docs/openapi.json` is what the declarations say now; `make openapi` writes it."""
    assert json.loads(KEPT.read_text()) == json.loads(json.dumps(document())), "run: make openapi"


def test_every_reference_leads_somewhere() -> None:
    """No `$ref` of the document is dangling."""
    for reference in every_reference(document()):
        found: Any = document()
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


async def test_every_address_is_described(running: Running) -> None:
    """Every route of the API is in the document with each of its methods, and nothing else is."""
    served = {
        (route.path_format, method.lower())
        for route in create_app(running.platform).routes
        if route.path.startswith("/api/v1")
        for method in route.methods
        if method not in {"OPTIONS", "HEAD"}
    }
    described = {
        (path, method)
        for path, methods in document()["paths"].items()
        if path.startswith("/api/v1")
        for method in methods
    }
    assert described == served


def test_every_operation_says_what_it_refuses() -> None:
    """Each names itself once, sums itself up, asks for a key, and answers refusals as problems."""
    names = []
    for path, methods in document()["paths"].items():
        for method, said in methods.items():
            names.append(said["operationId"])
            assert said["summary"], path
            assert said["description"], path
            if not path.startswith("/api/"):
                continue
            assert said["security"], path
            assert {"401", "429"} <= said["responses"].keys(), path
            if method == "post":
                assert "Idempotency-Key" in {one["name"] for one in said["parameters"]}, path
            if "requestBody" in said:
                assert {"413", "415", "422"} <= said["responses"].keys(), path
    assert len(names) == len(set(names))


def test_commands_take_their_own_bodies() -> None:
    """Every command has an address whose body is the command's."""
    for action in ACTIONS:
        asked = document()["paths"][f"/api/v1/campaigns/{{campaign_id}}/{action.path}"]["post"]
        schema = asked["requestBody"]["content"]["application/json"]["schema"]
        assert schema == {"$ref": f"#/components/schemas/{action.command.__name__}In"}


def test_every_scope_is_explained() -> None:
    """The document has words for each scope that a key may have."""
    assert set().union(*ROLE_SCOPES.values()) <= set(SCOPES)


async def test_the_document_and_its_page_are_served(running: Running) -> None:
    """Programs get the document, people a page with every address, in both languages."""
    served = await running.client.get("/openapi.json")
    assert served.json() == json.loads(json.dumps(document()))
    english = await running.client.get("/api")
    chinese = await running.client.get("/api", headers={"accept-language": "zh"})
    for page, heading in ((english, "The API</h1>"), (chinese, "回答</h4>")):
        assert page.status_code == 200
        assert heading in page.text
        for methods in document()["paths"].values():
            for said in methods.values():
                assert f'id="{said["operationId"]}"' in page.text
    assert (await running.client.head("/api")).status_code == 200
