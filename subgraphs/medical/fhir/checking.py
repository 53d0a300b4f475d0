"""A parsed resource against FHIR R4B, and what its models leave open. Slow: never on the event loop.

The six types of a record are the same in R4 and R4B, so R4 documents are checked by the R4B models.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from subgraphs.medical.fhir.documents import Entry
from subgraphs.medical.fhir.problems import EntryProblem
from subgraphs.medical.model import ResourceType

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_PROBLEMS_PER_RESOURCE_MAX = 3
_NARRATIVE = "div"


def check(entry: Entry) -> list[EntryProblem]:
    """What is wrong with the resource; errors first, then warnings. Messages hold no value of it."""
    errors = list(_identity(entry)) or list(_by_model(entry))
    return [*errors[:_PROBLEMS_PER_RESOURCE_MAX], *_doubts(entry)]


def _identity(entry: Entry) -> Iterator[EntryProblem]:
    value = entry.resource.get("id")
    if value is not None and not (isinstance(value, str) and _ID.fullmatch(value)):
        message = "an id has 1 to 64 letters, digits, `-` and `.`"
        yield EntryProblem(entry.index, "BAD_ID", message, entry.resource_type, element="id")


def _by_model(entry: Entry) -> Iterator[EntryProblem]:
    try:
        _model(entry.resource_type).model_validate(entry.resource)
    except ValidationError as error:
        for each in error.errors(include_input=False, include_url=False, include_context=False):
            path = ".".join([entry.resource_type, *(str(step) for step in each["loc"] if step != "root")])
            yield EntryProblem(
                entry.index,
                "NOT_VALID",
                f"`{path[:200]}` is not valid FHIR R4: {_reason(each['type'])}",
                entry.resource_type,
                entry.fhir_id,
                element=path[:200],
            )
    except Exception:
        # The models stumble over what is nested very wrongly: a `resourceType` that is a number, say.
        message = "the resource is not valid FHIR R4: its structure cannot be read"
        yield EntryProblem(entry.index, "NOT_VALID", message, entry.resource_type, entry.fhir_id)


def _reason(kind: str) -> str:
    """A reason by pydantic's error type, because its own message may repeat the value."""
    return _REASONS.get(kind, "it has not the form that the specification gives")


_REASONS = {
    "missing": "it is required",
    "model_field_validation.missing": "it is required",
    "extra_forbidden": "there is no such element",
    "list_type": "it must be a list",
    "string_type": "it must be a text",
    "string_pattern_mismatch": "it holds characters that are not allowed",
    "model_validation_format": "it has another type there",
    "bool_parsing": "it must be true or false",
    "json_invalid": "it must be an object",
}


def _doubts(entry: Entry) -> Iterator[EntryProblem]:
    for path in _marked_up(entry.resource, entry.resource_type):
        message = f"`{path}` looks like it holds HTML, which a FHIR text must not"
        yield EntryProblem(
            entry.index, "HTML_IN_TEXT", message, entry.resource_type, entry.fhir_id, path, warning=True
        )
        return


def _marked_up(value: Any, path: str) -> Iterator[str]:
    """Paths of texts with tags in them; the narrative, which is XHTML, aside."""
    if isinstance(value, str):
        if _TAG.search(value):
            yield path[:200]
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name != _NARRATIVE:
                yield from _marked_up(inner, f"{path}.{name[:40]}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _marked_up(inner, f"{path}.{index}")


@cache
def _model(resource_type: str) -> Any:
    module = import_module(f"fhir.resources.R4B.{resource_type.lower()}")
    return getattr(module, ResourceType(resource_type).value)
