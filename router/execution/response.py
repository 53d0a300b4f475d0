"""GraphQLResponse: what execution answers, before the edge frames it as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from router.execution.transport import SentData


@dataclass(slots=True)
class GraphQLResponse:
    """One answer, or one event of a stream. `errors` are GraphQL error entries, ready to be printed.

    Not changed once it is made; not frozen, for each request makes one and a frozen one takes longer to make.

    `data` may be in text as a subgraph sent it; `text` is then the whole answer, if there is nothing else.

    `incremental` holds the members of an incremental-delivery payload (`pending`, `incremental`,
    `completed`, `hasNext`); with it, `data` is left out unless `initial`.
    """

    data: dict[str, Any] | SentData | None
    errors: tuple[Mapping[str, Any], ...] = ()
    extensions: Mapping[str, Any] = field(default_factory=dict)
    incremental: Mapping[str, Any] | None = None
    initial: bool = True

    def body(self) -> dict[str, Any]:
        """The response map in the specification's order: errors first, so that readers see them first."""
        body: dict[str, Any] = {}
        if self.errors:
            body["errors"] = list(self.errors)
        if self.initial:
            data = self.data
            body["data"] = orjson.Fragment(data.json) if isinstance(data, SentData) else data
        if self.incremental:
            body.update(self.incremental)
        if self.extensions:
            body["extensions"] = dict(self.extensions)
        return body

    @property
    def text(self) -> bytes | None:
        """The response map as JSON, where a subgraph's own text is that."""
        if self.data.__class__ is not SentData or self.errors or self.extensions or self.incremental:
            return None
        return self.data.text
