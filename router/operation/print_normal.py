"""Normal selections as text: canonical, so that equal texts are equal selections."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from graphql import print_ast

from router.operation.model import AppliedDirective, NormalFragment, NormalSelection, Stream

_Print: TypeAlias = Callable[[tuple[NormalSelection, ...]], str]


def print_selections(selections: tuple[NormalSelection, ...], below: _Print | None = None) -> str:
    """Canonical text of normal selections, on one line: the stage as a person reads it.

    `below` prints what is selected below them; without it, this does.
    """
    below = below or print_selections
    return "{" + " ".join([_print_selection(selection, below) for selection in selections]) + "}"


def print_directive(directive: AppliedDirective) -> str:
    """As in an operation's text: equal directives print equally."""
    arguments = ", ".join(f"{a.name}: {print_ast(a.value)}" for a in directive.arguments)
    return f"@{directive.name}({arguments})" if arguments else f"@{directive.name}"


def _print_selection(selection: NormalSelection, below: _Print) -> str:
    conditions = "".join(
        [f" @{'skip' if it.negated else 'include'}(if: ${it.variable})" for it in selection.conditions]
    )
    if isinstance(selection, NormalFragment):
        label = f"(label: {selection.defer_label!r})" if selection.defer_label else ""
        defer = f" @defer{label}" if selection.deferred else ""
        return f"... on {selection.type_condition}{conditions}{defer} {below(selection.selections)}"
    alias = "" if selection.response_key == selection.name else f"{selection.response_key}: "
    inner = below(selection.selections) if selection.selections else ""
    if not (conditions or selection.arguments or selection.stream or selection.directives):
        return alias + selection.name + inner
    arguments = ", ".join(f"{a.name}: {print_ast(a.value)}" for a in selection.arguments)
    stream = _print_stream(selection.stream) if selection.stream else ""
    handed_on = "".join(f" {print_directive(one)}" for one in selection.directives)
    own = selection.name + (f"({arguments})" if arguments else "")
    return alias + own + conditions + stream + handed_on + inner


def _print_stream(stream: Stream) -> str:
    count = stream.initial_count
    label = f", label: {stream.label!r}" if stream.label else ""
    return f" @stream(initialCount: {count if isinstance(count, int) else f'${count}'}{label})"
