"""File uploads: a multipart form → requests whose variables hold `Upload`s.

Bytes go to a spooled file as they arrive: memory stays small whatever the client sends.
Source: the GraphQL multipart request specification.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import Receive, Scope

from router.config import HttpLimits
from router.edge.requests import arriving, batch_of, chunks, decode, request_of, too_large
from router.errors import ClientError
from router.operation.upload import Upload, uploads_in
from router.pipeline import GraphQLRequest

FIELDS_MAX = 2


async def from_form(
    scope: Scope, receive: Receive, limits: HttpLimits, forwarded: Mapping[str, str]
) -> GraphQLRequest | list[GraphQLRequest]:
    """The request of a form with `operations`, `map` and files.

    Errors: REQUEST_TOO_LARGE past the upload limit, BAD_REQUEST naming what is wrong with the form.
    """
    headers = Headers(scope=scope)
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limits.upload_bytes_max:
        raise too_large(limits.upload_bytes_max)
    async with arriving(limits.upload_wait_ms_max):
        form = await _parsed(receive, headers, limits)
    try:
        operations, places = _texts(form)
        for key, paths in places.items():
            _put(operations, _upload(form, key), paths)
        if len(form.multi_items()) != len(places) + FIELDS_MAX:
            raise _bad("the form has files that `map` does not name, or names of files twice")
        if isinstance(operations, list):
            return batch_of(operations, limits, forwarded)
        return request_of(operations, forwarded)
    except BaseException:
        await form.close()
        raise


def uploads_of(requests: GraphQLRequest | list[GraphQLRequest]) -> Iterator[Upload]:
    """Every upload of these requests."""
    for request in [requests] if isinstance(requests, GraphQLRequest) else requests:
        for _, upload in uploads_in(request.variables):
            yield upload


async def _parsed(receive: Receive, headers: Headers, limits: HttpLimits) -> FormData:
    async def stream() -> AsyncGenerator[bytes, None]:
        async for chunk in chunks(receive, bytes_max=limits.upload_bytes_max):
            yield chunk

    parser = MultiPartParser(
        headers,
        stream(),
        max_files=limits.uploads_max,
        max_fields=FIELDS_MAX,
        max_part_size=limits.body_bytes_max,
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise _bad(f"the form cannot be read: {error.message[:1].lower()}{error.message[1:]}") from None
    except KeyError:
        raise _bad("the form has no boundary") from None


def _texts(form: FormData) -> tuple[Any, dict[str, list[str]]]:
    operations, places = form.get("operations"), form.get("map")
    if not isinstance(operations, str) or not isinstance(places, str):
        raise _bad("the form needs the texts `operations` and `map`")
    mapped = decode(places.encode())
    if not isinstance(mapped, dict) or not all(_is_paths(paths) for paths in mapped.values()):
        raise _bad("`map` must name for each file the list of its places")
    return decode(operations.encode()), mapped


def _is_paths(paths: object) -> bool:
    return isinstance(paths, list) and bool(paths) and all(isinstance(path, str) for path in paths)


def _upload(form: FormData, key: str) -> Upload:
    file = form.get(key)
    if not isinstance(file, UploadFile):
        raise _bad(f"the form has no file `{key}`")
    return Upload(
        file.file,
        filename=file.filename or "",
        content_type=file.content_type or "application/octet-stream",
        size=file.size or 0,
    )


def _put(operations: Any, upload: Upload, paths: list[str]) -> None:
    """Write the upload where the request has null, as the specification asks."""
    for path in paths:
        *steps, last = path.split(".")
        within: Any = operations
        try:
            for step in steps:
                within = within[_key(within, step)]
            taken = within[_key(within, last)]
        except (KeyError, IndexError, TypeError, ValueError):
            raise _bad(f"the request has no place `{path}`") from None
        if taken is not None or "variables" not in steps[:2]:
            raise _bad(f"`{path}` must be null in `variables`")
        within[_key(within, last)] = upload.for_another_place()


def _key(within: object, step: str) -> str | int:
    if isinstance(within, list):
        index = int(step)
        if index < 0:
            raise ValueError
        return index
    return step


def _bad(message: str) -> ClientError:
    return ClientError(message, code="BAD_REQUEST")
