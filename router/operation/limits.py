"""How much a valid operation asks for, counted with its fragments expanded but without expanding them.

Runs before normalisation: a text of a few hundred bytes can expand to millions of fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    SelectionNode,
    SelectionSetNode,
)

from router.config import OperationLimits
from router.errors import ClientError
from router.operation.known_sets import Fragments, OfSets
from router.operation.model import ValidOperation
from router.operation.validate import fragments_of


@dataclass(frozen=True, slots=True)
class Extent:
    """What one selection set asks for. `depth` is in fields from here down to the deepest leaf."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    root_fields: int = 0
    directives: int = 0


_PLAIN_LEAF: Final = Extent(depth=1, fields=1, root_fields=1)
_extents: Final[OfSets[Extent]] = OfSets()


def extent_of(valid: ValidOperation) -> Extent:
    """The whole operation's extent. INVARIANT: validation has refused fragment cycles."""
    parsed = valid.parsed
    measure = _Measure(fragments_of(parsed.document), {}, parsed.fragments)
    return measure.selection_set(valid.operation.selection_set)


def check_extent(valid: ValidOperation, limits: OperationLimits) -> None:
    """Refuse an operation over a limit. Errors: ClientError MAX_*_LIMIT with the measured number."""
    extent = extent_of(valid)
    for found, most, code, what in (
        (extent.depth, limits.depth_max, "MAX_DEPTH_LIMIT", "levels of fields"),
        (extent.fields, limits.fields_max, "MAX_HEIGHT_LIMIT", "fields"),
        (extent.aliases, limits.aliases_max, "MAX_ALIASES_LIMIT", "aliases"),
        (extent.root_fields, limits.root_fields_max, "MAX_ROOT_FIELDS_LIMIT", "root fields"),
        (extent.directives, limits.directives_max, "MAX_DIRECTIVES_LIMIT", "directives"),
    ):
        if most and found > most:
            raise ClientError(f"the operation has {found} {what}, at most {most} are allowed", code=code)


@dataclass(frozen=True, slots=True)
class _Measure:
    """Each fragment is measured once, however often it is spread, and each set that other texts have too."""

    fragments: Mapping[str, FragmentDefinitionNode]
    measured: dict[str, Extent]
    known: Fragments | None = None

    def selection_set(self, selection_set: SelectionSetNode | None) -> Extent:
        depth = fields = aliases = root_fields = directives = 0
        for selection in selection_set.selections if selection_set else ():
            one = self._selection(selection)
            depth = max(depth, one.depth)
            fields += one.fields
            aliases += one.aliases
            root_fields += one.root_fields
            directives += one.directives
        return Extent(depth, fields, aliases, root_fields, directives)

    def _selection(self, selection: SelectionNode) -> Extent:
        directives = len(selection.directives or ())
        if isinstance(selection, FieldNode):
            if selection.selection_set is None and selection.alias is None and not directives:
                return _PLAIN_LEAF
            inner = self._below(selection.selection_set)
            return Extent(
                depth=inner.depth + 1,
                fields=inner.fields + 1,
                aliases=inner.aliases + (selection.alias is not None),
                root_fields=1,
                directives=inner.directives + directives,
            )
        if isinstance(selection, FragmentSpreadNode):
            inner = self._fragment(selection.name.value)
        else:
            inner = self.selection_set(getattr(selection, "selection_set", None))
        return Extent(
            inner.depth, inner.fields, inner.aliases, inner.root_fields, inner.directives + directives
        )

    def _below(self, selection_set: SelectionSetNode | None) -> Extent:
        if self.known is None or selection_set is None:
            return self.selection_set(selection_set)
        found = _extents.get(self.known, selection_set)
        if found is None:
            found = self.selection_set(selection_set)
            _extents.put(self.known, selection_set, found)
        return found

    def _fragment(self, name: str) -> Extent:
        if name not in self.measured:
            self.measured[name] = self.selection_set(self.fragments[name].selection_set)
        return self.measured[name]
