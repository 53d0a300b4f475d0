"""Whether a literal is a value of a type (GraphQL: Values of Correct Type).

As existing composers do, a text may stand for an enum's value and the other way round, and a required field
of an input object may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphql import (
    BooleanValueNode,
    EnumValueNode,
    FloatValueNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectFieldNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
)

from schema.composition.merge.model import MergedType
from schema.composition.subgraph import Kind, TypeDef
from schema.federation.type_refs import ListOf, NonNull, TypeRef, named, nullable

Types = Mapping[str, TypeDef] | Mapping[str, MergedType]

_TEXT, _WHOLE = (StringValueNode, EnumValueNode), (IntValueNode,)
_SCALARS: Mapping[str, tuple[type[ValueNode], ...]] = {
    "Int": _WHOLE,
    "Float": (*_WHOLE, FloatValueNode),
    "String": _TEXT,
    "Boolean": (BooleanValueNode,),
    "ID": (*_TEXT, *_WHOLE),
}


def fits(types: Types, value: ValueNode, wanted: TypeRef) -> bool:
    """Whether `value` can be given where `wanted` is expected."""
    if isinstance(value, NullValueNode):
        return not isinstance(wanted, NonNull)
    wanted = wanted.of if isinstance(wanted, NonNull) else wanted
    if isinstance(wanted, ListOf):
        items = value.values if isinstance(value, ListValueNode) else (value,)
        return all(fits(types, item, wanted.of) for item in items)
    return _fits_named(types, value, wanted.name)


def _fits_named(types: Types, value: ValueNode, name: str) -> bool:
    if name in _SCALARS:
        return isinstance(value, _SCALARS[name]) or (name in ("Int", "ID") and _is_whole(value))
    owner = types.get(name)
    if owner is None or owner.kind is Kind.SCALAR:
        return True  # a specification's type, or one that another rule finds unknown
    if owner.kind is Kind.ENUM:
        return isinstance(value, StringValueNode | EnumValueNode) and value.value in owner.values
    if owner.kind is not Kind.INPUT:
        return True  # another rule says that it cannot be an input
    if not isinstance(value, ObjectValueNode):
        return isinstance(value, ListValueNode) and not value.values
    return all(
        item.name.value in owner.inputs and fits(types, item.value, owner.inputs[item.name.value].type)
        for item in value.fields
    )


def _is_whole(value: ValueNode) -> bool:
    return isinstance(value, FloatValueNode) and float(value.value).is_integer()


def spelt(types: Types, value: ValueNode, wanted: TypeRef) -> ValueNode:
    """The same value as strict readers expect it of the type: enum values without quotes, whole numbers
    without a point. What does not fit stays as it is.
    """
    wanted = nullable(wanted)
    if isinstance(value, ListValueNode):
        inner = wanted.of if isinstance(wanted, ListOf) else wanted
        return ListValueNode(values=tuple(spelt(types, item, inner) for item in value.values))
    owner = types.get(named(wanted))
    if isinstance(value, ObjectValueNode) and owner is not None and owner.kind is Kind.INPUT:
        return ObjectValueNode(fields=tuple(_spelt_field(types, owner, item) for item in value.fields))
    if isinstance(value, StringValueNode) and owner is not None and owner.kind is Kind.ENUM:
        return EnumValueNode(value=value.value)
    if isinstance(value, EnumValueNode) and (owner is None or owner.kind is Kind.SCALAR):
        return StringValueNode(value=value.value)
    if isinstance(value, FloatValueNode) and named(wanted) in ("Int", "ID") and _is_whole(value):
        return IntValueNode(value=str(int(float(value.value))))
    return value


def _spelt_field(types: Types, owner: TypeDef | MergedType, item: ObjectFieldNode) -> ObjectFieldNode:
    declared = owner.inputs.get(item.name.value)
    if declared is None:
        return item
    return ObjectFieldNode(name=item.name, value=spelt(types, item.value, declared.type))
