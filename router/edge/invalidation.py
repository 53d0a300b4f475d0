"""`/invalidation`: what of the subgraphs' answers is forgotten before its time, for those who hold the key.

The body is a list of `{"kind": "subgraph", "subgraph"}`, `{"kind": "type", "subgraph", "type"}` and
`{"kind": "cache_tag", "subgraphs": […], "cache_tag"}`.  Source: the invalidation endpoint of Apollo Router.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from router.edge.requests import chunks
from router.errors import ClientError
from router.execution.answer_cache.cached import AnswerCache
from router.execution.answer_cache.tags import named_tag, subgraph_tag, type_tag

BODY_BYTES_MAX: Final = 256_000
TAGS_MAX: Final = 10_000
KEY_BYTES_MIN: Final = 16


class NoInvalidation(ValueError):
    """The body does not say what to forget; the text names the part."""


Tell: TypeAlias = Callable[[Sequence[str]], Awaitable[None]]
"""Has others forget what is kept under these tags; raises where they cannot be told."""


def invalidation_route(cache: AnswerCache, *, key: str, others: Sequence[Tell] = ()) -> Route:
    """The route. 202 with the number of tags once this router's store and all `others` took them; 401 without
    the key, as `Authorization` or bearer token; 503 where somebody did not take them.

    Errors: ValueError for a key that could be guessed.
    """
    if len(key.encode()) < KEY_BYTES_MIN:
        raise ValueError(f"the key of `/invalidation` needs {KEY_BYTES_MIN} bytes or more")

    async def forget(request: Request) -> Response:
        if not _holds(request.headers.get("authorization", ""), key):
            return _refused(401, "the key is not right")
        try:
            pieces = [one async for one in chunks(request.receive, bytes_max=BODY_BYTES_MAX)]
            tags = tags_of(orjson.loads(b"".join(pieces)))
        except ClientError as refusal:
            return _refused(refusal.http_status, refusal.message)
        except (orjson.JSONDecodeError, NoInvalidation) as error:
            return _refused(400, str(error) if isinstance(error, NoInvalidation) else "the body is not JSON")
        try:
            await cache.forget(tags)
            for tell in others:
                await tell(tags)
        except Exception as error:
            return _refused(503, f"not everybody took it: {type(error).__name__}; try again")
        return JSONResponse({"count": len(tags)}, status_code=202)

    return Route("/invalidation", forget, methods=["POST"])


def tags_of(body: object) -> list[str]:
    """The tags that a body names.  Errors: NoInvalidation."""
    if not isinstance(body, list) or not body:
        raise NoInvalidation("the body must be a list of what to forget")
    tags: dict[str, None] = {}
    for index, one in enumerate(body):
        if not isinstance(one, Mapping):
            raise NoInvalidation(f"item {index} is not an object")
        for tag in _tags_of(index, one):
            tags[tag] = None
    if len(tags) > TAGS_MAX:
        raise NoInvalidation(f"a body names {TAGS_MAX} tags at most")
    return list(tags)


def _tags_of(index: int, one: Mapping[str, Any]) -> list[str]:
    match one:
        case {"kind": "subgraph", "subgraph": str(service)}:
            return [subgraph_tag(service)]
        case {"kind": "type", "subgraph": str(service), "type": str(name)}:
            return [type_tag(service, name)]
        case {"kind": "cache_tag", "subgraphs": list(services), "cache_tag": str(tag)} if services and all(
            isinstance(it, str) for it in services
        ):
            return [named_tag(service, tag) for service in services]
    raise NoInvalidation(
        f"item {index} needs `kind` (`subgraph`, `type` or `cache_tag`) and what belongs to it"
    )


def _holds(authorization: str, key: str) -> bool:
    scheme, _, token = authorization.partition(" ")
    given = token if scheme.lower() == "bearer" and token else authorization
    return hmac.compare_digest(given.strip().encode(), key.encode())


def _refused(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status_code=status)
