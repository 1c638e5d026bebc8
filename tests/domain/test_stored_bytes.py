"""What the log keeps for ever: one golden file per fact, and the one encoder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain import codec
from domain import events as e
from domain.checks.fields import check_fields
from domain.codec import CorruptEventError, UnknownEventError, decode, encode, tag_of
from tests.domain.scenario import ANNA, given, live, pledge

GOLDEN = Path(__file__).parent.parent / "golden"
FILES = sorted(GOLDEN.glob("*.json"))


def golden(tag: str) -> bytes:
    """The exact bytes that a log may hold under this tag."""
    return (GOLDEN / f"{tag}.json").read_bytes()


def fields_of(tag: str) -> dict[str, Any]:
    """The same, to be changed."""
    fields: dict[str, Any] = msgspec.json.decode(golden(tag))
    return fields


@pytest.mark.parametrize("tag", e.EVENT_TYPES)
def test_every_fact_has_golden_bytes(tag: str) -> None:
    """Stored bytes of every fact load for ever and are written the same to the last byte."""
    body = golden(tag)
    event = decode(tag, body)
    assert type(event) is e.EVENT_TYPES[tag]
    assert tag_of(event) == tag
    assert encode(event) == body
    assert check_fields(event) == []


def test_golden_files_are_never_left_behind() -> None:
    """A tag that was once stored stays readable: newest shapes, or older ones by an upcast."""
    assert {path.stem for path in FILES} >= set(e.EVENT_TYPES)
    for path in FILES:
        assert type(decode(path.stem, path.read_bytes())) in e.TAGS, path.stem


def test_tags_are_stable_words_with_a_version() -> None:
    """A tag names the thing, what happened to it, and the version of the shape."""
    for tag in e.EVENT_TYPES:
        thing, happened, version = tag.split(".")
        assert thing.replace("_", "").isalpha()
        assert happened.replace("_", "").isalpha()
        assert version == "v1"


def test_an_unknown_fact_stops_the_reader() -> None:
    """A tag from the future is named, never skipped."""
    with pytest.raises(UnknownEventError, match=re.escape("pledge.framed.v1")) as caught:
        decode("pledge.framed.v1", golden("pledge.made.v1"))
    assert caught.value.tag == "pledge.framed.v1"


def test_an_unknown_version_stops_the_reader() -> None:
    """So is a newer version of a fact that is known."""
    with pytest.raises(UnknownEventError, match=re.escape("pledge.made.v2")):
        decode("pledge.made.v2", golden("pledge.made.v1"))


CORRUPT = {
    "an unknown field": {"mood": "hopeful"},
    "a float amount": {"amount_minor": 100.0},
    "an amount as text": {"amount_minor": "100"},
    "a truth for a number": {"amount_minor": True},
    "nothing for a number": {"amount_minor": None},
    "a visibility that is none": {"visibility": "loud"},
    "an unknown field inside": {"lines": [{"reward_id": "x", "quantity": 1, "mood": 1}]},
    "another tag": {"type": "pledge.dropped.v1"},
}


@pytest.mark.parametrize("change", CORRUPT.values(), ids=CORRUPT)
def test_bytes_that_break_their_promise_are_named(change: dict[str, Any]) -> None:
    """Bytes that are not exactly of their shape are corrupt, not quietly mended."""
    body = msgspec.json.encode(fields_of("pledge.made.v1") | change)
    with pytest.raises(CorruptEventError, match=re.escape("pledge.made.v1")):
        decode("pledge.made.v1", body)


def test_a_missing_field_is_named() -> None:
    """No fact has a field that may be left out."""
    for tag in e.EVENT_TYPES:
        for name in fields_of(tag):
            left = {key: told for key, told in fields_of(tag).items() if key != name}
            with pytest.raises(CorruptEventError):
                decode(tag, msgspec.json.encode(left))


def test_bytes_that_are_no_json_are_named() -> None:
    """Torn bytes are corrupt."""
    with pytest.raises(CorruptEventError, match=re.escape("pledge.made.v1")):
        decode("pledge.made.v1", golden("pledge.made.v1")[:-1])


def test_a_fact_under_the_tag_of_another_is_named() -> None:
    """The column of the tag has to say what the body says."""
    with pytest.raises(CorruptEventError, match=re.escape("says that it is 'pledge.made.v1'")):
        decode("pledge.dropped.v1", golden("pledge.made.v1"))


def test_an_old_shape_is_read_by_its_upcast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes of an older version are read as the newest shape; what is stored is not touched."""

    def from_v0(old: dict[str, Any]) -> dict[str, Any]:
        """v0 knew no late pledges and named the amount in whole units."""
        fields = {key: told for key, told in old.items() if key != "amount"}
        return fields | {
            "type": "pledge.made.v1",
            "amount_minor": old["amount"] * 100,
            "late": False,
        }

    monkeypatch.setitem(codec.UPCASTS, "pledge.made.v0", from_v0)
    newest = fields_of("pledge.made.v1")
    old = {key: told for key, told in newest.items() if key not in ("amount_minor", "late")}
    old |= {"type": "pledge.made.v0", "amount": newest["amount_minor"] // 100}
    event = decode("pledge.made.v0", msgspec.json.encode(old))
    assert encode(event) == golden("pledge.made.v1")


def test_upcasts_follow_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shape two versions old goes through both upcasts."""

    def renamed(to: str) -> codec.Upcast:
        return lambda old: old | {"type": to}

    monkeypatch.setitem(codec.UPCASTS, "pledge.dropped.v-1", renamed("pledge.dropped.v0"))
    monkeypatch.setitem(codec.UPCASTS, "pledge.dropped.v0", renamed("pledge.dropped.v1"))
    old = fields_of("pledge.dropped.v1") | {"type": "pledge.dropped.v-1"}
    event = decode("pledge.dropped.v-1", msgspec.json.encode(old))
    assert encode(event) == golden("pledge.dropped.v1")


@pytest.mark.parametrize("spoil", [{"no": "one"}, {"mood": 1}])
def test_an_upcast_that_does_not_fit_is_named(
    monkeypatch: pytest.MonkeyPatch, spoil: dict[str, Any]
) -> None:
    """What an upcast makes is held to the newest shape as strictly as stored bytes."""
    monkeypatch.setitem(
        codec.UPCASTS, "pledge.dropped.v0", lambda old: old | {"type": "pledge.dropped.v1"} | spoil
    )
    old = fields_of("pledge.dropped.v1") | {"type": "pledge.dropped.v0"}
    with pytest.raises(CorruptEventError, match=re.escape("pledge.dropped.v0")):
        decode("pledge.dropped.v0", msgspec.json.encode(old))


def test_what_is_decided_is_what_is_read_back() -> None:
    """Every fact of a story survives its stored form."""
    for event in given(*live(), pledge(ANNA, 100)).events:
        assert decode(tag_of(event), encode(event)) == event
