"""`@cost` and `@listSize` stand where there is a cost and a list to estimate."""

from collections.abc import Iterator

from graphql import IntValueNode, ListValueNode, StringValueNode

from schema.composition.facts import FieldFacts
from schema.composition.subgraph import Applied, FieldDef, Kind, Subgraph, find
from schema.composition.validate.report import problem
from schema.federation.type_refs import has_list, named, nullable
from schema.problems import Problem


def costs(graph: Subgraph, _: FieldFacts) -> Iterator[Problem]:
    """Report costs on interfaces and list sizes that cannot be used."""
    for owner in graph.types.values():
        for item in owner.fields.values():
            coordinate = f"{owner.name}.{item.name}"
            if owner.kind is Kind.INTERFACE:
                for applied in find(item.directives, "cost"):
                    yield problem(
                        "COST_APPLIED_TO_INTERFACE_FIELD",
                        f"`@cost` on `{coordinate}`: an interface's field is resolved by nobody",
                        coordinate,
                        applied.at,
                        mend="write it on the fields of the implementing types",
                    )
            for applied in find(item.directives, "listSize"):
                yield from _list_size(graph, coordinate, item, applied)


def _list_size(graph: Subgraph, coordinate: str, item: FieldDef, applied: Applied) -> Iterator[Problem]:
    sized = _strings(applied, "sizedFields")
    if not has_list(item.type) and not sized:
        yield problem(
            "LIST_SIZE_APPLIED_TO_NON_LIST",
            f"`{coordinate}` is `{item.type}`, which is no list",
            coordinate,
            applied.at,
            mend="name the lists below it in `sizedFields`, or remove `@listSize`",
        )
    assumed = applied.arguments.get("assumedSize")
    if isinstance(assumed, IntValueNode) and int(assumed.value) < 0:
        yield problem(
            "LIST_SIZE_INVALID_ASSUMED_SIZE",
            f"`assumedSize` of `{coordinate}` is {assumed.value}",
            coordinate,
            applied.at,
            mend="write 0 or more",
        )
    for name in _strings(applied, "slicingArguments"):
        argument = item.arguments.get(name)
        if argument is None or str(nullable(argument.type)) != "Int":
            found = "does not exist" if argument is None else f"is `{argument.type}`"
            yield problem(
                "LIST_SIZE_INVALID_SLICING_ARGUMENT",
                f"the slicing argument `{name}` of `{coordinate}` {found}",
                coordinate,
                applied.at,
                mend="name an argument of type `Int`",
            )
    yield from _sized_fields(graph, coordinate, item, applied, sized)


def _sized_fields(
    graph: Subgraph, coordinate: str, item: FieldDef, applied: Applied, sized: list[str]
) -> Iterator[Problem]:
    for name in sized:
        found = graph.field(named(item.type), name)
        if found is None or not has_list(found.type):
            why = "does not exist" if found is None else f"is `{found.type}`, which is no list"
            yield problem(
                "LIST_SIZE_INVALID_SIZED_FIELD" if found is None else "LIST_SIZE_APPLIED_TO_NON_LIST",
                f"the sized field `{named(item.type)}.{name}` of `{coordinate}` {why}",
                coordinate,
                applied.at,
                mend="name a list field of the returned type",
            )


def _strings(applied: Applied, argument: str) -> list[str]:
    value = applied.arguments.get(argument)
    items = value.values if isinstance(value, ListValueNode) else (value,)
    return [item.value for item in items if isinstance(item, StringValueNode)]
