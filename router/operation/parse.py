"""Text → `ParsedOperation`: the first stage. Limits come before the parser, so that a refusal is cheap."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from graphql import DocumentNode, GraphQLError, GraphQLSyntaxError
from graphql import parse as parse_document
from graphql.language.parser import MAX_NESTING_DEPTH

from router.errors import ClientError, DocumentOverLimit, ParsingFailed
from router.operation.model import ParsedOperation
from router.operation.quick_parse import quick_document

NESTING_MAX: Final = MAX_NESTING_DEPTH
"""The parser's own limit of open selections or values, below which no stage runs out of stack."""


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """What a document may be at most. `nesting_max` counts brackets of every kind that are open at once;
    more than NESTING_MAX counts as that. 0 switches a limit off, that of nesting as far as it goes.
    """

    document_bytes_max: int = 512 * 1024
    tokens_max: int = 15_000
    nesting_max: int = 200


DEFAULT_LIMITS: Final = ParseLimits()

# Strings and comments are matched first so that brackets inside them are not counted.
_BRACKETS: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"""|"(?:[^"\\\n]|\\.)*"|#[^\n\r]*|([\[({])|([\])}])', re.DOTALL
)


def parse(text: str, *, limits: ParseLimits = DEFAULT_LIMITS) -> ParsedOperation:
    """The document of `text`, or a typed refusal; nothing else is ever raised for any text.

    Errors: `DocumentOverLimit` past a limit, `ParsingFailed` where the text is not a document.
    """
    encoded = text.encode("utf-8", "surrogatepass")
    _check_size(text, len(encoded), limits)
    try:
        quick = quick_document(text, tokens_max=limits.tokens_max)
        document = located(text, limits) if quick is None else quick.document
    except GraphQLSyntaxError as error:
        raise _syntax_refusal(error, limits) from None
    except RecursionError:
        raise _too_deep(limits) from None
    return ParsedOperation(
        text=text,
        document_hash=hashlib.sha256(encoded).hexdigest(),
        document=document,
        fragments=None if quick is None else quick.fragments,
    )


def located(text: str, limits: ParseLimits = DEFAULT_LIMITS) -> DocumentNode:
    """The document with the place of each part, for errors to name.  Errors: GraphQLSyntaxError."""
    return parse_document(text, max_tokens=limits.tokens_max or None, allow_empty_selection_sets=False)


def locations_of(error: GraphQLError) -> list[dict[str, int]]:
    """The error's places in the client's document, 1-based."""
    return [{"line": at.line, "column": at.column} for at in error.locations or ()]


def _check_size(text: str, bytes_count: int, limits: ParseLimits) -> None:
    if bytes_count > limits.document_bytes_max > 0:
        raise DocumentOverLimit(
            f"the document has {bytes_count} bytes, at most {limits.document_bytes_max} are allowed",
            code="MAX_BYTES_LIMIT",
        )
    levels_max = _levels_max(limits)
    if _nesting(text, levels_max) > levels_max:
        raise _too_deep(limits)


def _levels_max(limits: ParseLimits) -> int:
    return min(limits.nesting_max or NESTING_MAX, NESTING_MAX)


def _nesting(text: str, enough: int) -> int:
    """How many brackets are open at once at the deepest place; stops counting past `enough`."""
    if text.count("{") + text.count("[") + text.count("(") <= enough:
        return 0
    depth = deepest = 0
    for match in _BRACKETS.finditer(text):
        opening, closing = match.groups()
        if opening:
            depth += 1
            if depth > deepest:
                deepest = depth
                if deepest > enough:
                    break
        elif closing:
            depth -= 1
    return deepest


def _too_deep(limits: ParseLimits) -> DocumentOverLimit:
    return DocumentOverLimit(
        f"the document nests deeper than {_levels_max(limits)} levels", code="MAX_RECURSION_LIMIT"
    )


def _syntax_refusal(error: GraphQLSyntaxError, limits: ParseLimits) -> ClientError:
    """graphql-core words token limit, nesting and syntax alike as syntax errors; we tell them apart."""
    if "tokens" in error.message and "Parsing aborted" in error.message:
        return DocumentOverLimit(
            f"the document has more than {limits.tokens_max} tokens", code="MAX_TOKENS_LIMIT"
        )
    if "nested too deeply" in error.message:
        return _too_deep(limits)
    return ParsingFailed(error.message, locations=locations_of(error))
