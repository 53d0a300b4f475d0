"""Texts alike: one document, and so one plan, for texts that differ in their literals alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from graphql import GraphQLError
from graphql import parse as parse_document

from router.errors import ClientError
from router.operation.lift import Form, LiftedText, form_of, lifted
from router.snapshot import Alike, Document, Snapshot

TEXT_CHARS_MAX: Final = 8_192
"""Longer texts are read as they stand."""
DOCUMENTS_PER_FORM_MAX: Final = 16

Read = Callable[[str], Document]
"""Text → document, as for any text.  Errors: ClientError."""


def document_alike(text: str, operation_name: str | None, graph: Snapshot, read: Read) -> Document | None:
    """The document of an earlier text of this form with this one's literals; None where there is none.

    The first text of a form only leaves its mark: most texts come as they are, again and again.
    """
    form = form_of(text) if len(text) <= TEXT_CHARS_MAX else None
    if form is None:
        return None
    alike = graph.forms.get((form.text, operation_name))
    if alike is None:
        graph.forms.put((form.text, operation_name), Alike())
        return None
    known = _known(alike, form) or _made(alike, form, text, graph, read)
    if known is None:
        return None
    lifting, document = known
    values = lifting.values(form)
    return None if values is None else replace(document, lifted=values)


def known_alike(text: str, operation_name: str | None, graph: Snapshot) -> Document | None:
    """As `document_alike`, where nothing is to be made or noted; None elsewhere."""
    form = form_of(text) if len(text) <= TEXT_CHARS_MAX else None
    alike = graph.forms.known((form.text, operation_name)) if form is not None else None
    known = _known(alike, form) if alike is not None and form is not None else None
    if known is None or form is None:
        return None
    lifting, document = known
    values = lifting.values(form)
    if values is None:
        return None
    graph.documents.note_miss()
    return replace(document, lifted=values)


def _known(alike: Alike, form: Form) -> tuple[LiftedText, Document] | None:
    return None if alike.slots is None else alike.documents.get(alike.slots.fixed(form))


def _made(
    alike: Alike, form: Form, text: str, graph: Snapshot, read: Read
) -> tuple[LiftedText, Document] | None:
    """Made once for each choice of fixed literals; which ones are fixed, the first of them decides."""
    if alike.slots is not None and alike.slots.fixed(form) in alike.documents:
        return None
    if len(alike.documents) >= DOCUMENTS_PER_FORM_MAX:
        return None
    made: tuple[LiftedText, Document] | None = None
    lifting: LiftedText | None = None
    try:
        lifting = lifted(text, parse_document(text), graph.api_schema)
        made = (lifting, read(lifting.text)) if lifting is not None else None
    except (GraphQLError, ClientError, RecursionError):
        made = None  # read as it stands, the text is told what is wrong with it
    slots = lifting or LiftedText("", (None,) * len(form.literals))
    if alike.slots is None:
        alike.slots = slots
    if alike.slots.slots != slots.slots:
        made = None
    alike.documents[alike.slots.fixed(form)] = made
    return made
