"""Clients register their operations; a change of the schema that breaks one of them is told before."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import every_command
from deploy.manifests import follow_manifest
from router.config import PersistedConfig
from router.edge.persisted import PersistedDocuments, Registered, read_manifest
from tests.kit_edge.supergraphs import supergraph_of

app = every_command()

SDL = "type Query { hello: String me: String }"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "supergraph.graphql").write_text(supergraph_of(SDL))
    return tmp_path


def publish(files: Path, manifest: object, client: str, *more: str) -> tuple[int, str]:
    (files / "manifest.json").write_text(json.dumps(manifest))
    outcome = CliRunner().invoke(
        every_command(),
        [
            "operations", "publish", str(files / "manifest.json"), "--client", client,
            "--registry", str(files / "registry.json"),
            "--supergraph", str(files / "supergraph.graphql"), *more,
        ],
    )  # fmt: skip
    return outcome.exit_code, outcome.stdout + outcome.stderr


def registry(files: Path) -> Registered:
    return read_manifest((files / "registry.json").read_bytes())


def apollo(**bodies: str) -> dict[str, object]:
    operations = [{"id": id_, "name": id_, "type": "query", "body": body} for id_, body in bodies.items()]
    return {"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations}


def test_manifests_of_several_clients_become_one(files: Path) -> None:
    assert publish(files, apollo(a="{ hello }", b="{ me }"), "web") == (
        0,
        "web: 2 operations, 2 new, 0 forgotten\n",
    )
    assert publish(files, {"a": "{ me }"}, "app")[0] == 0
    assert registry(files).for_client == {"web": {"a": "{ hello }", "b": "{ me }"}, "app": {"a": "{ me }"}}
    # installed apps go on sending what an earlier version registered
    assert publish(files, apollo(c="{ me hello }"), "web")[1] == "web: 3 operations, 1 new, 0 forgotten\n"
    assert (
        publish(files, apollo(c="{ me hello }"), "web", "--prune")[1]
        == "web: 1 operations, 0 new, 2 forgotten\n"
    )
    assert registry(files).for_client == {"web": {"c": "{ me hello }"}, "app": {"a": "{ me }"}}


def test_what_could_not_run_is_not_registered(files: Path) -> None:
    code, said = publish(files, {"a": "{ hello }", "b": "{ gone }", "c": "{"}, "web")
    assert code == 1
    assert "`b`: Cannot query field 'gone' on type 'Query'." in said
    assert "`c`: Syntax Error" in said
    assert not (files / "registry.json").exists()


def test_an_id_never_changes_its_text(files: Path) -> None:
    publish(files, {"a": "{ hello }"}, "web")
    code, said = publish(files, {"a": "{ me }"}, "web")
    assert (code, "the id `a` has another text already" in said) == (1, True)
    assert registry(files).for_client == {"web": {"a": "{ hello }"}}


@pytest.mark.parametrize(
    "manifest", [[], {"a": 1}, {"operations": [{"id": "a", "body": "x", "clientName": "y"}]}]
)
def test_a_manifest_that_cannot_be_used_is_one_line(files: Path, manifest: object) -> None:
    code, said = publish(files, manifest, "web")
    assert (code, len(said.strip().splitlines())) == (1, 1)


def test_a_field_in_use_does_not_disappear_unseen(files: Path) -> None:
    publish(files, {"greeting": "{ hello }", "self": "{ me }"}, "web")
    (files / "next.graphql").write_text(supergraph_of("type Query { me: String }"))
    schemas = [str(files / "supergraph.graphql"), str(files / "next.graphql")]
    outcome = CliRunner().invoke(
        every_command(), ["check", *schemas, "--operations", str(files / "registry.json")]
    )
    assert outcome.exit_code == 1
    assert "web: greeting" in outcome.stdout
    assert "1 of 2 operations would break" in outcome.stdout
    publish(files, {"self": "{ me }"}, "web", "--prune")
    outcome = CliRunner().invoke(
        every_command(), ["check", *schemas, "--operations", str(files / "registry.json")]
    )
    assert outcome.exit_code == 0


async def test_a_running_router_takes_a_changed_manifest_and_keeps_it_when_the_next_is_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "registry.json"
    path.write_text('{"a": "{ a }"}')
    taken: asyncio.Queue[Registered] = asyncio.Queue()

    class Documents(PersistedDocuments):
        def take(self, registered: Registered) -> None:
            super().take(registered)
            taken.put_nowait(registered)

    documents = Documents(PersistedConfig(), {"a": "{ a }"}, entries_max=1)
    following = asyncio.create_task(follow_manifest(path, documents, every_s=0.01))
    assert (await taken.get()).for_all == {"a": "{ a }"}
    await asyncio.sleep(0.05)
    path.write_text('{"b": "{ b }"}')
    assert (await taken.get()).for_all == {"b": "{ b }"}
    path.write_text("{")
    while "was not read anew" not in caplog.text:
        await asyncio.sleep(0.01)
    assert documents._registered.for_all == {"b": "{ b }"}
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
