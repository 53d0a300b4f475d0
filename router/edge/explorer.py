"""The explorer: GraphiQL for browsers that open `/graphql`, served from our own files, without a network."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'"
)


@cache
def explorer_page() -> Response:
    """The page. Its policy lets it load from this server only."""
    html = files("router.edge").joinpath("graphiql/index.html").read_text(encoding="utf-8")
    return HTMLResponse(html, headers={"content-security-policy": PAGE_POLICY, "vary": "accept"})


def explorer_files() -> Mount:
    """The page's scripts and styles."""
    folder = str(files("router.edge").joinpath("graphiql"))
    return Mount("/graphiql", StaticFiles(directory=folder), name="graphiql")
