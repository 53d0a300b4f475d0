"""One step of the walk, and the operation that leads to it."""

from __future__ import annotations

from dataclasses import dataclass

from schema.composition.merge.model import MergedField
from schema.composition.satisfiability.view import States
from schema.federation.type_refs import NonNull, TypeRef, named


@dataclass(frozen=True, slots=True)
class Step:
    """A concrete type, who can hold it, and the selections that lead here from the root.

    `asked`: the override labels that would change who can hold it.
    """

    type: str
    states: States
    root: str
    path: tuple[str, ...]
    asked: frozenset[str] = frozenset()

    def into(
        self,
        item: MergedField,
        type_name: str,
        states: States,
        *,
        fragment: str | None,
        asked: frozenset[str] = frozenset(),
    ) -> Step:
        """The step below a field; `fragment` narrows an abstract field."""
        lead = (spelt(item),) if fragment is None else (spelt(item), f"... on {fragment}")
        return Step(type_name, states, self.root, (*self.path, *lead), asked)

    def operation(self, item: MergedField, *, has_children: bool) -> str:
        """The smallest operation that asks for the field from here."""
        last = [spelt(item), "__typename"] if has_children else [spelt(item)]
        parts = [*self.path, *last]
        lines = [f"{'  ' * (depth + 1)}{part}" for depth, part in enumerate(parts)]
        opened = [f"{line} {{" for line in lines[:-1]] + [lines[-1]]
        closed = [f"{'  ' * depth}}}" for depth in range(len(parts) - 1, 0, -1)]
        head = "{" if self.root == "Query" else f"{self.root.lower()} {{"
        return "\n".join([head, *opened, *closed, "}"])


def spelt(item: MergedField) -> str:
    """The field with a made-up value for each argument that must be given."""
    given = [
        f"{a.name}: {_sample(a.type)}"
        for a in item.arguments.values()
        if isinstance(a.type, NonNull) and a.default is None
    ]
    return f"{item.name}({', '.join(given)})" if given else item.name


def _sample(ref: TypeRef) -> str:
    text = str(ref)
    if text.startswith("["):
        return "[]"
    samples = {"Int": "1", "Float": "1.0", "Boolean": "true", "ID": '"1"', "String": '"a"'}
    return samples.get(named(ref), "{…}")
