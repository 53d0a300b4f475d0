"""Parts of texts that were read before: of a new text only what is new in it is read (`quick_parse`).

Operations share fragments and selections, so most of a new text stood in earlier ones, word for word. A
known part is the same node, and equal fragments are the same `Fragments`: later stages remember by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Generic, TypeVar

from graphql import FragmentDefinitionNode, SelectionSetNode

CHARS_MAX: Final = 400_000
"""Characters of all parts that are kept; then it begins anew."""
FRAGMENTS_MAX: Final = 256
ENTRIES_MAX: Final = 4_000
"""What a stage remembers of selection sets; then it begins anew."""

Told = TypeVar("Told")
_numbers = count()


@dataclass(frozen=True, slots=True)
class Fragments:
    """The fragments of a document, equal ones one object. INVARIANT: `number` never comes again."""

    definitions: tuple[FragmentDefinitionNode, ...]
    number: int = field(default_factory=lambda: next(_numbers))


@dataclass(slots=True)
class KnownParts:
    """Nodes by their text, with the tokens in each; bounded by the texts' length together."""

    sets: dict[str, tuple[SelectionSetNode, int]] = field(default_factory=dict)
    fragments: dict[str, tuple[FragmentDefinitionNode, int]] = field(default_factory=dict)
    documents: dict[tuple[int, ...], Fragments] = field(default_factory=dict)
    _chars: int = 0

    def add_set(self, text: str, node: SelectionSetNode, tokens_count: int) -> None:
        """Remember a selection set, braces included."""
        self._make_room(len(text))
        self.sets[text] = node, tokens_count

    def add_fragment(self, text: str, node: FragmentDefinitionNode, tokens_count: int) -> None:
        """Remember a fragment's definition."""
        self._make_room(len(text))
        self.fragments[text] = node, tokens_count

    def fragments_of(self, definitions: Sequence[FragmentDefinitionNode]) -> Fragments:
        """These fragments, as one object for as long as they are known."""
        key = tuple(map(id, definitions))
        known = self.documents.get(key)
        if known is None:
            if len(self.documents) >= FRAGMENTS_MAX:
                self.documents.clear()
            # INVARIANT: it holds the definitions, so no other one has their ids while it is here
            known = self.documents[key] = Fragments(tuple(definitions))
        return known

    def _make_room(self, chars: int) -> None:
        self._chars += chars
        if self._chars > CHARS_MAX:
            self.sets.clear()
            self.fragments.clear()
            self._chars = chars


class OfSets(Generic[Told]):
    """What one stage has found out about selection sets, among the fragments of their documents."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, str], tuple[Any, Told]] = {}

    def get(self, fragments: Fragments, node: SelectionSetNode, of: str = "") -> Told | None:
        """What is known; `of` tells apart what is known of one set, as the type it is selected on."""
        known = self._known.get((fragments.number, id(node), of))
        return None if known is None else known[1]

    def put(self, fragments: Fragments, node: SelectionSetNode, told: Told, of: str = "") -> None:
        """Remember it, with the node: no other one has its id while it is here."""
        if len(self._known) >= ENTRIES_MAX:
            self._known.clear()
        self._known[fragments.number, id(node), of] = node, told
