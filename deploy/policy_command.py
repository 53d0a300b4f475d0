"""`stadion policy`: checks a policy, tells who gains and loses by a change, and which rule decides a case."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from authz.classes import DataClass, Purpose, Relation, Role, Visibility
from deploy import policy_store

if TYPE_CHECKING:
    from authz.decide import Explanation, Question
    from authz.facts import RelationshipFact
    from authz.identity.subject import Subject
    from authz.policies.rules import Policy

PolicyFile = Annotated[Path | None, typer.Option("--policy", help="a policy file; without it Stadion's own")]

_SUBJECT, _OWNER = "subject", "owner"
_SUBJECT_SCOPED = frozenset({Role.PARTNER, Role.SERVICE})


def register(app: typer.Typer) -> None:
    """Add the command group to `app`."""
    group = typer.Typer(no_args_is_help=True, help="Check, compare and explain the authorization policy.")
    group.command(name="check")(check_command)
    group.command(name="diff")(diff_command)
    group.command(name="explain")(explain_command)
    policy_store.register(group)
    app.add_typer(group, name="policy")


def check_command(
    policy_file: Annotated[
        Path | None, typer.Argument(help="a policy file; without it Stadion's own")
    ] = None,
) -> None:
    """Read the policy, and name lines that are unknown or can never decide. Exit code 1 for any problem."""
    policy = read_policy_file(policy_file)
    refuse_problems(policy)
    typer.echo(f"{len(policy.rules)} rules, version {policy.version}: no problems")


def refuse_problems(policy: Policy) -> None:
    """Name each line that can never decide, and each class that nobody may read; exit code 1 for any."""
    from authz.policies.engine import PolicyEngine
    from authz.policies.reach import unreachable
    from authz.policies.rules import silent_classes

    PolicyEngine(policy)
    problems = unreachable(policy)
    problems += [f"no rule opens {data_class} to anybody" for data_class in silent_classes(policy)]
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(1)


def diff_command(
    old: Annotated[Path, typer.Argument(help="the policy in force")],
    new: Annotated[Path, typer.Argument(help="the policy to come")],
) -> None:
    """Show who gains and who loses which right. Exit code 0, whether or not anything changes."""
    typer.echo(changes_told(read_policy_file(old), read_policy_file(new)))


def changes_told(old: Policy, new: Policy) -> str:
    """Who gains and who loses, a line each, and how many."""
    from authz.policies.diff import differences

    changes = differences(old, new)
    if not changes:
        return "nobody gains or loses anything"
    gains = sum(change.gains for change in changes)
    return "\n".join([*map(str, changes), f"{gains} gained, {len(changes) - gains} lost"])


def explain_command(
    *,
    data_class: Annotated[DataClass, typer.Option("--class", help="the field's data class")],
    action: Annotated[str, typer.Option(help="what is done with the field")] = "read",
    role: Annotated[list[Role] | None, typer.Option(help="a role of the subject; may be repeated")] = None,
    relation: Annotated[
        list[Relation] | None, typer.Option(help="what the subject is to the owner; may be repeated")
    ] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="a scope of the relation, or of a partner's or service's token")
    ] = None,
    acr: Annotated[int, typer.Option(help="authentication level")] = 1,
    purpose: Annotated[Purpose | None, typer.Option(help="the stated purpose of use")] = None,
    visibility: Annotated[Visibility | None, typer.Option(help="to whom the owner shows the row")] = None,
    label: Annotated[list[str] | None, typer.Option(help="a security label of the row")] = None,
    policy_file: PolicyFile = None,
) -> None:
    """Show which rule decides, and what the other rules that speak of it lack. Exit code 1 if denied."""
    from authz.decide import Question
    from authz.identity.subject import Subject

    roles, relations = frozenset(role or ()), frozenset(relation or ())
    scopes = frozenset(scope or ())
    subject = Subject(
        id=_SUBJECT,
        roles=roles,
        acr=acr,
        scopes=scopes if roles & _SUBJECT_SCOPED else frozenset(),
    )
    question = Question(
        owner_id=_SUBJECT if Relation.SELF in relations else _OWNER,
        data_class=data_class,
        action=action,
        purpose=purpose,
        visibility=visibility,
        labels=frozenset(label or ()),
    )
    facts = _facts(relations - {Relation.SELF, Relation.NONE}, scopes)
    explanation = asyncio.run(_explained(read_policy_file(policy_file), subject, question, facts))
    for line in _lines(explanation):
        typer.echo(line)
    if not explanation.decision.allowed:
        raise typer.Exit(1)


def read_policy_file(path: Path | None) -> Policy:
    """The policy of a file, Stadion's own without one; exit code 1 where it cannot be read."""
    from authz.errors import PolicyInvalid
    from authz.policies.rules import read_policy, stadion_policy

    if path is None:
        return stadion_policy()
    try:
        return read_policy(path.read_text(encoding="utf-8"))
    except OSError as error:
        typer.echo(f"cannot read `{path}`: {error.strerror}", err=True)
    except UnicodeDecodeError:
        typer.echo(f"cannot read `{path}`: not UTF-8 text", err=True)
    except PolicyInvalid as invalid:
        for problem in invalid.problems:
            typer.echo(f"{path}: {problem}", err=True)
    raise typer.Exit(1)


def _facts(relations: frozenset[Relation], scopes: frozenset[str]) -> list[RelationshipFact]:
    from authz.facts import RelationshipFact
    from authz.identity.clock import now_utc

    now = now_utc()
    # An hour: what a break-glass grant may last, and more than one answer takes.
    since, until = now - timedelta(minutes=1), now + timedelta(minutes=59)
    return [
        RelationshipFact(_SUBJECT, relation, _OWNER, scopes, since, until, version=1)
        for relation in sorted(relations)
    ]


async def _explained(
    policy: Policy, subject: Subject, question: Question, facts: list[RelationshipFact]
) -> Explanation:
    from authz.decide import Authorizer
    from authz.facts import MemoryFacts

    known = MemoryFacts()
    known.put(*facts)
    return await Authorizer(known, policy=policy).for_request(subject).explain(question)


def _lines(explanation: Explanation) -> list[str]:
    decision = explanation.decision
    answer = "allowed" if decision.allowed else "denied"
    shown = f", shown as {decision.mask}" if decision.mask else ""
    missing = f"; {decision.obligation.value} would open it" if decision.obligation else ""
    lines = [f"{answer} by `{decision.rule}`{shown}{missing}"]
    for trace in explanation.rules:
        effect = "allow" if trace.allows else "deny"
        lacking = " & ".join(trace.failing)
        lines.append(f"  {effect:5}  {trace.rule}: " + (f"lacks {lacking}" if lacking else "holds"))
    return lines
