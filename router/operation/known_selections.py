"""Normal selections of earlier operations: equal ones are one object, by which later stages remember."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from router.operation.known_sets import OfSets
from router.operation.model import NormalField, NormalSelection
from router.operation.print_normal import print_selections
from schema.supergraph import Supergraph

ENTRIES_MAX: Final = 4_000
CHARS_MAX: Final = 1_000_000
"""Of the fields and rows, and of the texts, that are kept; then it begins anew."""

Row: TypeAlias = tuple[NormalSelection, ...]


class KnownSelections:
    """The selections of one supergraph's operations. INVARIANT: what is known by an `id` is held with it."""

    __slots__ = ("_chars", "_fields", "_rows", "_texts", "expanded")

    def __init__(self) -> None:
        self.expanded: OfSets[tuple[int, Row]] = OfSets()
        """By type: how many selections a set expands to, and what they are."""
        self._fields: dict[tuple[object, ...], NormalField] = {}
        self._rows: dict[tuple[int, ...], Row] = {}
        self._texts: dict[int, tuple[Row, str]] = {}
        self._chars = 0

    def field(self, made: NormalField) -> NormalField:
        """The known field equal to a plain one, whose selections are known: no arguments, no directives."""
        key = (made.response_key, made.name, made.parent_type, made.conditions, id(made.selections))
        return self._fields.setdefault(key, made)

    def row(self, made: Iterable[NormalSelection]) -> Row:
        """The known selections that are these very ones."""
        made = tuple(made)
        if len(self._fields) + len(self._rows) > ENTRIES_MAX:
            self._fields.clear()
            self._rows.clear()
        return self._rows.setdefault(tuple(map(id, made)), made)

    def text(self, row: Row) -> str:
        """The selections as printed."""
        known = self._texts.get(id(row))
        if known is None:
            known = row, print_selections(row, self.text)
            self._chars += len(known[1])
            if self._chars > CHARS_MAX:
                self._texts.clear()
                self._chars = len(known[1])
            self._texts[id(row)] = known
        return known[1]


def known_selections_of(supergraph: Supergraph) -> KnownSelections:
    """What is known of this supergraph's operations; kept as long as the supergraph is."""
    known: KnownSelections | None = vars(supergraph).get("_known_selections")
    if known is None:
        known = vars(supergraph).setdefault("_known_selections", KnownSelections())
    return known
