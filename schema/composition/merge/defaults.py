"""Spells merged defaults as their types want them, so that strict readers of the supergraph take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from schema.composition.fitting import spelt
from schema.composition.merge.model import MergedArgument, MergedField, MergedType


def spell_defaults(types: dict[str, MergedType]) -> None:
    """Respell the default of every argument and input field that has one."""
    for name, owner in types.items():
        inputs = _spelt(types, owner.inputs)
        fields = {
            item.name: replace(item, arguments=arguments)
            for item in owner.fields.values()
            if (arguments := _arguments(types, item)) is not None
        }
        if inputs is not None or fields:
            types[name] = replace(owner, inputs=inputs or owner.inputs, fields={**owner.fields, **fields})


def _arguments(types: Mapping[str, MergedType], item: MergedField) -> dict[str, MergedArgument] | None:
    return _spelt(types, item.arguments) if item.arguments else None


def _spelt(
    types: Mapping[str, MergedType], items: Mapping[str, MergedArgument]
) -> dict[str, MergedArgument] | None:
    """The items with new defaults; None where none has a default."""
    if not any(item.default is not None for item in items.values()):
        return None
    return {
        name: item if item.default is None else replace(item, default=spelt(types, item.default, item.type))
        for name, item in items.items()
    }
