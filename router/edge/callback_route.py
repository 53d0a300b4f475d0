"""`/callback/…`: where subgraphs post the events of subscriptions by HTTP callback."""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from router.edge.requests import chunks
from router.errors import ClientError
from router.execution.transports.callbacks import PROTOCOL, Callbacks


def callback_route(callbacks: Callbacks, *, event_bytes_max: int) -> Route:
    """The route; each post is answered with a status and nothing else."""

    async def take(request: Request) -> Response:
        try:
            pieces = [one async for one in chunks(request.receive, bytes_max=event_bytes_max)]
            message = orjson.loads(b"".join(pieces))
        except ClientError as refusal:
            return Response(status_code=refusal.http_status)
        except orjson.JSONDecodeError:
            return Response(status_code=400)
        reply = await callbacks.answer(request.path_params["subscription_id"], message)
        return Response(status_code=reply.status, headers={"subscription-protocol": PROTOCOL})

    return Route("/callback/{subscription_id}", take, methods=["POST"])
