"""Requests with files, as multipart forms.  Source: the GraphQL multipart request specification."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from router.operation.upload import Upload


async def multipart_of(
    payload: Mapping[str, Any], uploads: Sequence[tuple[str, Upload]]
) -> tuple[bytes, str]:
    """The form's bytes and content type. `uploads` are by path in the form's spelling (`variables.file`).

    The whole form is built before it is sent, because the call's signature covers it; the edge limits
    how large files are.
    """
    boundary = secrets.token_hex(16)
    operations = {**payload, "variables": _without_files(payload.get("variables", {}))}
    places = {str(index): [path] for index, (path, _) in enumerate(uploads)}
    parts = [
        _part(boundary, 'name="operations"', "application/json", orjson.dumps(operations)),
        _part(boundary, 'name="map"', "application/json", orjson.dumps(places)),
    ]
    for index, (_, upload) in enumerate(uploads):
        disposition = f'name="{index}"; filename="{_quoted(upload.filename)}"'
        await upload.seek(0)
        parts.append(_part(boundary, disposition, _plain(upload.content_type), await upload.read()))
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


def _part(boundary: str, disposition: str, content_type: str, content: bytes) -> bytes:
    head = (
        f"--{boundary}\r\ncontent-disposition: form-data; {disposition}\r\n"
        f"content-type: {content_type}\r\n\r\n"
    )
    return b"".join((head.encode(), content, b"\r\n"))


def _without_files(value: Any) -> Any:
    """A copy with null where a file is."""
    if isinstance(value, Upload):
        return None
    if isinstance(value, Mapping):
        return {key: _without_files(it) for key, it in value.items()}
    return [_without_files(it) for it in value] if isinstance(value, list) else value


def _quoted(name: str) -> str:
    """INVARIANT: a client's file name cannot end its header line or its quotes."""
    return "".join("_" if it in '"\\' or ord(it) < 32 else it for it in name)


def _plain(content_type: str) -> str:
    return content_type if content_type.isprintable() else "application/octet-stream"
