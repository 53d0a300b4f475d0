"""A browser's own EventSource and fetch against the router."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit_edge.running import running
from tests.kit_platform.browser import HOW_TO_GET_IT, Page, chromium, page
from tests.servers.absent import absent

pytestmark = pytest.mark.timeout(120)
EVENTS = """
new Promise((done, failed) => {
  const seen = [];
  const source = new EventSource('/graphql?query=' + encodeURIComponent('subscription { count(to: 3) }'));
  source.addEventListener('next', (event) => seen.push(JSON.parse(event.data)));
  source.addEventListener('complete', () => { source.close(); done(JSON.stringify(seen)); });
  source.onerror = () => { source.close(); failed(new Error('the stream failed')); };
})
"""
REFUSED = """
fetch('%s', {method: 'POST', headers: {'content-type': 'text/plain'}, mode: 'no-cors',
  body: JSON.stringify({query: 'mutation { bump }'})}).then(() => 'sent', () => 'refused')
"""


def asked_in_a_page(profile: Path, url: str) -> str:
    with page(profile) as tab:
        tab.open(url)
        tab.wait_for("document.readyState === 'complete' && location.protocol.startsWith('http')")
        return tab.evaluate(EVENTS)


def attacked_from_a_page(profile: Path, own: str, victim: str) -> None:
    with page(profile) as tab:
        tab.open(own)
        tab.wait_for("document.readyState === 'complete' && location.protocol.startsWith('http')")
        send(tab, victim)


def send(tab: Page, victim: str) -> None:
    """What a page of another site can make a browser send unasked: a simple request."""
    assert tab.evaluate(REFUSED % victim) in {"sent", "refused"}


async def test_an_event_source_gets_every_event_and_the_end(tmp_path: Path) -> None:
    if chromium() is None:
        absent(HOW_TO_GET_IT)
    async with running() as router:
        told = await asyncio.to_thread(asked_in_a_page, tmp_path / "profile", router.url)
    assert told == '[{"data":{"count":1}},{"data":{"count":2}},{"data":{"count":3}}]'


async def test_a_page_of_another_site_changes_nothing(tmp_path: Path) -> None:
    if chromium() is None:
        absent(HOW_TO_GET_IT)
    async with running() as evil, running() as victim:
        await asyncio.to_thread(attacked_from_a_page, tmp_path / "profile", evil.url, victim.url)
        assert victim.hall.bumps == 0
