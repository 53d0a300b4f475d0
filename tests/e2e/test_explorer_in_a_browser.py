"""GraphiQL at `/graphql` in a real browser: it loads without a network and answers a query."""

from __future__ import annotations

from pathlib import Path

from tests.kit_platform.browser import HOW_TO_GET_IT, chromium, page
from tests.kit_platform.process import stadion_up
from tests.servers.absent import absent

RUN = "document.querySelector('.graphiql-execute-button')"
ANSWER = "document.querySelector('.result-window')?.innerText ?? ''"
EDITOR = "document.querySelector('.graphiql-query-editor .CodeMirror')?.CodeMirror"
LOADED = "performance.getEntriesByType('resource').map(each => each.name)"


def test_a_person_opens_the_page_and_runs_a_query(tmp_path: Path) -> None:
    if chromium() is None:
        absent(HOW_TO_GET_IT)
    with stadion_up(tmp_path / "data", "--no-demo") as up, page(tmp_path / "profile") as tab:
        tab.open(up.graphql)
        tab.wait_for(f"Boolean({RUN} && {EDITOR})")
        tab.evaluate(f"{EDITOR}.setValue('{{ me {{ id }} __typename }}')")
        tab.evaluate(f"{RUN}.click()")
        shown = tab.wait_for(f"({ANSWER}).includes('Query') && ({ANSWER})")
        assert '"me": null' in shown
        assert '"Query"' in shown
        own = (up.address, "data:", "blob:")
        assert [name for name in tab.evaluate(LOADED) if not name.startswith(own)] == []
