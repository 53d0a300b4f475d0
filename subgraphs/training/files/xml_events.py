"""XML as events, streamed, with everything refused that no device writes: DTD, entities, deep nesting.

lxml calls a target at each tag, so that no tree is ever built; what was read before damage stays read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from lxml import etree

from subgraphs.training.files.imported import FileLimits
from subgraphs.training.files.problems import FileWarning, UnsafeFile, WarningCode

CHUNK_BYTES = 64 * 1024


class Elements(Protocol):
    """What a format does with elements. Names come without namespace; `text` is all text directly inside."""

    def begin(self, name: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        ...

    def end(self, name: str, text: str) -> None:
        """An element ends."""
        ...


class EnoughRead(Exception):
    """Raised by `Elements` to stop at a limit."""


class _Target:
    """lxml's parser target; the one place where its callbacks meet ours."""

    def __init__(self, elements: Elements, limits: FileLimits) -> None:
        self._elements = elements
        self._limits = limits
        self._texts: list[list[str]] = []
        self._characters: list[int] = []

    def doctype(self, name: str | None, public_id: str | None, system_id: str | None) -> None:
        """Called before the first declaration of a DTD is read."""
        raise UnsafeFile("the file has a document type definition: remove it and try again")

    def start(self, tag: str | bytes, attrib: Mapping[Any, Any], /) -> None:
        """An element begins."""
        if len(self._texts) >= self._limits.depth_max:
            raise UnsafeFile(f"elements are nested deeper than {self._limits.depth_max}")
        self._texts.append([])
        self._characters.append(0)
        self._elements.begin(_local(tag), attrib)

    def data(self, data: str | bytes, /) -> None:
        """Text inside the innermost open element, perhaps in pieces."""
        text = data if isinstance(data, str) else data.decode()
        if self._texts and self._characters[-1] < self._limits.text_characters_max:
            self._texts[-1].append(text[: self._limits.text_characters_max])
            self._characters[-1] += len(text)

    def end(self, tag: str | bytes, /) -> None:
        """An element ends."""
        text = "".join(self._texts.pop())
        self._characters.pop()
        self._elements.end(_local(tag), text.strip())

    def comment(self, text: str | bytes, /) -> None:
        """Comments say nothing to us."""

    def close(self) -> None:
        """Nothing is built, so nothing is given."""


def _local(tag: str | bytes) -> str:
    name = tag if isinstance(tag, str) else tag.decode()
    return name.rpartition("}")[2]


def read_elements(content: bytes, elements: Elements, limits: FileLimits) -> list[FileWarning]:
    """Feed `content` to `elements`; the warnings say where reading stopped, if it did.

    Errors: UnsafeFile for a DTD, an entity, or nesting past `limits.depth_max`.
    """
    parser = etree.XMLParser(
        target=_Target(elements, limits),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=False,
    )
    try:
        for start in range(0, len(content), CHUNK_BYTES):
            parser.feed(content[start : start + CHUNK_BYTES])
    except EnoughRead:
        return []
    except etree.XMLSyntaxError as error:
        message = "the XML is damaged here: the rest was not read"
        return [FileWarning(WarningCode.DAMAGED, message, f"line {error.lineno}")]
    try:
        parser.close()
    except EnoughRead:
        return []
    except etree.XMLSyntaxError as error:
        # Only what is missing at the end comes to light here.
        return [FileWarning(WarningCode.TRUNCATED, "the file ends in the middle", f"line {error.lineno}")]
    return []
