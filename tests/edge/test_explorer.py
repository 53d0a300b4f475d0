"""The explorer for browsers, and answers that are compressed."""

from __future__ import annotations

import re

import pytest

from router.config import RouterConfig
from tests.kit_edge.running import running

BROWSER = {
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "sec-fetch-site": "none",
}


async def test_a_browser_gets_the_explorer_and_every_file_it_names() -> None:
    async with running() as router:
        async with router.http.get(router.url, headers=BROWSER) as page:
            assert page.status == 200
            assert page.headers["content-type"].startswith("text/html")
            assert "default-src 'none'" in page.headers["content-security-policy"]
            html = await page.text()
        assert "http://" not in html.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in html
        named = re.findall(r'(?:src|href)="(/[^"]+)"', html)
        assert len(named) == 7
        for path in named:
            async with router.http.get(router.url.replace("/graphql", path)) as file:
                assert file.status == 200
                assert await file.read()


async def test_a_browser_that_asks_a_query_gets_its_answer() -> None:
    async with (
        running() as router,
        router.http.get(router.url, params={"query": "{ hello }"}, headers=BROWSER) as it,
    ):
        assert await it.json() == {"data": {"hello": "hello world"}}


async def test_the_explorer_can_be_off() -> None:
    async with running(RouterConfig(explorer=False)) as router:
        async with router.http.get(router.url, headers=BROWSER) as it:
            assert it.status == 400
        async with router.http.get(router.url.replace("/graphql", "/graphiql/explorer.js")) as it:
            assert it.status == 404


@pytest.mark.parametrize("path", ["..%2fhttp.py", "%2e%2e/app.py", "/etc/passwd"])
async def test_only_the_explorers_own_files_are_served(path) -> None:
    async with (
        running() as router,
        router.http.get(router.url.replace("/graphql", f"/graphiql/{path}")) as it,
    ):
        assert it.status == 404
