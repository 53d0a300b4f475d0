"""Whatever is selected, in whatever shape: a field is shown exactly where its decision allows it."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from authz.identity.subject import ANONYMOUS, Subject
from tests.kit_subgraphs.library import BookRow, Library, open_library

PEOPLE = ("ann", "bob", "cy")
ORACLE = {"id": "PUBLIC", "shelf": "PUBLIC", "title": "TRAINING", "diagnosis": "CLINICAL"}

leaves = st.sampled_from(sorted(ORACLE))
selections = st.lists(
    st.tuples(leaves, st.sampled_from(["plain", "alias", "inline", "typed", "spread"])),
    min_size=1,
    max_size=6,
)
rows = st.lists(st.sampled_from(PEOPLE), min_size=0, max_size=8)
callers = st.sampled_from([ANONYMOUS, *(Subject(id=person, acr=1) for person in PEOPLE)])
friends = st.frozensets(st.sampled_from(PEOPLE))


def document_of(selection: list[tuple[str, str]]) -> tuple[str, dict[str, str]]:
    """The operation, and which field is behind each response key."""
    parts, fragments, keys = [], [], {}
    for number, (name, shape) in enumerate(selection):
        key = name if shape == "plain" else f"k{number}"
        keys[key] = name
        field = name if shape == "plain" else f"{key}: {name}"
        if shape == "inline":
            field = f"... {{{field}}}"
        elif shape == "typed":
            field = f"... on Book {{{field}}}"
        elif shape == "spread":
            fragments.append(f"fragment F{number} on Book {{{field}}}")
            field = f"...F{number}"
        parts.append(field)
    return f"query {{books {{{' '.join(parts)}}}}} {' '.join(fragments)}", keys


async def ask(
    selection: list[tuple[str, str]], owners: list[str], caller: Subject, friends: frozenset[str]
) -> tuple[Library, dict[str, Any], dict[str, str]]:
    library = open_library(friends=friends)
    library.rows.clear()
    library.rows.update({f"b{n}": BookRow(f"b{n}", owner, f"Title {n}") for n, owner in enumerate(owners)})
    document, keys = document_of(selection)
    return library, await library.ask(document, caller), keys


@settings(deadline=None, max_examples=60)
@given(selections, rows, callers, friends)
def test_shown_if_and_only_if_allowed(
    selection: list[tuple[str, str]], owners: list[str], caller: Subject, friends: frozenset[str]
) -> None:
    library, answer, keys = asyncio.run(ask(selection, owners, caller, friends))
    expected, denied = [], set()
    for index, owner in enumerate(owners):
        row = library.rows[f"b{index}"]
        values = {"id": row.id, "shelf": "A", "title": row.title, "diagnosis": row.diagnosis}
        shown = {}
        for key, name in keys.items():
            allowed = ORACLE[name] == "PUBLIC" or owner == caller.id
            allowed = allowed or (ORACLE[name] == "TRAINING" and owner in friends)
            shown[key] = values[name] if allowed else None
            if not allowed:
                denied.add(("books", index, key))
        expected.append(shown)
    assert answer["data"] == {"books": expected}
    errors = answer.get("errors", [])
    assert {tuple(error["path"]) for error in errors} == denied
    assert len(errors) == len(denied)
    assert {error["extensions"]["code"] for error in errors} <= {"FORBIDDEN_FIELD"}
    protected = {ORACLE[name] for name in keys.values()} - {"PUBLIC"}
    assert [len(batch) for batch in library.office.batches] == (
        [len(protected) * len(set(owners))] if protected and owners else []
    )
