"""What every merge rule needs: the subgraphs in order, the subtype relation, and where findings go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from schema.composition.facts import Coordinate
from schema.composition.subgraph import Kind, TypeDef
from schema.composition.validate import ValidSubgraph
from schema.federation.type_refs import ListOf, Named, NonNull, TypeRef
from schema.problems import Location, Problem, Severity


@dataclass(frozen=True, slots=True)
class MergeContext:
    """Shared by all merge rules of one composition."""

    subgraphs: tuple[ValidSubgraph, ...]
    declared: Mapping[str, Mapping[int, TypeDef]]
    indices: Mapping[str, int]
    supertypes: Mapping[str, frozenset[str]]
    interface_objects: Mapping[str, tuple[int, ...]]
    composed: Mapping[tuple[int, str], str]
    repeatable: frozenset[str]
    problems: list[Problem]
    hints: list[Problem]
    input_uses: set[str] = field(default_factory=set)
    output_uses: set[str] = field(default_factory=set)

    def name(self, index: int) -> str:
        """A subgraph's name."""
        return self.subgraphs[index].graph.name

    def names(self, indices: Iterable[int]) -> str:
        """Subgraph names for a message, each in backticks."""
        return ", ".join(f"`{self.name(i)}`" for i in indices)

    def is_external(self, index: int, at: Coordinate) -> bool:
        """Whether the subgraph only refers to the field."""
        return self.subgraphs[index].facts.is_external(at)

    def sources(self, type_name: str) -> Mapping[int, TypeDef]:
        """The subgraphs that declare the type, with what they declare."""
        return self.declared.get(type_name, {})

    def problem(
        self, code: str, message: str, coordinate: str, at: Iterable[Location], mend: str | None = None
    ) -> None:
        """Record an error."""
        self.problems.append(Problem(code, message, coordinate, tuple(at), mend))

    def hint(
        self,
        code: str,
        message: str,
        coordinate: str,
        at: Iterable[Location] = (),
        *,
        severity: Severity = Severity.INFO,
        mend: str | None = None,
    ) -> None:
        """Record something that composes and still deserves a look."""
        self.hints.append(Problem(code, message, coordinate, tuple(at), mend, severity))

    def is_subtype(self, narrow: TypeRef, wide: TypeRef) -> bool:
        """Whether every value of `narrow` is one of `wide`."""
        if isinstance(wide, NonNull):
            return isinstance(narrow, NonNull) and self.is_subtype(narrow.of, wide.of)
        if isinstance(narrow, NonNull):
            return self.is_subtype(narrow.of, wide)
        if isinstance(wide, ListOf):
            return isinstance(narrow, ListOf) and self.is_subtype(narrow.of, wide.of)
        if not isinstance(narrow, Named):
            return False
        return narrow.name == wide.name or wide.name in self.supertypes.get(narrow.name, ())


def declared_types(subgraphs: Iterable[ValidSubgraph]) -> dict[str, dict[int, TypeDef]]:
    """For each type the subgraphs that declare it, in order, with what they declare."""
    found: dict[str, dict[int, TypeDef]] = {}
    for index, subgraph in enumerate(subgraphs):
        for name, declared in subgraph.graph.types.items():
            found.setdefault(name, {})[index] = declared
    return found


def supertypes_of(subgraphs: Iterable[ValidSubgraph]) -> dict[str, frozenset[str]]:
    """For each type the interfaces it implements and the unions it is in, in any subgraph."""
    found: dict[str, set[str]] = {}
    for subgraph in subgraphs:
        for owner in subgraph.graph.types.values():
            if owner.kind is Kind.UNION:
                for member in owner.members:
                    found.setdefault(member, set()).add(owner.name)
            elif owner.interfaces:
                found.setdefault(owner.name, set()).update(owner.interfaces)
    return {name: frozenset(supers) for name, supers in found.items()}


def interface_objects_of(subgraphs: Iterable[ValidSubgraph]) -> dict[str, tuple[int, ...]]:
    """For each interface the subgraphs that have it as an interface object."""
    found: dict[str, tuple[int, ...]] = {}
    for index, subgraph in enumerate(subgraphs):
        for owner in subgraph.graph.types.values():
            if owner.is_interface_object:
                found[owner.name] = (*found.get(owner.name, ()), index)
    return found


def merge_description(
    ctx: MergeContext, coordinate: str, descriptions: Mapping[int, str | None]
) -> str | None:
    """The most frequent description, the first one of those; a hint when they differ."""
    written = [text.strip() for text in descriptions.values() if text]
    if not written:
        return None
    if len(written) == 1:
        return written[0]
    counts = Counter(written)
    if len(counts) > 1:
        ctx.hint(
            "INCONSISTENT_DESCRIPTION",
            f"`{coordinate}` has {len(counts)} different descriptions; the most frequent one is kept",
            coordinate,
            (Location(ctx.name(i)) for i, text in descriptions.items() if text),
            severity=Severity.WARN,
        )
    return counts.most_common(1)[0][0]
