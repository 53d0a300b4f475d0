"""Which documents a subgraph remembers: none whose text holds what a client wrote into a mutation.

Variables are not part of a document. The router gives queries' literals as variables, and leaves those of
mutations where they are: a password in one must not stay in memory for as long as its text comes again.
"""

from __future__ import annotations

from typing import Any, Final

from graphql import (
    BREAK,
    DocumentNode,
    OperationDefinitionNode,
    OperationType,
    Visitor,
    visit,
)

DOCUMENTS_CACHED_MAX: Final = 512
DOCUMENT_CHARACTERS_CACHED_MAX: Final = 65_536
"""Longer texts are read anew each time: half a thousand of them are no small memory."""


def may_be_kept(text: str, document: DocumentNode | None) -> bool:
    """Whether the text may be remembered with what was made of it; `document` None: it is not valid."""
    if len(text) > DOCUMENT_CHARACTERS_CACHED_MAX:
        return False
    if document is None:
        # What it means is not known, so any text in it may be a secret.
        return '"' not in text
    changes = any(
        isinstance(each, OperationDefinitionNode) and each.operation is OperationType.MUTATION
        for each in document.definitions
    )
    return not (changes and _has_literals(document))


class _Literals(Visitor):
    """Looks for texts and numbers; fragments of a mutation count as the mutation."""

    found = False

    def enter_string_value(self, *_: Any) -> Any:
        self.found = True
        return BREAK

    enter_int_value = enter_string_value
    enter_float_value = enter_string_value


def _has_literals(document: DocumentNode) -> bool:
    literals = _Literals()
    visit(document, literals)
    return literals.found
