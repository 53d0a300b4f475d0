"""Projection as generated Python: what `projection` does with closures, one function an object type.

Used once a projection has proven to be hot, because compiling a line of it costs as much as running it
a thousand times. INVARIANT: both answer the same for every tree; a property test compares them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
)

from router.execution.shape import AnswerField, AnswerSelection, Composite

Complete = Callable[[Any], Any]

Answered: TypeAlias = list[dict[int, Any]]
"""For each place of a shared tree that has any, the answers of its objects, by the objects' identity."""

_REFUSED: Final[dict[str, str]] = {
    "String": "{v}.__class__ is not str",
    "Boolean": "{v}.__class__ is not bool",
    "ID": "{v}.__class__ is not str and {v}.__class__ is not int",
    "Float": "{v}.__class__ is not float and {v}.__class__ is not int",
    "Int": "({v}.__class__ is not int or not -2147483648 <= {v} <= 2147483647)",
}
"""When a value of a built-in scalar is not to be answered; null fits none of them."""


def may_repeat(selection: AnswerSelection) -> bool:
    """Whether an object may stand at many places here: a root field's does not."""
    return len(selection.keys) > 1


def generate_projection(
    shape: AnswerSelection, irregular: list[None], answered: Answered | None = None
) -> Complete:
    """The projection of `shape` as one compiled module; refusals are counted in `irregular`.

    With `answered`, an object that stands at many places is projected once; it is emptied by the caller.
    """
    writer = _Writer(irregular, answered)
    entry = writer.selection(shape)
    return writer.build(entry)


def generated_piece(selection: AnswerSelection, irregular: list[None], answered: Answered | None) -> Complete:
    """The generated projection of a selection that several answers have; made once."""
    at = (answered is not None, True)
    found = selection.projections.get(at)
    if found is None:
        found = selection.projections[at] = generate_projection(selection, irregular, answered)
    return found


class _Writer:
    """The source under way and the values that it refers to by name."""

    def __init__(self, irregular: list[None], answered: Answered | None) -> None:
        self._lines: list[str] = []
        self._values: dict[str, Any] = {}
        self._count = 0
        self._irregular = irregular
        self._answered = answered

        def refuse() -> None:
            irregular.append(None)

        self._values["refuse"] = refuse

    def build(self, entry: str) -> Complete:
        """Compile everything written so far; the function of this name is the result."""
        source = "\n".join(self._lines)
        # names come from the schema and the validated operation: GraphQL names are Python names
        exec(compile(source, "<projection>", "exec"), self._values)  # noqa: S102
        result: Complete = self._values[entry]
        return result

    def selection(self, selection: AnswerSelection) -> str:
        """The function for objects of one place, by static type or by `__typename`."""
        if isinstance(selection.static_type, GraphQLObjectType):
            return self.object(selection, selection.static_type)
        return self._abstract(selection)

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count}"

    def _abstract(self, selection: AnswerSelection) -> str:
        """Runtime types are generated when their first object comes, each as a module of its own."""
        name, table, find = self._name("any"), self._name("table"), self._name("find")
        compiled: dict[str | None, Complete] = {}
        irregular, answered = self._irregular, self._answered

        def find_type(typename: str | None) -> Complete | None:
            type_ = selection.runtime_type(typename)
            if type_ is None:
                return None
            writer = _Writer(irregular, answered)
            known = compiled[typename] = writer.build(writer.object(selection, type_))
            return known

        self._values[table], self._values[find] = compiled, find_type
        self._lines += [
            f"def {name}(it):",
            "    if it.__class__ is not dict:",
            "        return None if it is None else refuse()",
            "    typename = it.get('__typename')",
            f"    known = {table}.get(typename) or {find}(typename)",
            "    return refuse() if known is None else known(it)",
        ]
        return name

    def object(self, selection: AnswerSelection, runtime_type: Composite) -> str:
        """The function for objects of one runtime type."""
        name = self._name("object")
        body: list[str] = []
        members: list[str] = []
        for index, field in enumerate(selection.fields(runtime_type)):
            value = f"v{index}"
            members.append(f"{field.key!r}: {self._field(field, runtime_type, value, body)}")
        before, answer = [], "return"
        if self._answered is not None and may_repeat(selection):
            known = self._name("known")
            self._values[known] = {}
            self._values["answered"] = self._answered
            before = [
                f"    answer = {known}.get(id(it))",
                "    if answer is not None:",
                "        return answer",
                f"    if not {known}:",
                f"        answered.append({known})",
            ]
            answer = f"answer = {known}[id(it)] ="
        self._lines += [
            f"def {name}(it):",
            "    if it.__class__ is not dict:",
            "        return None if it is None else refuse()",
            *before,
            "    get = it.get",
            *body,
            f"    {answer} {{{', '.join(members)}}}",
            *(["    return answer"] if before else []),
        ]
        return name

    def _field(self, field: AnswerField, runtime_type: Composite, value: str, body: list[str]) -> str:
        """Lines that set `value`; the expression to answer."""
        if field.denials:
            if field.non_null:
                body.append("    return refuse()")
            return "None"
        if field.is_typename:
            if isinstance(runtime_type, GraphQLObjectType):
                return repr(runtime_type.name)
            body.append("    return refuse()")
            return "None"
        body.append(f"    {value} = get({field.key!r})")
        if field.type is not None:
            body += self._check(field.type, field.selection, value)
        elif field.non_null:
            body += [f"    if {value} is None:", "        return refuse()"]
        return value

    def _check(self, type_: GraphQLOutputType, selection: AnswerSelection | None, value: str) -> list[str]:
        non_null = isinstance(type_, GraphQLNonNull)
        refused = self._refused(type_, value)
        if refused is not None:
            if non_null:
                return [f"    if {refused}:", "        return refuse()"]
            return [f"    if {value} is not None and ({refused}):", f"        {value} = refuse()"]
        lines: list[str] = []
        complete = self._complete(type_, selection)
        if complete is not None:
            lines += [f"    if {value} is not None:", f"        {value} = {complete}({value})"]
        if non_null:
            lines += [f"    if {value} is None:", "        return refuse()"]
        return lines

    def _refused(self, type_: GraphQLOutputType, value: str) -> str | None:
        """The condition under which a leaf is refused; None for what is no checked leaf."""
        if isinstance(type_, GraphQLNonNull):
            type_ = type_.of_type
        if isinstance(type_, GraphQLEnumType):
            names = self._name("enum")
            self._values[names] = frozenset(type_.values)
            return f"{value}.__class__ is not str or {value} not in {names}"
        template = _REFUSED.get(getattr(type_, "name", ""))
        return None if template is None else template.format(v=value)

    def _complete(self, type_: GraphQLOutputType, selection: AnswerSelection | None) -> str | None:
        """The function that completes a non-null value; None where any value will do."""
        if isinstance(type_, GraphQLNonNull):
            type_ = type_.of_type
        if isinstance(type_, GraphQLList):
            return self._list(type_.of_type, selection)
        if selection is None or selection.known is None:
            return None if selection is None else self.selection(selection)
        name = self._name("piece")
        self._values[name] = generated_piece(selection, self._irregular, self._answered)
        return name

    def _list(self, type_: GraphQLOutputType, selection: AnswerSelection | None) -> str:
        name = self._name("list")
        refused = self._refused(type_, "value")
        lines = [f"def {name}(values):", "    if values.__class__ is not list:", "        return refuse()"]
        if refused is not None:
            lines += [
                "    answer = values",
                "    for index, value in enumerate(values):",
                f"        if value is not None and ({refused}):",
                "            if answer is values:",
                "                answer = list(values)",
                "            answer[index] = refuse()",
            ]
        else:
            complete = self._complete(type_, selection)
            completed = "values"
            if complete is not None:
                completed = f"[None if value is None else {complete}(value) for value in values]"
            lines.append(f"    answer = {completed}")
        if isinstance(type_, GraphQLNonNull):
            lines += ["    for value in answer:", "        if value is None:", "            return refuse()"]
        self._lines += [*lines, "    return answer"]
        return name
