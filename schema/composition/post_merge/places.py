"""Finds where the subgraphs declare an element of the merged graph, for reports."""

from collections.abc import Iterator
from dataclasses import dataclass

from schema.composition.merge.model import MergedGraph
from schema.composition.validate import ValidSubgraph
from schema.problems import Location, Problem


@dataclass(frozen=True, slots=True)
class Merged:
    """The merged graph beside the subgraphs that it was made of."""

    graph: MergedGraph
    subgraphs: tuple[ValidSubgraph, ...]

    def places(self, type_name: str, member: str | None = None) -> tuple[Location, ...]:
        """Every declaration of a type, or of its field, input field or value."""
        return tuple(self._places(type_name, member))

    def name(self, index: int) -> str:
        """A subgraph's name."""
        return self.graph.graphs[index].name

    def report(
        self, code: str, message: str, type_name: str, member: str | None = None, *, mend: str | None = None
    ) -> Problem:
        """A problem of one element, with all its places."""
        coordinate = type_name if member is None else f"{type_name}.{member}"
        return Problem(code, message, coordinate, self.places(type_name, member), mend)

    def _places(self, type_name: str, member: str | None) -> Iterator[Location]:
        for subgraph in self.subgraphs:
            owner = subgraph.graph.types.get(type_name)
            if owner is None:
                continue
            if member is None:
                yield owner.at
                continue
            for parts in (owner.fields, owner.inputs, owner.values):
                part = parts.get(member)
                if part is not None:
                    yield part.at
