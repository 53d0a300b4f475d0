"""Where a demand of Federation's directives may stand, and which selections it reaches: one table."""

from __future__ import annotations

import pytest

from authz.identity.subject import ANONYMOUS, Subject
from router.operation.authorize import Rights, authorize
from router.operation.normalize import normalize
from router.operation.parse import parse
from router.operation.requirements import requirements_of
from router.operation.validate import validate
from schema.composition import compose
from schema.sources import SubgraphSource
from schema.supergraph import read_supergraph
from tests.kit_edge.supergraphs import supergraph_of

SDL = """
interface Node { id: ID! }
interface Record implements Node { id: ID! title: String by: Person }
type Visit implements Node & Record { id: ID! title: String by: Person place: String }
type Chart implements Node & Record {
  id: ID!
  title: String @requiresScopes(scopes: [["charts"]])
  by: Person @policy(policies: [["sign"]])
}
type Sealed implements Node @authenticated { id: ID! text: String }
interface Guarded @authenticated { key: String }
type Safe implements Guarded { key: String }
union Found = Visit | Chart | Sealed
enum Mood @authenticated { GOOD BAD }
scalar Secret @requiresScopes(scopes: [["secrets"]])
type Person {
  name: String
  born: String @authenticated
  mood: Mood
  moods: [[Mood!]!]
  code(of: Secret): Secret
  codes: [Secret!]!
  sealed: Sealed
  boss: Person
  age: Int @join__field(graph: ONLY, requires: "born")
  zodiac: String @join__field(graph: ONLY, requires: "age")
  team: String @join__field(graph: ONLY, requires: "boss { code }")
  heirs: String @join__field(graph: ONLY, requires: "last { ... on Chart { title } }")
  hand: String @join__field(graph: ONLY, requires: "last { by { name } }")
  loop: String @join__field(graph: ONLY, requires: "pool born")
  pool: String @join__field(graph: ONLY, requires: "loop")
  last: Record
  class: String @join__field(graph: ONLY, requires: "illness")
  illness: String @classified(as: "CLINICAL")
}
type Query {
  me: Person record: Record records: [Record!] node: Node found: [Found] guarded: Guarded safe: Safe
  shut: String @authenticated @requiresScopes(scopes: [["a"]]) @policy(policies: [["p"], ["q", "r"]])
}
type Mutation {
  mood(to: Mood): Mood
  write: Record
  seal: Sealed
  open: String
}
type Subscription { moods: Mood names: String }
"""
SUPERGRAPH = read_supergraph(supergraph_of(SDL))
REQUIREMENTS = requirements_of(SUPERGRAPH)
KNOWN = Subject("anna")
CHARTS = Subject("c", scopes=frozenset({"charts"}))
SECRETS = Subject("s", scopes=frozenset({"secrets"}))
SIGNS = Rights(grants=lambda _, name: name == "sign")


def denied(text: str, subject: Subject = ANONYMOUS, rights: Rights = Rights()) -> set[str]:  # noqa: B008
    normal = normalize(validate(parse(text), SUPERGRAPH.api_schema), SUPERGRAPH)
    found = authorize(normal, subject, REQUIREMENTS, rights).denials
    assert len({one.path for one in found}) == len(found), "one denial a path"
    assert all(one.code == "UNAUTHORIZED_FIELD_OR_TYPE" for one in found)
    return {".".join(one.path) for one in found}


@pytest.mark.parametrize(
    ("text", "subject", "paths"),
    [
        # interfaces: a field is what any of its objects makes of it
        ("{ record { id title } }", KNOWN, {"record.title"}),
        ("{ record { id title } }", CHARTS, set()),
        ("{ record { by { name } } }", CHARTS, {"record.by"}),
        ("{ node { id } }", ANONYMOUS, {"node.id"}),
        ("{ node { id } }", KNOWN, set()),
        ("{ guarded { key } }", ANONYMOUS, {"guarded"}),
        ("{ guarded { __typename } }", ANONYMOUS, {"guarded"}),
        ("{ guarded { __typename } }", KNOWN, set()),
        # fragments on interfaces with a protected implementation, however they are nested
        ("{ node { ... on Record { title } } }", KNOWN, {"node.title"}),
        ("{ node { ... on Visit { title place } } }", ANONYMOUS, set()),
        ("{ node { ... on Visit { title } ... on Chart { t: title } } }", KNOWN, {"node.t"}),
        ("{ node { ... on Record { ... on Visit { title } } } }", KNOWN, set()),
        ("{ node { ... on Record { ... on Chart { title } } } }", KNOWN, {"node.title"}),
        ("{ records { ...R } } fragment R on Record { ... { title } }", KNOWN, {"records.title"}),
        ("{ record { ... on Node { id } } }", ANONYMOUS, set()),  # no record is sealed
        ("{ node { ... on Sealed { text } } }", ANONYMOUS, {"node.text"}),
        # unions
        ("{ found { ... on Visit { title } } }", ANONYMOUS, set()),
        ("{ found { ... on Sealed { text } } }", ANONYMOUS, {"found.text"}),
        ("{ found { ... on Sealed { text } } }", KNOWN, set()),
        ("{ found { ... on Record { by { name } } } }", KNOWN, {"found.by"}),
        ("{ found { ... on Node { id } } }", ANONYMOUS, {"found.id"}),
        # enums, scalars and objects that carry the demand, through lists and beside arguments
        ("{ me { mood moods } }", ANONYMOUS, {"me.mood", "me.moods"}),
        ("{ me { mood moods } }", KNOWN, set()),
        ("{ me { code codes other: code } }", KNOWN, {"me.code", "me.codes", "me.other"}),
        ("{ me { code codes } }", SECRETS, set()),
        ("{ me { sealed { id } } }", ANONYMOUS, {"me.sealed"}),
        # @requires: what a field is computed from is not told by way of the result
        ("{ me { name age } }", ANONYMOUS, {"me.age"}),
        ("{ me { zodiac } }", ANONYMOUS, {"me.zodiac"}),
        ("{ me { age zodiac } }", KNOWN, set()),
        ("{ me { team } }", KNOWN, {"me.team"}),
        ("{ me { team } }", SECRETS, set()),
        ("{ me { heirs } }", KNOWN, {"me.heirs"}),
        ("{ me { heirs } }", CHARTS, set()),
        ("{ me { hand } }", CHARTS, {"me.hand"}),
        ("{ me { loop pool } }", ANONYMOUS, {"me.loop", "me.pool"}),
        ("{ me { loop pool } }", KNOWN, set()),
        ("{ me { class } }", ANONYMOUS, set()),  # a class is decided where the row is
        # mutations and subscriptions
        ("mutation { mood(to: GOOD) open }", ANONYMOUS, {"mood"}),
        ("mutation { write { title } open }", KNOWN, {"write.title"}),
        ("mutation { seal { id } s: seal { text } }", ANONYMOUS, {"seal", "s"}),
        ("subscription { moods }", ANONYMOUS, {"moods"}),
        ("subscription { names }", ANONYMOUS, set()),
    ],
)
def test_a_demand_reaches_every_selection_that_it_stands_over(text, subject, paths) -> None:
    assert denied(text, subject) == paths


@pytest.mark.parametrize(
    ("policies", "paths"),
    [
        (set(), {"shut"}),
        ({"p"}, set()),
        ({"q"}, {"shut"}),
        ({"q", "r"}, set()),
    ],
)
def test_all_of_one_row_of_policies_are_held(policies, paths) -> None:
    rights = Rights(grants=lambda _, name: name in policies)
    assert denied("{ shut }", Subject("a", scopes=frozenset({"a"})), rights) == paths
    assert denied("{ shut }", Subject("a"), rights) == {"shut"}
    assert denied("{ shut }", ANONYMOUS, rights) == {"shut"}


def test_a_policy_opens_an_interfaces_field_for_all_its_objects() -> None:
    assert denied("{ record { by { name } } }", KNOWN, SIGNS) == set()
    assert denied("{ me { hand } }", KNOWN, SIGNS) == set()


def test_a_value_from_above_is_not_told_by_the_field_that_takes_it() -> None:
    head = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.8", import: %s)\n'
    one = (
        head % '["@key", "@context", "@fromContext", "@authenticated"]'
        + """
    type Query { club: Club }
    type Club @key(fields: "id") @context(name: "club") {
      id: ID! secret: String @authenticated name: String member: Member
    }
    type Member @key(fields: "id") {
      id: ID!
      greeting(with: String @fromContext(field: "$club { secret }")): String
      welcome(to: String @fromContext(field: "$club { name }")): String
    }
    """
    )
    other = head % '["@key"]' + 'type Member @key(fields: "id") { id: ID! age: Int }'
    composed = compose(
        [SubgraphSource("one", "http://one.test", one), SubgraphSource("two", "http://two.test", other)]
    )
    assert composed.supergraph_sdl is not None, composed.problems
    supergraph = read_supergraph(composed.supergraph_sdl)
    normal = normalize(
        validate(parse("{ club { member { greeting welcome } } }"), supergraph.api_schema), supergraph
    )
    for caller, paths in ((ANONYMOUS, {("club", "member", "greeting")}), (KNOWN, set())):
        found = authorize(normal, caller, requirements_of(supergraph)).denials
        assert {each.path for each in found} == paths
