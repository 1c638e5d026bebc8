"""What must hold of a person's stream, checked from outside: one fact and no other."""

from __future__ import annotations

from collections.abc import Sequence

from domain import events as e
from domain.checks.fields import Violation, check_fields


class SubjectAuditor:
    """Follows one person's stream from its first fact and says which rules each fact breaks."""

    def __init__(self, stream: str) -> None:
        """Begin before the first fact."""
        self._stream = stream
        self._erased = False

    def feed(
        self,
        event: e.Event,
        body: bytes = b"",  # noqa: ARG002 - as the auditor of a campaign is fed
        entry: Sequence[tuple[str, int]] | None = None,  # noqa: ARG002
    ) -> list[Violation]:
        """Add the next fact of the stream; return what it breaks, empty when all is well."""
        found = check_fields(event)
        if type(event) is not e.SubjectErased:
            found.append(Violation(11, f"{self._stream} is no stream for {type(event).__name__}."))
        elif self._erased:
            found.append(Violation(11, f"{self._stream} was erased before."))
        self._erased = True
        return found

    def check_whole(self) -> list[Violation]:
        """There is nothing beside the one fact."""
        return []
