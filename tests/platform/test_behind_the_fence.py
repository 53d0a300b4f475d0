"""The whole platform on PostgreSQL, where the database itself fences every domain: each caller is answered as
on SQLite, where there is no fence, and each store has a role of its database alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from authz.classes import Role
from authz.identity.subject import ANONYMOUS, RoleLimit, Subject
from deploy.demo.people import PEOPLE
from deploy.settings import Settings
from tests.kit_platform.questions import SIX_ANSWERS
from tests.kit_subgraphs.stores import postgresql_server
from tests.platform.conftest import Seeded, seeded_in_thread, subject_of

PEOPLE_ANSWERS = """
query People($id: ID!) {
  me { handle email sessions { acr } roles { role } secondFactor }
  user(id: $id) {
    handle email status roles { role } organisations { name } devices { name }
    profile(purpose: HOPERAT) { displayName birthDate ageBand }
    settings { weekStartsOn } guardians { state } wards { state }
    coaches { state scopes coachName athlete { handle } }
    athletes { totalCount nodes { athleteName coach { handle } } }
  }
}
"""


@pytest.fixture(scope="module")
def fenced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    """The demo with every row on a server."""
    with postgresql_server() as url:
        folder = tmp_path_factory.mktemp("fenced")
        settings = Settings(data_folder=folder, relational_url=SecretStr(url), vault_url=SecretStr(url))
        with seeded_in_thread(folder, settings) as running:
            yield running


@pytest.mark.parametrize("query", [SIX_ANSWERS, PEOPLE_ANSWERS], ids=["athlete", "people"])
@pytest.mark.parametrize("handle", [*(person.handle for person in PEOPLE), "nobody"])
def test_each_is_answered_as_without_the_fence(
    seeded: Seeded, fenced: Seeded, handle: str, query: str
) -> None:
    subject = ANONYMOUS if handle == "nobody" else subject_of(handle)
    for about in ("demo-athlete", "demo-coach", "not-there"):
        answers = [each.ask(query, subject, id=about) for each in (seeded, fenced)]
        assert answers[0] == answers[1], about


def test_every_store_is_fenced_by_the_role_of_its_database(fenced: Seeded) -> None:
    def fences(connection: sa.Connection) -> tuple[str, bool]:
        role = sa.text("SELECT 'stadion_fenced_' || substr(md5(current_database()), 1, 12)")
        name = str(connection.execute(role).scalar())
        policies = sa.text("SELECT count(*) FROM pg_policies WHERE schemaname = current_schema()")
        has_rights = sa.text("SELECT has_schema_privilege(:role, current_schema(), 'USAGE')")
        laid = connection.execute(policies).scalar()
        return name, bool(laid) and bool(connection.execute(has_rights, {"role": name}).scalar())

    rows = {name: store for name, store in fenced.platform.stores.rows().items() if name != "facts"}
    found = {name: fenced.run(store.read(fences)) for name, store in rows.items()}
    assert len({role for role, _ in found.values()}) == 1
    assert {name: is_fenced for name, (_, is_fenced) in found.items()} == dict.fromkeys(rows, True)


def test_an_administrator_lists_accounts_and_a_limited_one_does_not(fenced: Seeded) -> None:
    query = "{ users { totalCount nodes { handle status } } }"
    ada = subject_of("ada")
    told = fenced.ask(query, ada)["data"]["users"]
    assert told["totalCount"] == len(PEOPLE)
    assert {node["status"] for node in told["nodes"]} == {"ACTIVE"}
    limited = Subject(ada.id, ada.roles, ada.session_id, acr=2, limits=(RoleLimit(Role.ADMINISTRATOR),))
    answer = fenced.ask(query, limited)
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]
