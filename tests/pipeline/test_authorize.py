"""What is taken out of an operation before planning: by coordinate, with one denial a path."""

from __future__ import annotations

import pytest

from authz.classes import DataClass, Role
from authz.identity.subject import ANONYMOUS, Subject
from router.operation.authorize import Rights, authorize
from router.operation.model import AllowedOperation, NormalSelection
from router.operation.normalize import normalize
from router.operation.parse import parse
from router.operation.requirements import UnknownDataClass, requirements_of
from router.operation.validate import validate
from schema.supergraph import read_supergraph
from tests.kit_edge.supergraphs import supergraph_of

SDL = """
interface Record { id: ID! title: String }
type Visit implements Record { id: ID! title: String }
type Diagnosis implements Record @authenticated {
  id: ID!
  title: String
  code: String @requiresScopes(scopes: [["clinic", "read"], ["admin"]])
}
union Found = Visit | Diagnosis
scalar Secret @policy(policies: [["keeper"]])
type Athlete {
  name: String @classified(as: "PUBLIC")
  load: Float @classified(as: "TRAINING") @authenticated
  clearance: String @classified(as: "CLINICAL", action: "clearance") @authenticated
  record: Clinical @classified(as: "CLINICAL") @authenticated
  coach(at: String, note: Note): Athlete @classified(as: "SOCIAL")
  token: Secret
}
input Note { text: String }
type Clinical { notes: String @classified(as: "CLINICAL") allergies: [String] @classified(as: "CLINICAL") }
type Query { athlete: Athlete found: [Found] record: Record records: [Record] }
type Mutation { rename(to: String!): Athlete @authenticated forget: Athlete }
"""
SUPERGRAPH = read_supergraph(supergraph_of(SDL))
REQUIREMENTS = requirements_of(SUPERGRAPH)
COACH = Subject("coach", roles=frozenset({Role.TRAINER}))


def never_clinical(subject: Subject, data_class: DataClass, action: str) -> bool:
    return data_class is not DataClass.CLINICAL or (subject is COACH and action == "clearance")


def allowed(text: str, subject: Subject = ANONYMOUS, rights: Rights = Rights()) -> AllowedOperation:  # noqa: B008
    normal = normalize(validate(parse(text), SUPERGRAPH.api_schema), SUPERGRAPH)
    return authorize(normal, subject, REQUIREMENTS, rights)


def denials(found: AllowedOperation) -> dict[str, tuple[str, str]]:
    paths = {".".join(one.path): (one.coordinate, one.code) for one in found.denials}
    assert len(paths) == len(found.denials), "one denial a path"
    return paths


def kept(selections: tuple[NormalSelection, ...]) -> list[object]:
    return [
        (getattr(one, "response_key", None) or f"... on {one.type_condition}", kept(one.selections))
        if one.selections
        else one.response_key
        for one in selections
    ]


CLASSES = Rights(can_ever=never_clinical)


def test_nothing_is_taken_from_an_operation_without_requirements() -> None:
    found = allowed("{ athlete { name } }")
    assert found.normal is found.original
    assert found.denials == ()


def test_a_field_that_is_never_visible_is_taken_out_under_every_alias() -> None:
    found = allowed("{ a: athlete { x: load y: load name } b: athlete { load } }")
    assert denials(found) == {
        "a.x": ("Athlete.load", "UNAUTHORIZED_FIELD_OR_TYPE"),
        "a.y": ("Athlete.load", "UNAUTHORIZED_FIELD_OR_TYPE"),
        "b.load": ("Athlete.load", "UNAUTHORIZED_FIELD_OR_TYPE"),
    }
    assert kept(found.normal.selections) == [("a", ["name"])]
    assert kept(found.original.selections) != kept(found.normal.selections)


def test_a_class_is_asked_with_its_action() -> None:
    found = allowed("{ athlete { clearance record { notes } } }", COACH, CLASSES)
    assert denials(found) == {"athlete.record": ("Athlete.record", "FORBIDDEN_FIELD")}
    assert kept(found.normal.selections) == [("athlete", ["clearance"])]


def test_a_class_and_a_missing_token_are_told_as_the_class() -> None:
    found = allowed("{ athlete { name clearance } }", ANONYMOUS, CLASSES)
    assert denials(found) == {"athlete.clearance": ("Athlete.clearance", "FORBIDDEN_FIELD")}


def test_a_fragment_hides_nothing() -> None:
    found = allowed(
        "query { athlete { ...F ... on Athlete { load } } } fragment F on Athlete { name l2: load }"
    )
    assert set(denials(found)) == {"athlete.l2", "athlete.load"}
    assert kept(found.normal.selections) == [("athlete", ["name"])]


def test_an_object_of_which_nothing_may_be_seen_is_not_asked_for() -> None:
    found = allowed("{ athlete { load } }")
    assert found.normal.selections == ()
    assert set(denials(found)) == {"athlete.load"}


def test_scopes_are_alternatives_of_conjunctions() -> None:
    text = "{ found { ... on Diagnosis { code } } }"
    one = Subject("a", scopes=frozenset({"clinic"}))
    both = Subject("a", scopes=frozenset({"clinic", "read"}))
    admin = Subject("a", scopes=frozenset({"admin"}))
    assert set(denials(allowed(text, one))) == {"found.code"}
    assert denials(allowed(text, both)) == {}
    assert denials(allowed(text, admin)) == {}


def test_a_field_of_an_interface_needs_what_every_object_needs() -> None:
    found = allowed("{ record { title ... on Visit { id } } }")
    assert denials(found) == {"record.title": ("Record.title", "UNAUTHORIZED_FIELD_OR_TYPE")}
    assert kept(found.normal.selections) == [("record", [("... on Visit", ["id"])])]
    assert denials(allowed("{ record { title } }", Subject("a"))) == {}


def test_a_denied_fragment_leaves_its_sibling() -> None:
    found = allowed("{ found { ... on Visit { title } ... on Diagnosis { title } } }")
    assert denials(found) == {"found.title": ("Diagnosis.title", "UNAUTHORIZED_FIELD_OR_TYPE")}
    assert kept(found.normal.selections) == [("found", [("... on Visit", ["title"])])]


def test_typename_on_an_abstract_type_stays() -> None:
    # the name of a member type is part of the schema that everybody may read; nothing of the object is told
    found = allowed("{ found { __typename ... on Diagnosis { title } } }")
    assert kept(found.normal.selections) == [("found", ["__typename"])]


def test_a_protected_return_type_protects_the_field() -> None:
    assert set(denials(allowed("{ athlete { name token } }"))) == {"athlete.token"}
    keeper = Rights(grants=lambda _, policy: policy == "keeper")
    assert denials(allowed("{ athlete { name token } }", ANONYMOUS, keeper)) == {}


def test_variables_left_unused_are_dropped() -> None:
    found = allowed(
        "query($a: String $t: String $yes: Boolean! $no: Boolean!) { athlete { name @include(if: $yes)"
        " coach(at: $a) { load } other: coach(note: {text: $t}) { name } load @skip(if: $no) } }"
    )
    assert [one.variable.name.value for one in found.normal.variables] == ["t", "yes"]


def test_introspection_is_untouched() -> None:
    found = allowed("{ __schema { types { name } } __typename athlete { load } }")
    assert kept(found.normal.selections) == [("__schema", [("types", ["name"])]), "__typename"]


def test_callers_with_different_rights_never_share_a_plan() -> None:
    text = "{ athlete { name load } }"
    anonymous, known = allowed(text), allowed(text, Subject("a"))
    assert anonymous.normal.signature != known.normal.signature
    assert allowed(text, Subject("b")).normal.signature == known.normal.signature


def test_a_mutation_that_may_not_run_is_not_planned() -> None:
    found = allowed('mutation { rename(to: "x") { name } forget { name } }')
    assert denials(found) == {"rename": ("Mutation.rename", "UNAUTHORIZED_FIELD_OR_TYPE")}
    assert kept(found.normal.selections) == [("forget", ["name"])]


def test_a_renamed_directive_protects_as_well() -> None:
    imported = 'import: [{name: "@authenticated", as: "@login"}]'
    sdl = supergraph_of(
        "type Query { a: String @login c: String }",
        links=f'@link(url: "https://specs.apollo.dev/federation/v2.9", {imported})',
    )
    sdl = sdl.replace("directive @policy", "directive @login on FIELD_DEFINITION\ndirective @policy")
    supergraph = read_supergraph(sdl)
    normal = normalize(validate(parse("{ a c }"), supergraph.api_schema), supergraph)
    found = authorize(normal, ANONYMOUS, requirements_of(supergraph))
    assert set(denials(found)) == {"a"}


def test_an_unknown_class_does_not_start() -> None:
    with pytest.raises(UnknownDataClass, match="unknown data class `NONSENSE`; known are PUBLIC"):
        requirements_of(read_supergraph(supergraph_of('type Query { a: Int @classified(as: "NONSENSE") }')))
