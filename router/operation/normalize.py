"""`ValidOperation` → `NormalOperation`: fragments expanded, siblings merged, dead branches dropped.

What is decided here is never decided again: literal `@skip` and `@include`, branches whose type can
never occur, duplicates. The signature is canonical text and the key of the plan cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from operator import is_
from typing import Final, TypeAlias, cast

from graphql import (
    BooleanValueNode,
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    InlineFragmentNode,
    IntValueNode,
    SchemaMetaFieldDef,
    SelectionSetNode,
    StringValueNode,
    TypeMetaFieldDef,
    ValueNode,
    VariableNode,
    get_named_type,
    introspection_types,
    print_ast,
)

from router.errors import PlanTooComplex
from router.operation.known_selections import KnownSelections, Row, known_selections_of
from router.operation.known_sets import Fragments
from router.operation.model import (
    AppliedDirective,
    Argument,
    Condition,
    NormalField,
    NormalFragment,
    NormalOperation,
    NormalSelection,
    Stream,
    ValidOperation,
)
from router.operation.print_normal import print_directive, print_selections
from schema.supergraph import Supergraph, TypeKind

SELECTIONS_MAX: Final = 200_000
"""Selections after expansion: nested named fragments can multiply without end."""

_Conditions: TypeAlias = tuple[Condition, ...]
_OF_THE_ROUTER: Final = frozenset({"skip", "include", "defer", "stream"})
"""Directives that are decided here or in execution; all others are handed on to subgraphs."""


@dataclass(slots=True)
class _Expansion:
    """What one expansion knows; `selections_count` guards against documents that multiply."""

    supergraph: Supergraph
    fragments: Mapping[str, FragmentDefinitionNode]
    known: KnownSelections
    known_fragments: Fragments | None
    selections_count: int = 0
    increments_count: int = 0
    spread: dict[tuple[str, str], tuple[int, list[NormalSelection]]] = field(default_factory=dict)
    """By fragment and type of the object: how many selections it expands to, and what they are."""

    def count(self, selections_count: int = 1) -> None:
        self.selections_count += selections_count
        if self.selections_count > SELECTIONS_MAX:
            raise PlanTooComplex(f"the operation expands to more than {SELECTIONS_MAX} selections")

    def next_increment(self) -> int:
        self.increments_count += 1
        return self.increments_count - 1


@dataclass(frozen=True, slots=True)
class _Defer:
    label: str | None
    increment: int


def normalize(valid: ValidOperation, supergraph: Supergraph) -> NormalOperation:
    """The operation in normal form. Deterministic: equal operations give equal signatures.

    Errors: PlanTooComplex where the fragments expand to more than SELECTIONS_MAX selections.
    """
    document = valid.parsed.document
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    root_type = supergraph.root_types[valid.kind.value]
    known = known_selections_of(supergraph)
    expansion = _Expansion(supergraph, fragments, known, valid.parsed.fragments)
    selections = _merged(_expand(valid.operation.selection_set, root_type, expansion))
    name = valid.operation.name.value if valid.operation.name else None
    variables = tuple(valid.operation.variable_definitions or ())
    declared = ",".join(print_ast(variable) for variable in variables)
    return NormalOperation(
        kind=valid.kind,
        root_type=root_type,
        name=name,
        selections=selections,
        variables=variables,
        signature=f"{valid.kind.value} {name or ''}({declared}){print_selections(selections, known.text)}",
    )


def _expand(node: SelectionSetNode, parent_type: str, expansion: _Expansion) -> list[NormalSelection]:
    found: list[NormalSelection] = []
    for selection in node.selections:
        conditions = _conditions(selection.directives) if selection.directives else ()
        if conditions is None:
            continue
        expansion.count()
        if isinstance(selection, FieldNode):
            found.append(_field(selection, parent_type, conditions, expansion))
            continue
        if isinstance(selection, FragmentSpreadNode):
            if not selection.directives:
                found.extend(_spread(selection.name.value, parent_type, expansion))
                continue
            definition = expansion.fragments[selection.name.value]
            type_condition, inner = definition.type_condition.name.value, definition.selection_set
        elif isinstance(selection, InlineFragmentNode):
            inner = selection.selection_set
            type_condition = selection.type_condition.name.value if selection.type_condition else parent_type
        else:  # pragma: no cover  # the grammar has no fourth kind
            continue
        defer = _defer(selection.directives, expansion) if selection.directives else None
        found.extend(
            _fragment(type_condition, inner, parent_type, expansion, conditions=conditions, defer=defer)
        )
    return found


def _spread(name: str, parent_type: str, expansion: _Expansion) -> list[NormalSelection]:
    """A named fragment without conditions, expanded once for each type: what nests does not multiply."""
    known = expansion.spread.get((name, parent_type))
    if known is not None:
        expansion.count(known[0])
        return known[1]
    selections_before, increments_before = expansion.selections_count, expansion.increments_count
    definition = expansion.fragments[name]
    condition = definition.type_condition.name.value
    found = _fragment(condition, definition.selection_set, parent_type, expansion, conditions=(), defer=None)
    if expansion.increments_count == increments_before:  # each `@defer` has a number of its own
        expansion.spread[name, parent_type] = (expansion.selections_count - selections_before, found)
    return found


def _field(node: FieldNode, parent_type: str, conditions: _Conditions, expansion: _Expansion) -> NormalField:
    name = node.name.value
    inner: tuple[NormalSelection, ...] = ()
    if node.selection_set is not None:
        child_type = _child_type(parent_type, name, expansion.supergraph)
        inner = _below(node.selection_set, child_type, expansion)
    if not (node.arguments or node.directives):
        key = node.alias.value if node.alias else name
        return expansion.known.field(NormalField(key, name, parent_type, (), conditions, inner))
    return NormalField(
        response_key=node.alias.value if node.alias else name,
        name=name,
        parent_type=parent_type,
        arguments=_arguments(node),
        conditions=conditions,
        selections=inner,
        stream=_stream(node.directives or (), expansion),
        directives=tuple(
            AppliedDirective(one.name.value, _arguments(one))
            for one in node.directives or ()
            if one.name.value not in _OF_THE_ROUTER
        ),
    )


def _below(node: SelectionSetNode, type_name: str, expansion: _Expansion) -> Row:
    """What is selected below a field; expanded once for all texts with equal fragments."""
    known, fragments = expansion.known, expansion.known_fragments
    if fragments is not None:
        found = known.expanded.get(fragments, node, type_name)
        if found is not None:
            expansion.count(found[0])
            return found[1]
    selections_before, increments_before = expansion.selections_count, expansion.increments_count
    # A composite whose selections all vanished keeps an empty fragment: it must not look like a leaf.
    row = known.row(_merged(_expand(node, type_name, expansion)) or (NormalFragment(type_name),))
    if fragments is not None and expansion.increments_count == increments_before:
        known.expanded.put(fragments, node, (expansion.selections_count - selections_before, row), type_name)
    return row


def _arguments(node: FieldNode | DirectiveNode) -> tuple[Argument, ...]:
    """The arguments by name: their order means nothing."""
    return tuple(
        sorted((Argument(a.name.value, a.value) for a in node.arguments or ()), key=lambda a: a.name)
    )


def _child_type(parent_type: str, name: str, supergraph: Supergraph) -> str:
    """The named type of a field. Introspection's own types are in no supergraph."""
    type_ = supergraph.types.get(parent_type)
    definition = type_.fields.get(name) if type_ is not None else None
    if definition is not None:
        return definition.type.name
    meta = {"__schema": SchemaMetaFieldDef, "__type": TypeMetaFieldDef}.get(name)
    if meta is None:
        meta = cast("GraphQLObjectType", introspection_types[parent_type]).fields[name]
    return get_named_type(meta.type).name


def _fragment(
    type_condition: str,
    node: SelectionSetNode,
    parent_type: str,
    expansion: _Expansion,
    *,
    conditions: _Conditions,
    defer: _Defer | None,
) -> list[NormalSelection]:
    possible = expansion.supergraph.possible_types
    shared = possible.get(parent_type, frozenset()) & possible.get(type_condition, frozenset())
    if parent_type != type_condition and not shared and not _interface_objects(parent_type, expansion):
        return []
    widens = _widens(type_condition, parent_type, expansion.supergraph)
    inner_type = parent_type if widens else type_condition
    if widens and not conditions and defer is None:
        return _expand(node, inner_type, expansion)
    return [
        NormalFragment(
            type_condition=inner_type,
            conditions=conditions,
            selections=_merged(_expand(node, inner_type, expansion)),
            deferred=defer is not None,
            defer_label=defer.label if defer else None,
            increment=defer.increment if defer else 0,
        )
    ]


def _interface_objects(parent_type: str, expansion: _Expansion) -> bool:
    """Whether implementations may exist that no subgraph of the interface lists."""
    type_ = expansion.supergraph.types.get(parent_type)
    return (
        type_ is not None and not expansion.supergraph.possible_types.get(parent_type) and type_.is_abstract
    )


def _widens(type_condition: str, parent_type: str, supergraph: Supergraph) -> bool:
    """Whether every field of `type_condition` can be selected on `parent_type` itself."""
    if type_condition == parent_type:
        return True
    parent = supergraph.types[parent_type]
    if parent.kind is TypeKind.OBJECT:
        return True
    return type_condition in parent.interfaces


def _merged(selections: Iterable[NormalSelection]) -> tuple[NormalSelection, ...]:
    """Siblings that mean the same become one, at the place of the first."""
    selections = tuple(selections)
    plain = {one.response_key for one in selections if isinstance(one, NormalField) and not one.conditions}
    if len(plain) == len(selections):
        return selections
    merged: dict[tuple[object, ...], dict[int, NormalSelection]] = {}
    for selection in selections:
        merged.setdefault(_identity(selection), {})[id(selection)] = selection
    joined = [_joined([*group.values()]) for group in merged.values()]
    plain = {s.response_key for s in joined if isinstance(s, NormalField) and not s.conditions}
    return tuple(kept for s in joined if (kept := _uncovered(s, plain, top=True)) is not None)


def _identity(selection: NormalSelection) -> tuple[object, ...]:
    if isinstance(selection, NormalField):
        return ("field", selection.response_key, selection.parent_type, frozenset(selection.conditions))
    if selection.deferred:
        return ("deferred", id(selection))
    return ("fragment", selection.type_condition, frozenset(selection.conditions))


def _joined(group: list[NormalSelection]) -> NormalSelection:
    first = group[0]
    if len(group) == 1:
        return first
    inner = _merged(selection for same in group for selection in same.selections)
    if isinstance(first, NormalField):
        applied = [one for same in group if isinstance(same, NormalField) for one in same.directives]
        by_text = {print_directive(one): one for one in applied}
        return replace(first, selections=inner, directives=tuple(by_text.values()))
    return NormalFragment(first.type_condition, first.conditions, inner)


def _uncovered(selection: NormalSelection, plain: set[str], *, top: bool = False) -> NormalSelection | None:
    """The selection without leaves that a parent selects anyway; None where nothing is left."""
    if isinstance(selection, NormalField):
        covered = not (selection.selections or selection.directives) and selection.response_key in plain
        return None if covered and not (top and not selection.conditions) else selection
    if selection.deferred:
        return selection
    kept = tuple(k for inner in selection.selections if (k := _uncovered(inner, plain)) is not None)
    if len(kept) == len(selection.selections) and all(map(is_, kept, selection.selections)):
        return selection
    return NormalFragment(selection.type_condition, selection.conditions, kept) if kept else None


def _conditions(directives: Iterable[DirectiveNode]) -> _Conditions | None:
    """The variable conditions, sorted; None where a literal excludes the selection."""
    found: list[Condition] = []
    for directive in directives:
        if directive.name.value not in {"skip", "include"}:
            continue
        negated = directive.name.value == "skip"
        value = _argument(directive, "if")
        if isinstance(value, BooleanValueNode):
            if value.value is negated:
                return None
        elif isinstance(value, VariableNode):
            found.append(Condition(value.name.value, negated))
    return tuple(sorted(set(found), key=lambda c: (c.variable, c.negated)))


def _defer(directives: Iterable[DirectiveNode], expansion: _Expansion) -> _Defer | None:
    directive = _incremental(directives, "defer")
    return None if directive is None else _Defer(_label(directive), expansion.next_increment())


def _stream(directives: Iterable[DirectiveNode], expansion: _Expansion) -> Stream | None:
    directive = _incremental(directives, "stream")
    if directive is None:
        return None
    given, count = _argument(directive, "initialCount"), cast("int | str", 0)
    if isinstance(given, IntValueNode):
        count = int(given.value)
    elif isinstance(given, VariableNode):
        count = given.name.value
    return Stream(expansion.next_increment(), _label(directive), count)


def _incremental(directives: Iterable[DirectiveNode], name: str) -> DirectiveNode | None:
    """The directive where it is in force; what hangs on a variable was decided before (`increments`)."""
    for directive in directives:
        if directive.name.value == name:
            condition = _argument(directive, "if")
            in_force = condition is None or (isinstance(condition, BooleanValueNode) and condition.value)
            return directive if in_force else None
    return None


def _label(directive: DirectiveNode) -> str | None:
    label = _argument(directive, "label")
    return label.value if isinstance(label, StringValueNode) else None


def _argument(directive: DirectiveNode, name: str) -> ValueNode | None:
    return next((a.value for a in directive.arguments or () if a.name.value == name), None)
