"""QueryPlan: what to fetch from whom, in which order. Data only; `execution` compiles and runs it.

Source: `federation.md` (f); the JSON form is the one that Federation tools read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from router.operation.model import OperationKind


@dataclass(frozen=True, slots=True)
class PathKey:
    """One object key on a flatten path; with `types`, only values of those runtime types are followed."""

    key: str
    types: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class PathList:
    """One list level on a flatten path, printed `@`; with `types`, only items of those runtime types."""

    types: frozenset[str] | None = None


PathStep: TypeAlias = PathKey | PathList


@dataclass(frozen=True, slots=True)
class RequiresField:
    """A field copied into a representation under `name`, read from the response tree under `source`.

    `source` differs from `name` where the planner had to alias the fetched field.
    """

    name: str
    source: str
    selections: tuple[RequiresSelection, ...] = ()


@dataclass(frozen=True, slots=True)
class RequiresFragment:
    """Selections copied only where the object's `__typename` is `type_condition` or a subtype of it."""

    type_condition: str
    selections: tuple[RequiresSelection, ...]


RequiresSelection: TypeAlias = RequiresField | RequiresFragment

RewritePath: TypeAlias = tuple[str, ...]
"""Keys below the fetched value; an element `... on T` goes on only where `__typename` is T or a subtype."""


@dataclass(frozen=True, slots=True)
class ValueSetter:
    """Set the value at `path` (for instance a representation's `__typename` to the interface)."""

    path: RewritePath
    value: str


@dataclass(frozen=True, slots=True)
class KeyRenamer:
    """Rename the last key of `path` to `new_key`: undoes an alias of the planner in the answer."""

    path: RewritePath
    new_key: str


@dataclass(frozen=True, slots=True)
class ContextRewrite:
    """Read the value at `path` (`..` goes to the parent) and pass it as variable `variable`."""

    path: RewritePath
    variable: str


Rewrite: TypeAlias = ValueSetter | KeyRenamer


@dataclass(frozen=True, slots=True)
class Fetch:
    """One request to one subgraph.

    `requires` empty means a root fetch; otherwise an `_entities` fetch, one representation for each
    object under the enclosing `Flatten`. `variable_usages` are the client's variables to pass on.
    `operation` is the complete text to send. Of an `_entities` fetch, `entity_selection` is the part of it
    that is selected on the entities and `declarations` are the variables besides `$representations`, so
    that several fetches can be sent as one; without a selection the fetch is sent alone.
    """

    id: int
    service: str
    kind: OperationKind
    operation: str
    operation_name: str | None = None
    variable_usages: tuple[str, ...] = ()
    requires: tuple[RequiresSelection, ...] = ()
    input_rewrites: tuple[Rewrite, ...] = ()
    output_rewrites: tuple[Rewrite, ...] = ()
    context_rewrites: tuple[ContextRewrite, ...] = ()
    declarations: tuple[str, ...] = ()
    entity_selection: str = ""


@dataclass(frozen=True, slots=True)
class Flatten:
    """Run `node` for every object that `path` reaches; lists are expanded, nulls skipped."""

    path: tuple[PathStep, ...]
    node: PlanNode


@dataclass(frozen=True, slots=True)
class Sequence:
    """Run in order: a later node reads what an earlier one merged."""

    nodes: tuple[PlanNode, ...]


@dataclass(frozen=True, slots=True)
class Parallel:
    """Run together."""

    nodes: tuple[PlanNode, ...]


@dataclass(frozen=True, slots=True)
class ConditionNode:
    """Run one branch by a Boolean variable."""

    variable: str
    if_clause: PlanNode | None = None
    else_clause: PlanNode | None = None


@dataclass(frozen=True, slots=True)
class DeferDependency:
    """A fetch that a deferred part waits for."""

    fetch_id: int


@dataclass(frozen=True, slots=True)
class DeferredPart:
    """One `@defer` fragment: where it hangs, what it waits for, what it fetches.

    `increment` is the fragment's number in the normal operation.
    """

    path: tuple[str, ...]
    label: str | None
    depends: tuple[DeferDependency, ...]
    node: PlanNode | None
    increment: int = 0


@dataclass(frozen=True, slots=True)
class Defer:
    """The part that answers at once, and the parts that follow."""

    primary: PlanNode | None
    deferred: tuple[DeferredPart, ...]


@dataclass(frozen=True, slots=True)
class Subscription:
    """The subscribing fetch, and the plan run for each of its events."""

    primary: Fetch
    rest: PlanNode | None = None


PlanNode: TypeAlias = Fetch | Flatten | Sequence | Parallel | ConditionNode | Defer | Subscription


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """A whole plan; `node` is None where nothing is to be fetched (introspection only, all denied).

    `evaluated_plans` says how many alternatives were weighed, `cost` what the chosen one costs.
    """

    node: PlanNode | None
    kind: OperationKind | Literal["query"] = OperationKind.QUERY
    cost: float = 0.0
    evaluated_plans: int = 1
    override_labels: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        """The plan as indented text: the form of snapshots."""
        from router.planner.print_plan import print_plan

        return print_plan(self)
