"""Plain documents read in one pass; the rest, and what is wrong with any, is graphql-core's.

`quick_document` gives the tree that graphql-core's parser gives, without locations but those of variables'
definitions, or None: comments, escapes in strings, block strings, several operations and whatever is no
document are left to that parser (`tests/operation/test_quick_parse.py`). Parts that are equal in different
texts are one node.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from graphql import (
    DefinitionNode,
    DocumentNode,
    FragmentDefinitionNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from router.operation.known_sets import Fragments, KnownParts
from router.operation.token_reader import IGNORED, TOKEN, Reader, Unsure, make_room

_BRACE: Final = re.compile(r"[{}]")
_OUTSIDE: Final = -1
_known = KnownParts()


@dataclass(frozen=True, slots=True)
class QuickDocument:
    """A document's tree; `fragments` where its parts may be known from other texts."""

    document: DocumentNode
    fragments: Fragments | None = None


def quick_document(text: str, *, tokens_max: int) -> QuickDocument | None:
    """The tree of a plain document of so many tokens at most (0: of any number); None says nothing."""
    if "#" in text:
        return None
    body = text.rstrip(IGNORED)
    make_room()
    return (_in_parts(body, tokens_max) if _has_parts(body) else None) or _whole(body, tokens_max)


def _whole(body: str, tokens_max: int) -> QuickDocument | None:
    tokens = TOKEN.findall(body)
    if not tokens or tokens[-1] != "}" or len(tokens) > tokens_max > 0:
        return None
    try:
        definitions = Reader(tokens, body).definitions()
    except (Unsure, IndexError):
        return None
    if sum(isinstance(it, OperationDefinitionNode) for it in definitions) != 1:
        return None
    return QuickDocument(DocumentNode(definitions=definitions))


def _has_parts(body: str) -> bool:
    """Whether every brace is a token of its own, and every name is one for Python too."""
    return '"' not in body and body.isascii()


def _in_parts(body: str, tokens_max: int) -> QuickDocument | None:
    """The document, of whose parts equal ones are read once; None where braces alone do not tell parts."""
    braces = _braces(body)
    if braces is None:
        return None
    parts = _Parts(body, braces)
    definitions: list[DefinitionNode] = []
    at = 0
    try:
        for opening in braces.inside[_OUTSIDE]:
            definitions.append(parts.definition(at, opening))
            at = braces.ends[opening] + 1
    except (Unsure, IndexError):
        return None
    fragments = [it for it in definitions if isinstance(it, FragmentDefinitionNode)]
    if at != len(body) or len(definitions) != len(fragments) + 1 or parts.tokens_count > tokens_max > 0:
        return None
    return QuickDocument(DocumentNode(definitions=tuple(definitions)), _known.fragments_of(fragments))


@dataclass(slots=True)
class _Braces:
    """Where each brace ends, and which others begin directly inside."""

    ends: dict[int, int]
    inside: dict[int, list[int]]


def _braces(body: str) -> _Braces | None:
    found = _Braces({}, {_OUTSIDE: []})
    open_now = [_OUTSIDE]
    for match in _BRACE.finditer(body):
        at = match.start()
        if match[0] == "{":
            found.inside[open_now[-1]].append(at)
            found.inside[at] = []
            open_now.append(at)
        elif len(open_now) == 1:
            return None
        else:
            found.ends[open_now.pop()] = at
    return found if len(open_now) == 1 else None


@dataclass(slots=True)
class _Parts:
    """One document being read by its parts.  Errors of its methods: Unsure, IndexError."""

    body: str
    braces: _Braces
    tokens_count: int = 0

    def definition(self, begin: int, opening: int) -> DefinitionNode:
        """What stands from `begin` to the end of the brace."""
        end = self.braces.ends[opening] + 1
        head = self.body[begin:opening].strip(IGNORED)
        is_fragment = head.startswith("fragment")
        text = f"{head}{self.body[opening:end]}" if is_fragment else ""
        known = _known.fragments.get(text)
        if known is not None:
            self.tokens_count += known[1]
            return known[0]
        before, tokens = self.tokens_count, TOKEN.findall(head) if head else []
        _check_closed(tokens)
        self.tokens_count += len(tokens)
        selections = self.selections(opening, keep=is_fragment)
        tokens.append("{")
        reader = Reader(tokens, self.body, {len(tokens) - 1: selections}, (begin, opening + 1))
        (definition,) = reader.definitions()
        if isinstance(definition, FragmentDefinitionNode):
            _known.add_fragment(text, definition, self.tokens_count - before)
        return definition

    def selections(self, opening: int, *, keep: bool = True) -> SelectionSetNode:
        """The selection set that begins there; read where it was not before."""
        end = self.braces.ends[opening] + 1
        text = self.body[opening:end]
        known = _known.sets.get(text)
        if known is not None:
            self.tokens_count += known[1]
            return known[0]
        before, at = self.tokens_count, opening
        tokens: list[str] = []
        inner: dict[int, SelectionSetNode] = {}
        for below in self.braces.inside[opening]:
            tokens += TOKEN.findall(self.body[at:below].rstrip(IGNORED))
            _check_closed(tokens)
            inner[len(tokens)] = self.selections(below)
            tokens.append("{")
            self.tokens_count -= 1  # counted with what is inside
            at = self.braces.ends[below] + 1
        tokens += TOKEN.findall(self.body[at:end])
        self.tokens_count += len(tokens)
        node = Reader(tokens, self.body, inner).only_selections()
        if keep:
            _known.add_set(text, node, self.tokens_count - before)
        return node


def _check_closed(tokens: list[str]) -> None:
    """Errors: Unsure where what follows stands in an argument: no selection set, but an object."""
    if tokens.count("(") != tokens.count(")"):
        raise Unsure
