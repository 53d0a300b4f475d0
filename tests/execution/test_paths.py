"""Flatten paths: what `collect` finds is what `locate` places, whatever the answer looks like."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.execution.paths import TreePath
from router.execution.type_facts import TypeFacts
from router.planner.plan import PathKey, PathList, PathStep

FACTS = TypeFacts(fields={}, supertypes={}, keys={}, objects=frozenset("ABC"))
_FILTERS = st.sampled_from([None, frozenset({"A"}), frozenset({"A", "B"})])
_KEYS = st.builds(PathKey, st.sampled_from("xy"), _FILTERS)
_LISTS = st.builds(PathList, _FILTERS)
_STRIDES = st.builds(lambda key, lists: [key, *lists], _KEYS, st.lists(_LISTS, max_size=3))
_PATHS = st.lists(_STRIDES, max_size=3).map(lambda strides: [step for it in strides for step in it])
_LEAVES = st.sampled_from([None, 1, "text"])
_OBJECT = st.dictionaries(st.sampled_from("xy"), st.deferred(lambda: _VALUES), max_size=2)
_TYPED = st.builds(lambda it, name: it | {"__typename": name}, _OBJECT, st.sampled_from("ABC"))
_VALUES: st.SearchStrategy[Any] = st.one_of(
    _LEAVES, _TYPED, st.deferred(lambda: st.lists(_VALUES, max_size=3))
)


@given(_PATHS, st.one_of(_OBJECT, _TYPED), st.data())
def test_collect_finds_what_locate_places(
    path: list[PathStep], root: dict[str, Any], data: st.DataObject
) -> None:
    """Also where one object stands at several places, as it does in answers of which equal parts are one."""
    objects = [it for it in _objects_of(root) if it is not root]
    if objects and data.draw(st.booleans()):
        one = data.draw(st.sampled_from(objects))
        root = {"__typename": "A", "x": [root, root, one], "y": root}
    tree_path = TreePath(path, FACTS)

    placed = [id(it) for it, _ in tree_path.locate(root)]

    assert [id(it) for it in tree_path.collect(root)] == placed
    assert [id(it) for it in tree_path.collect(root, distinct=True)] == list(dict.fromkeys(placed))
    assert [id(line[0]) for line in tree_path.ancestors(root)] == placed


def _objects_of(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(it for inside in value.values() for it in _objects_of(inside))]
    if isinstance(value, list):
        return [it for inside in value for it in _objects_of(inside)]
    return []
