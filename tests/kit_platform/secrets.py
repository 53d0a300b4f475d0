"""What of hers nobody without the right may notice: its states, and how others may try to learn of it."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

from graphql import get_named_type, is_leaf_type
from joserfc import jws
from joserfc.jwk import ECKey

from authz.classes import Role
from authz.identity.device_proof import PROOF_TYPE, proof_claims
from authz.identity.subject import ANONYMOUS, Subject
from router.errors import ClientError
from router.pipeline import GraphQLRequest
from subgraphs.accounts.oauth import authorization_store
from subgraphs.accounts.oauth.model import digest
from tests.kit_platform.work import Work, counted
from tests.kit_subgraphs.programs import CALLBACK, CHALLENGE
from tests.platform.conftest import Seeded, subject_of

MIRA = "demo-athlete"
EVERYBODY = ("okafor", "noor", "ada", "tomas", "nobody")
State: TypeAlias = Callable[["World"], None]
OF_HER = 'query { user(id: "demo-athlete") { %s } }'


class World:
    """The platform whose secrets change, and what the changes have made."""

    def __init__(self, seeded: Seeded) -> None:
        self.seeded = seeded
        self.made: dict[str, str] = {}

    def do(self, query: str, *, by: str = "mira", **variables: Any) -> dict[str, Any]:
        """A mutation by the one whose secret it is, or by an administrator for her."""
        answer = self.seeded.ask(query, subject_of(by), **variables)
        assert answer["errors"] == [] and "userErrors': [{" not in str(answer["data"]), answer
        data: dict[str, Any] = answer["data"]
        return data

    def look(self, query: str, handle: str) -> tuple[bytes, Work]:
        """The whole answer as bytes, and what it cost. Where it is remembered for a moment who somebody is,
        that is what the same question costs again."""
        return self.seeded.run(self._settled(lambda: self._look(query, handle)))

    async def _settled(self, look: Callable[[], Awaitable[tuple[bytes, Work]]]) -> tuple[bytes, Work]:
        """What a look costs once all that is remembered is: events of the change before it are still being
        taken in, and each of them makes it load anew."""
        found = await look()
        while self.remembers:
            before, found = found, await look()
            if before[1].sizes() == found[1].sizes():
                break
        return found

    @property
    def remembers(self) -> bool:
        """Whether what is known of a subject is kept for its next request."""
        return bool(self.seeded.platform.authorizer._circles._look_every_s)

    async def _look(self, query: str, handle: str) -> tuple[bytes, Work]:
        subject = known_as(handle)
        with counted() as work:
            answer = await asked(self.seeded, query, subject)
        return answer, work

    def entity(self, subgraph: str, name: str, id: str, handle: str) -> tuple[bytes, Work]:
        """All plain fields of an entity, asked of its subgraph past the router."""
        return self.seeded.run(self._settled(lambda: self._entity(subgraph, name, id, handle)))

    async def _entity(self, subgraph: str, name: str, id: str, handle: str) -> tuple[bytes, Work]:
        served = self.seeded.platform.subgraphs[subgraph]
        fields = served.schema.type_map[name].fields  # type: ignore[attr-defined]
        plain = " ".join(each for each, field in fields.items() if is_leaf_type(get_named_type(field.type)))
        query = f"query($r: [_Any!]!) {{ _entities(representations: $r) {{ ... on {name} {{ {plain} }} }} }}"
        given = {"r": [{"__typename": name, "id": id}]}
        subject = known_as(handle)
        with counted() as work:
            answer = await served.execute(query, given, None, subject)
        return json.dumps(answer, sort_keys=True, default=str).encode(), work


def known_as(handle: str) -> Subject:
    """Who asks: a demo person, `nobody`, or `runa`, an athlete who is nothing to anybody."""
    if handle == "nobody":
        return ANONYMOUS
    if handle == "runa":
        return Subject("demo-runa", roles=frozenset({Role.ATHLETE}), session_id="session-runa", acr=1)
    return subject_of(handle)


async def asked(seeded: Seeded, query: str, subject: Subject) -> bytes:
    try:
        response = await seeded.routers["in-process"].handle(GraphQLRequest(text=query), subject)
    except ClientError as refusal:
        return str(refusal).encode()
    told = sorted(json.dumps(dict(error), sort_keys=True) for error in response.errors)
    return json.dumps([response.data, told], default=_plain, sort_keys=True).encode()


def _plain(value: Any) -> Any:
    return bytes(value.contents).decode() if hasattr(value, "contents") else str(value)


@dataclass(frozen=True)
class Secret:
    """Something of hers, the states it goes through, who may not notice, and how they try: by a field, a
    filter, an order, a count, a cursor, a search, or an error's text."""

    domain: str
    states: tuple[State, ...]
    probes: tuple[str, ...]
    blind: tuple[str, ...] = EVERYBODY
    own: str = ""


def nothing(world: World) -> None:
    """As it is."""


def activity(world: World) -> None:
    given = 'sport: RUNNING, name: "Secret hill", startedAt: "2025-10-21T06:00:00Z", elapsedS: 3600'
    given += ", distanceM: 9000"
    made = world.do(f"mutation {{ createActivity(input: {{{given}}}) {{ activity {{ id }} }} }}")
    world.made["activity"] = made["createActivity"]["activity"]["id"]


def another_activity(world: World) -> None:
    given = f'id: "{world.made["activity"]}", sport: CYCLING, name: "Other", rpe: 9'
    world.do(f"mutation {{ updateActivity(input: {{{given}}}) {{ userErrors {{ code }} }} }}")


def no_activity(world: World) -> None:
    world.do(f'mutation {{ deleteActivity(id: "{world.made["activity"]}") {{ deletedId }} }}')


def threshold(value: float) -> State:
    def change(world: World) -> None:
        given = f'kind: REST_HR, value: {value}, validFrom: "2025-10-01"'
        world.do(f"mutation {{ setThreshold(input: {{{given}}}) {{ userErrors {{ code }} }} }}")

    return change


def profile(given: str) -> State:
    def change(world: World) -> None:
        world.do(f"mutation {{ updateProfile(input: {{{given}}}) {{ userErrors {{ code }} }} }}")

    return change


def settings(given: str) -> State:
    def change(world: World) -> None:
        world.do(f"mutation {{ updateSettings(input: {{{given}}}) {{ userErrors {{ code }} }} }}")

    return change


def invitation(world: World) -> None:
    given = 'coachId: "demo-physician", scopes: [TRAINING], message: "please"'
    made = world.do(f"mutation {{ inviteCoach(input: {{{given}}}) {{ coachLink {{ id }} }} }}")
    world.made["link"] = made["inviteCoach"]["coachLink"]["id"]


def no_invitation(world: World) -> None:
    world.do(f'mutation {{ endCoachLink(id: "{world.made["link"]}") {{ userErrors {{ code }} }} }}')


def session(world: World) -> None:
    given = 'login: "mira", password: "stadion-demo-mira", device: "a watch"'
    world.do(f"mutation {{ logIn(input: {{{given}}}) {{ userErrors {{ code }} }} }}")


def no_sessions(world: World) -> None:
    world.do("mutation { revokeOtherSessions { ended } }")


def condition(code: str, text: str) -> State:
    def change(world: World) -> None:
        coding = {"system": "http://snomed.info/sct", "code": code, "display": text}
        resource = {"resourceType": "Condition", "id": code, "code": {"coding": [coding]}}
        document = json.dumps(
            {**resource, "subject": {"reference": "Patient/1"}, "recordedDate": "2026-01-05"}
        )
        query = "mutation($i: ImportBundleInput!) { importBundle(input: $i) { result { added } } }"
        world.do(query, i={"userId": MIRA, "purpose": "PATRQT", "json": document})

    return change


def care(world: World) -> None:
    given = f'userId: "{MIRA}", practitionerId: "demo-coach", purpose: PATRQT'
    made = world.do(f"mutation {{ addToCareTeam(input: {{{given}}}) {{ member {{ id }} }} }}")
    world.made["care"] = made["addToCareTeam"]["member"]["id"]


def no_care(world: World) -> None:
    world.do(f'mutation {{ endCare(id: "{world.made["care"]}") {{ member {{ active }} }} }}')


def consent(decision: str) -> State:
    def change(world: World) -> None:
        given = f'decision: {decision}, dataClass: CLINICAL, actorId: "demo-physician"'
        made = world.do(f"mutation {{ grantConsent(input: {{{given}}}) {{ consent {{ id }} }} }}")
        world.made["consent"] = made["grantConsent"]["consent"]["id"]

    return change


def no_consent(world: World) -> None:
    world.do(f'mutation {{ revokeConsent(id: "{world.made["consent"]}") {{ consent {{ active }} }} }}')


def looked_at(world: World) -> None:
    """Her physician reads her record: the log about her has one entry more."""
    query = OF_HER % "medicalRecord(purpose: TREAT) { conditions { totalCount } }"
    before = world.look("{ myAccessLog { totalCount } }", "mira")[0]
    assert world.seeded.ask(query, subject_of("lind"))["errors"] == []
    deadline = time.monotonic() + 30
    while world.look("{ myAccessLog { totalCount } }", "mira")[0] == before:
        assert time.monotonic() < deadline, "the access was not recorded"


def device(world: World) -> None:
    """A log-in of hers, bound to a machine that holds a key."""
    given = 'login: "mira", password: "stadion-demo-mira", device: "telephone"'
    token = world.do(f"mutation {{ logIn(input: {{{given}}}) {{ accessToken userErrors {{ code }} }} }}")
    running = world.seeded.platform
    hers = running.verifier.verify(token["logIn"]["accessToken"])
    key, now = ECKey.generate_key("P-256"), running.now()
    parts = key.as_dict(private=False)
    public = {name: parts[name] for name in ("kty", "crv", "x", "y")}
    claims = proof_claims(
        audience=running.settings.issuer,
        act="register",
        text=hers.session_id or "",
        now=now,
        nonce=key.thumbprint(),
    )
    header = {"alg": "ES256", "typ": PROOF_TYPE, "jwk": public}
    proof = jws.serialize_compact(header, json.dumps(claims), key, ["ES256"])
    query = 'mutation($p: String!) { registerDevice(name: "Telephone", proof: $p) { userErrors { code } } }'
    answer = world.seeded.ask(query, hers, p=proof)
    assert answer["data"] == {"registerDevice": {"userErrors": []}}, answer


def guardianship(world: World) -> None:
    """She asks to be the guardian of somebody."""
    profile('birthDate: "1990-02-03"')(world)
    given = 'minorId: "demo-coach", kind: PARENT, evidence: "a birth certificate of the city, number 12"'
    answered = "guardianship { id } userErrors { code }"
    made = world.do(f"mutation {{ requestGuardianship(input: {{{given}}}) {{ {answered} }} }}")
    world.made["guardianship"] = made["requestGuardianship"]["guardianship"]["id"]


def no_guardianship(world: World) -> None:
    query = (
        f'mutation {{ declineGuardianship(id: "{world.made["guardianship"]}") {{ userErrors {{ code }} }} }}'
    )
    world.do(query)


def organisation(world: World) -> None:
    if "organisation" not in world.made:
        query = 'mutation { createOrganisation(name: "Clinic") { organisation { id } userErrors { code } } }'
        world.made["organisation"] = world.do(query, by="ada")["createOrganisation"]["organisation"]["id"]


def membership(change: str) -> State:
    def changed(world: World) -> None:
        organisation(world)
        given = f'organisationId: "{world.made["organisation"]}", userId: "{MIRA}"'
        world.do(f"mutation {{ {change}({given}) {{ userErrors {{ code }} }} }}", by="ada")

    return changed


def program(world: World) -> None:
    if "program" not in world.made:
        given = f'name: "Eye", kind: PARTNER, scopes: ["activity:read"], redirectUris: ["{CALLBACK}"]'
        answered = "client { id } userErrors { code }"
        query = f"mutation {{ registerApiClient(input: {{{given}}}) {{ {answered} }} }}"
        world.made["program"] = world.do(query, by="ada")["registerApiClient"]["client"]["id"]


def authorization(world: World) -> None:
    """She lets a program act for her, and it comes for its tokens."""
    program(world)
    asked_for = (
        f'clientId: "{world.made["program"]}", redirectUri: "{CALLBACK}", codeChallenge: "{CHALLENGE}"'
    )
    query = f"""mutation {{ authorizeClient(input: {{{asked_for}}}, approvedScopes: ["activity:read"]) {{
      redirectTo userErrors {{ code }} }} }}"""
    code = parse_qs(urlsplit(world.do(query)["authorizeClient"]["redirectTo"]).query)["code"][0]
    accounts = world.seeded.platform.accounts
    found = world.seeded.run(accounts.relational.read(lambda c: authorization_store.by_code(c, digest(code))))
    assert found is not None
    id_, now = found[0].id, world.seeded.platform.now()
    used = accounts.relational.write(lambda c: authorization_store.use_code(c, id_, thumbprint=None, now=now))
    assert world.seeded.run(used)
    world.made["authorization"] = id_


def no_authorization(world: World) -> None:
    id_ = world.made["authorization"]
    world.do(f'mutation {{ withdrawAuthorization(id: "{id_}") {{ userErrors {{ code }} }} }}')


SECRETS = (
    Secret(
        "accounts, her devices",
        (nothing, device, device),
        (OF_HER % "devices { id name state thumbprint lastSeenAt }",),
        blind=("okafor", "noor", "tomas", "runa", "nobody"),
        own=OF_HER % "devices { id }",
    ),
    Secret(
        "accounts, where she is a member",
        (nothing, membership("addMember"), membership("removeMember")),
        (
            OF_HER % "organisations { id name }",
            "query { organisations { totalCount } }",
        ),
        blind=("okafor", "noor", "tomas", "runa", "nobody"),
        own=OF_HER % "organisations { id }",
    ),
    Secret(
        "accounts, the programs that she lets in",
        (nothing, authorization, no_authorization),
        (
            OF_HER % "authorizations { id scopes client { id name } }",
            "query { apiClients { totalCount nodes { id } } }",
        ),
        blind=("okafor", "noor", "tomas", "runa", "nobody"),
        own=OF_HER % "authorizations { id }",
    ),
    Secret(
        "profiles, her guardianships",
        (nothing, guardianship, no_guardianship),
        (
            OF_HER % "wards { id state evidence } guardians { id }",
            'query { user(id: "demo-coach") { guardians { id } wards { id } } }',
            "query { guardianshipsToDecide { totalCount nodes { id } } }",
        ),
        blind=("okafor", "ada", "runa", "nobody"),
        own=OF_HER % "wards { id state }",
    ),
    Secret(
        "training",
        (nothing, activity, another_activity, no_activity),
        (
            OF_HER % "activities { totalCount nodes { id name } pageInfo { hasNextPage endCursor } }",
            OF_HER % "activities(first: 1) { edges { cursor } pageInfo { hasNextPage } }",
            OF_HER % "activities(last: 1) { nodes { id } pageInfo { hasPreviousPage startCursor } }",
            OF_HER % "activities(filter: {sport: [RUNNING]}) { totalCount }",
            OF_HER
            % "activities(filter: {distanceMMin: 8999, distanceMMax: 9001}) { totalCount nodes { id } }",
            OF_HER % 'activities(filter: {from: "2025-10-21", to: "2025-10-21"}) { totalCount }',
            OF_HER % 'activities(after: "nonsense") { totalCount }',
            OF_HER % 'load(range: {from: "2025-10-20", to: "2025-10-23"}) { day load ctl }',
            OF_HER % "records(sport: RUNNING) { startedAt }",
            'subscription { activityAdded(athleteId: "demo-athlete") { id } }',
        ),
        blind=("okafor", "noor", "ada", "nobody"),
        own=OF_HER % "activities { totalCount nodes { name } }",
    ),
    Secret(
        "training, to her coach",
        (threshold(51.0), threshold(52.0), threshold(60.0)),
        (
            OF_HER % "thresholds { kind value }",
            OF_HER % 'thresholds(at: "2025-10-02") { kind value }',
        ),
        blind=("tomas", *EVERYBODY[:3], "nobody"),
        own=OF_HER % "thresholds { kind value }",
    ),
    Secret(
        "profiles",
        (
            profile('birthDate: "1990-02-03", heightM: 1.71, homeRegion: "NO"'),
            profile('birthDate: "1991-04-05", heightM: 1.82, homeRegion: "SE"'),
            profile("birthDate: null, heightM: null, homeRegion: null"),
        ),
        (
            OF_HER % "profile { birthDate sex heightM ageBand homeRegion locale timeZone version }",
            OF_HER % "profile(purpose: TREAT) { birthDate heightM }",
            OF_HER % "settings { nameVisibility detailsVisibility weekStartsOn }",
        ),
        blind=("okafor", "noor", "tomas", "nobody"),
        own=OF_HER % "profile { birthDate heightM homeRegion }",
    ),
    Secret(
        "profiles, her settings",
        (settings("weekStartsOn: 7"), settings("weekStartsOn: 1"), settings("weekStartsOn: 3")),
        (OF_HER % "settings { weekStartsOn }",),
        own=OF_HER % "settings { weekStartsOn }",
    ),
    Secret(
        "profiles, her links",
        (nothing, invitation, no_invitation),
        (
            OF_HER % "coaches { id state message }",
            OF_HER % "coaches(state: INVITED) { id }",
            OF_HER % "athletes { totalCount nodes { id } }",
            OF_HER % "athletes(state: INVITED, first: 1) { totalCount pageInfo { hasNextPage } }",
            'query { user(id: "demo-physician") { athletes { totalCount } coaches { id } } }',
        ),
        own=OF_HER % "coaches { id state message }",
    ),
    Secret(
        "accounts",
        (no_sessions, session, session, no_sessions),
        (
            OF_HER % "sessions { id device }",
            OF_HER % "sessions { createdAt } secondFactor email",
            'query { users(handlePrefix: "mi") { totalCount } }',
            "query { pendingRoles { id } }",
            'mutation { revokeSession(id: "no-such") { userErrors { code message } } }',
            'mutation { refresh(input: {refreshToken: "no-such"}) { userErrors { code message } } }',
        ),
        blind=("okafor", "noor", "tomas", "nobody"),
        own=OF_HER % "sessions { id device }",
    ),
    Secret(
        "medical",
        (nothing, condition("370143000", "Depression"), condition("44465007", "Sprained ankle")),
        (
            OF_HER % "medicalRecord(purpose: TREAT) { conditions { totalCount nodes { text } } }",
            OF_HER % 'medicalRecord(purpose: ETREAT) { conditions(code: "370143000") { totalCount } }',
            OF_HER % "medicalRecord(purpose: HRESCH) { conditions(first: 1) { edges { cursor } } }",
            OF_HER % 'medicalRecord(purpose: TREAT) { conditions(after: "x") { totalCount } }',
            "query { patientsInMyCare { id } }",
        ),
        own=OF_HER % "medicalRecord(purpose: PATRQT) { conditions { totalCount nodes { text } } }",
    ),
    Secret(
        "medical, who treats her",
        (nothing, care, no_care),
        (OF_HER % "careTeam(purpose: TREAT) { id active }", "query { patientsInMyCare { id } }"),
        blind=("okafor", "noor", "ada", "nobody"),
        own=OF_HER % "careTeam(purpose: PATRQT) { id active }",
    ),
    Secret(
        "medical, her consents",
        (nothing, consent("PERMIT"), no_consent, consent("DENY"), no_consent),
        (
            OF_HER % "consents(purpose: TREAT) { id decision }",
            OF_HER % "medicalRecord(purpose: TREAT) { conditions { totalCount } }",
            "query { breakGlassGrants { totalCount } }",
        ),
        blind=("okafor", "noor", "tomas", "nobody"),
        own=OF_HER % "consents(purpose: PATRQT) { id decision active }",
    ),
    Secret(
        "audit",
        (nothing, looked_at, looked_at),
        (
            OF_HER % "accessLog { totalCount nodes { id rule } pageInfo { hasNextPage endCursor } }",
            OF_HER % 'accessLog(first: 1, after: "x") { totalCount }',
            'query { explainAccess(targetId: "demo-athlete", coordinate: "User.email") { rule } }',
            'query { whoCanSee(targetId: "demo-athlete", coordinate: "User.email") { totalCount } }',
            'query { auditLog(filter: {targetId: "demo-athlete", actorId: "demo-physician"}) '
            "{ totalCount } }",
            "query { verifyChain { records intact } }",
        ),
        blind=("okafor", "noor", "tomas", "nobody"),
        own="{ myAccessLog { totalCount } }",
    ),
)


@dataclass(frozen=True)
class Named:
    """Something of hers that has an id: where she finds it, and how others may name it. `%s` is the id.
    `sent` is put by the link that was found with it."""

    kind: str
    found: str
    path: tuple[str | int, ...]
    probes: tuple[str, ...] = ()
    entity: tuple[str, str] | None = None
    blind: tuple[str, ...] = ("okafor", "noor", "tomas", "nobody")
    by: str = "mira"
    sent: bytes | None = None


def changes(name: str, *names: str) -> tuple[str, ...]:
    return tuple(
        f'mutation {{ {each}(id: "%s") {{ userErrors {{ code message }} }} }}' for each in (name, *names)
    )


STRANGERS = ("okafor", "noor", "tomas", "runa", "nobody")
ASKED = f'clientId: "%s", redirectUri: "https://evil.test/", codeChallenge: "{CHALLENGE}"'
CAME = b"no activity, and hers"
DIGEST = sha256(CAME).hexdigest()
SENT = f'sha256: "{DIGEST}", sizeBytes: {len(CAME)}'
PREPARED = f"prepareActivityUpload(input: {{{SENT}}}) {{ place {{ id url }} userErrors {{ code }} }}"
TAKEN = tuple(
    f'mutation {{ importUpload(input: {{uploadId: "%s", sha256: "{each}"}}) '
    "{ userErrors { code message } } }"
    for each in (DIGEST, "0" * 64)
)
NAMED = (
    Named(
        "device",
        "{ me { devices { id } } }",
        ("me", "devices", 0, "id"),
        changes("revokeDevice", "attestDevice", "markDeviceCompromised"),
        blind=STRANGERS,
    ),
    Named(
        "organisation",
        "{ organisations { nodes { id } } }",
        ("organisations", "nodes", 0, "id"),
        (
            *changes("leaveOrganisation"),
            'query { organisationMembers(id: "%s") { totalCount } }',
            'mutation { addMember(organisationId: "%s", userId: "demo-coach") { userErrors { code } } }',
            'mutation { removeMember(organisationId: "%s", userId: "demo-coach") { userErrors { code } } }',
        ),
        blind=STRANGERS,
        by="ada",
    ),
    Named(
        "program",
        "{ apiClients { nodes { id } } }",
        ("apiClients", "nodes", 0, "id"),
        (
            'query { apiClient(id: "%s") { id name scopes } }',
            f"query {{ authorizationRequest(input: {{{ASKED}}}) {{ scopes userErrors {{ code }} }} }}",
            f"mutation {{ authorizeClient(input: {{{ASKED}}}) {{ redirectTo userErrors {{ code }} }} }}",
            'mutation { changeApiClient(input: {id: "%s", rate: BULK}) { userErrors { code message } } }',
            'mutation { setClientKeys(id: "%s", jwks: "{}") { userErrors { code message } } }',
            *changes("approveApiClient", "rotateClientSecret", "revokeApiClient"),
        ),
        blind=("mira", *STRANGERS),
        by="ada",
    ),
    Named(
        "authorization",
        "{ me { authorizations { id } } }",
        ("me", "authorizations", 0, "id"),
        changes("withdrawAuthorization"),
        blind=(*EVERYBODY, "runa"),
    ),
    Named(
        "guardianship",
        "{ me { wards { id } } }",
        ("me", "wards", 0, "id"),
        (
            'query { guardianship(id: "%s") { id state evidence contested } }',
            'mutation { confirmGuardianship(input: {id: "%s"}) { userErrors { code message } } }',
            *changes("declineGuardianship", "contestGuardianship", "upholdGuardianship", "endGuardianship"),
        ),
        blind=("okafor", "ada", "runa", "nobody"),
    ),
    Named(
        "upload link",
        f"mutation {{ {PREPARED} }}",
        ("prepareActivityUpload", "place", "id"),
        TAKEN,
        blind=STRANGERS,
    ),
    Named(
        "upload link that bytes came by",
        f"mutation {{ {PREPARED} }}",
        ("prepareActivityUpload", "place", "id"),
        TAKEN,
        blind=STRANGERS,
        sent=CAME,
    ),
    Named(
        "activity",
        "{ me { activities { nodes { id } } } }",
        ("me", "activities", "nodes", 0, "id"),
        (
            'query { activity(id: "%s") { id name sport athlete { id } } }',
            'mutation { updateActivity(input: {id: "%s", rpe: 3}) { activity { id } userErrors { code } } }',
            'mutation { deleteActivity(id: "%s") { deletedId userErrors { code } } }',
        ),
        ("training", "Activity"),
        blind=("okafor", "noor", "ada", "nobody"),
    ),
    Named(
        "coach link",
        "{ me { coaches { id } } }",
        ("me", "coaches", 0, "id"),
        (
            'query { coachLink(id: "%s") { id state message scopes } }',
            'mutation { setCoachScopes(id: "%s", scopes: []) { userErrors { code message } } }',
            *changes("acceptCoach", "declineCoach", "pauseCoachLink", "resumeCoachLink", "endCoachLink"),
        ),
        ("profiles", "CoachLink"),
        blind=("okafor", "noor", "ada", "nobody"),
    ),
    Named(
        "session",
        "{ me { sessions { id } } }",
        ("me", "sessions", 0, "id"),
        changes("revokeSession"),
        blind=EVERYBODY,
    ),
    Named(
        "role",
        "{ me { roles { id } } }",
        ("me", "roles", 0, "id"),
        changes("approveRole", "revokeRole"),
    ),
    Named(
        "care",
        "{ me { careTeam(purpose: PATRQT) { id } } }",
        ("me", "careTeam", 0, "id"),
        changes("endCare"),
        blind=EVERYBODY,
    ),
    Named(
        "consent",
        "{ me { consents(purpose: PATRQT) { id } } }",
        ("me", "consents", 0, "id"),
        changes("revokeConsent"),
        blind=EVERYBODY,
    ),
    Named(
        "audit record",
        "{ myAccessLog { nodes { id } } }",
        ("myAccessLog", "nodes", 0, "id"),
        entity=("audit", "AuditRecord"),
        blind=("noor", "tomas", "nobody"),
    ),
    Named(
        "emergency",
        "{ breakGlassGrants { nodes { id } } }",
        ("breakGlassGrants", "nodes", 0, "id"),
        (
            *changes("confirmBreakGlass", "endBreakGlass", "acknowledgeBreakGlass"),
            'mutation { closeBreakGlassReview(input: {id: "%s", outcome: JUSTIFIED, note: "so it is"}) '
            "{ userErrors { code message } } }",
        ),
        ("medical", "BreakGlassGrant"),
        blind=("noor", "tomas", "nobody"),
    ),
)
