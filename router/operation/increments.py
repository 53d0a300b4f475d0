"""`ValidOperation` → the same with its `@defer` and `@stream` decided: before it is normalised.

What is delivered later decides what is fetched apart, so an operation has one plan for each assignment of
the variables that `if` asks for, and one for clients that take whole answers alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from graphql import (
    BooleanValueNode,
    DefinitionNode,
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    InlineFragmentNode,
    IntValueNode,
    NullValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
)

from router.errors import ClientError, ValidationFailed, VariablesInvalid
from router.operation.model import NormalOperation, NormalSelection, OperationKind, ValidOperation
from router.operation.validate import choose_operation

INCREMENTAL: Final = frozenset({"defer", "stream"})

Truths = Mapping[str, bool]
"""The variables on which `@defer` and `@stream` hang, and whether they are in force."""


def defers(valid: ValidOperation) -> bool:
    """Whether the document has any `@defer` or `@stream` that is not switched off by a literal."""
    if "@" not in valid.parsed.text:
        return False
    return any(_in_force(it, {}) is not False for it in _directives(valid.parsed.document.definitions))


def deciding_variables(valid: ValidOperation) -> tuple[str, ...]:
    """The names of the variables on which `@defer` and `@stream` hang, each once."""
    conditions = (_argument(it, "if") for it in _directives(valid.parsed.document.definitions))
    return tuple(dict.fromkeys(it.name.value for it in conditions if isinstance(it, VariableNode)))


def truths_of(names: Iterable[str], variables: Mapping[str, Any]) -> Truths:
    """What coerced variables say to `if`; an absent one says true, as the directives' default does.

    Errors: VariablesInvalid for null, which `if` does not take.
    """
    truths: dict[str, bool] = {}
    for name in names:
        value = variables.get(name, True)
        if value is None:
            raise VariablesInvalid([_refusal(f"variable `${name}` decides on `if` and may not be null")])
        truths[name] = bool(value)
    return truths


def decided(valid: ValidOperation, truths: Truths) -> ValidOperation:
    """The operation in which every `@defer` and `@stream` is in force or gone.

    Errors: ClientError where one is in force in a subscription, or counts what cannot be counted.
    """
    return _rewritten(valid, truths)


def at_once(valid: ValidOperation) -> ValidOperation:
    """The operation without `@defer` and `@stream`."""
    return _rewritten(valid, None)


def check_counts(operation: NormalOperation, variables: Mapping[str, Any]) -> None:
    """Refuse an `initialCount` by variable that is null or negative.  Errors: VariablesInvalid."""
    for name in _counting(operation.selections):
        count = variables.get(name, 0)
        if count is None or count < 0:
            raise VariablesInvalid(
                [_refusal(f"variable `${name}` is an `initialCount`: say 0 or a positive number")]
            )


def _counting(selections: Iterable[NormalSelection]) -> Iterator[str]:
    for it in selections:
        stream = getattr(it, "stream", None)
        if stream is not None and isinstance(stream.initial_count, str):
            yield stream.initial_count
        yield from _counting(it.selections)


def _refusal(message: str) -> ClientError:
    return ClientError(message, code="VALIDATION_INVALID_TYPE_VARIABLE")


def _rewritten(valid: ValidOperation, truths: Truths | None) -> ValidOperation:
    """With `truths` None all is answered at once."""
    document = valid.parsed.document
    refuse = valid.kind is OperationKind.SUBSCRIPTION
    definitions = tuple(_definition(it, truths, refuse=refuse) for it in document.definitions)
    # INVARIANT: what is known of sets among the client's fragments is not true among these
    parsed = replace(valid.parsed, document=replace(document, definitions=definitions), fragments=None)
    return replace(valid, parsed=parsed, operation=choose_operation(parsed.document, _name(valid)))


def _definition(node: DefinitionNode, truths: Truths | None, *, refuse: bool) -> DefinitionNode:
    if not isinstance(node, OperationDefinitionNode | FragmentDefinitionNode):
        return node
    return replace(node, selection_set=_selections(node.selection_set, truths, refuse=refuse))


def _selections(node: SelectionSetNode, truths: Truths | None, *, refuse: bool) -> SelectionSetNode:
    return replace(node, selections=tuple(_selection(it, truths, refuse=refuse) for it in node.selections))


def _selection(node: SelectionNode, truths: Truths | None, *, refuse: bool) -> SelectionNode:
    kept = _kept(node.directives or (), truths, refuse=refuse)
    if isinstance(node, FieldNode | InlineFragmentNode) and node.selection_set is not None:
        inner = _selections(node.selection_set, truths, refuse=refuse)
        return replace(node, directives=kept, selection_set=inner)
    return replace(node, directives=kept)


def _name(valid: ValidOperation) -> str | None:
    return valid.operation.name.value if valid.operation.name is not None else None


def _kept(
    directives: Iterable[DirectiveNode], truths: Truths | None, *, refuse: bool
) -> tuple[DirectiveNode, ...]:
    kept = []
    for it in directives:
        if it.name.value not in INCREMENTAL:
            kept.append(it)
            continue
        if truths is None or not _in_force(it, truths):
            continue
        if refuse:
            raise ValidationFailed([_misplaced(it)])
        _check_literal_count(it)
        arguments = tuple(one for one in it.arguments or () if one.name.value != "if")
        kept.append(replace(it, arguments=arguments))
    return tuple(kept)


def _misplaced(directive: DirectiveNode) -> ClientError:
    name = directive.name.value
    return ClientError(
        f"`@{name}` is not for subscriptions: each event is answered whole; leave it out or say `if: false`",
        code="GRAPHQL_VALIDATION_FAILED",
    )


def _check_literal_count(directive: DirectiveNode) -> None:
    count = _argument(directive, "initialCount")
    if isinstance(count, NullValueNode) or (isinstance(count, IntValueNode) and int(count.value) < 0):
        raise ValidationFailed(
            [
                ClientError(
                    "`initialCount` of `@stream` must be 0 or a positive number",
                    code="GRAPHQL_VALIDATION_FAILED",
                )
            ]
        )


def _in_force(directive: DirectiveNode, truths: Truths) -> bool | None:
    """Whether the directive counts; None where a variable decides that is not in `truths`."""
    condition = _argument(directive, "if")
    if isinstance(condition, VariableNode):
        return truths.get(condition.name.value)
    return condition.value if isinstance(condition, BooleanValueNode) else True


def _directives(definitions: Iterable[DefinitionNode]) -> Iterator[DirectiveNode]:
    for it in definitions:
        if isinstance(it, OperationDefinitionNode | FragmentDefinitionNode):
            yield from _directives_in(it.selection_set)


def _directives_in(node: SelectionSetNode) -> Iterator[DirectiveNode]:
    for it in node.selections:
        for directive in it.directives or ():
            # `@stream` stands on fields, `@defer` on fragments: validation has seen to that
            if directive.name.value == ("stream" if isinstance(it, FieldNode) else "defer"):
                yield directive
        inner = getattr(it, "selection_set", None)
        if inner is not None:
            yield from _directives_in(inner)


def _argument(directive: DirectiveNode, name: str) -> ValueNode | None:
    return next((a.value for a in directive.arguments or () if a.name.value == name), None)
