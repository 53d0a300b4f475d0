"""Expand first, contract later: a migration that would break the version before it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from datastores.relational.expand_contract import broken_rules
from datastores.relational.schemas import Schema

HEAD = """
from alembic import op
import sqlalchemy as sa
revision, down_revision = {revision!r}, {before!r}
{contracts}
def upgrade():
    {body}
def downgrade():
    pass
"""
MADE = (
    'op.create_table("things", sa.Column("id", sa.Integer, primary_key=True),'
    ' sa.Column("name", sa.String(20)), sa.Column("size", sa.Integer))'
)
WITH = 'with op.batch_alter_table("things") as t: '


def rules(folder: Path, *bodies: str, contracts: str = "") -> list[str]:
    """What is wrong with the migrations made of `bodies`; `contracts` is said in the last."""
    (folder / "versions").mkdir()
    for number, body in enumerate(bodies, 1):
        before = f"000{number - 1}" if number > 1 else None
        said = f"contracts = {contracts}" if contracts and number == len(bodies) else ""
        text = HEAD.format(revision=f"000{number}", before=before, contracts=said, body=body)
        (folder / "versions" / f"000{number}_step.py").write_text(text)
    return broken_rules(Schema("things", folder, "things_version", ()))


@pytest.mark.parametrize(
    "body",
    [
        'op.add_column("things", sa.Column("nick", sa.String(20)))',
        'op.add_column("things", sa.Column("nick", sa.String(20), nullable=False, server_default=""))',
        'op.create_table("more", sa.Column("id", sa.Integer, nullable=False), sa.UniqueConstraint("id"))',
        'op.create_index("things_name", "things", ["name"])',
        WITH + 't.alter_column("name", nullable=True)',
    ],
)
def test_what_only_adds_is_free(tmp_path: Path, body: str) -> None:
    assert rules(tmp_path, MADE, body) == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('op.drop_table("things")', "drops or renames the table `things`"),
        ('op.rename_table("things", "stuff")', "drops or renames the table `things`"),
        ('op.execute("DROP TABLE things")', "drops or renames the table `things`"),
        (WITH + 't.drop_column("name")', "drops or renames the column `things.name`"),
        ('op.execute("ALTER TABLE things RENAME COLUMN name TO nick")', "renames the column `things.name`"),
        (WITH + 't.alter_column("name", nullable=False)', "makes `things.name` required"),
        (WITH + 't.alter_column("size", type_=sa.String(9))', "type of `things.size` from INTEGER"),
        (
            WITH + 't.add_column(sa.Column("nick", sa.String(9), nullable=False))',
            "adds the required column `things.nick` without a default",
        ),
        ('op.create_index("one", "things", ["name"], unique=True)', "makes `things` unique by name"),
    ],
)
def test_what_takes_away_or_narrows_is_refused_with_revision_and_place(
    tmp_path: Path, body: str, told: str
) -> None:
    found = rules(tmp_path, MADE, body)
    assert len(found) == 1
    assert found[0].startswith("things 0002: it ")
    assert told in found[0]


EXPAND = 'op.add_column("things", sa.Column("nick", sa.String(20)))'
CONTRACT = WITH + 't.drop_column("name")'


def test_a_contraction_that_names_the_expansion_before_it_is_allowed(tmp_path: Path) -> None:
    assert rules(tmp_path, MADE, EXPAND, CONTRACT, contracts='{"things.name": "0002"}') == []


@pytest.mark.parametrize("named", ["0003", "0009"])
def test_the_expansion_must_come_before(tmp_path: Path, named: str) -> None:
    [told] = rules(tmp_path, MADE, EXPAND, CONTRACT, contracts=f'{{"things.name": "{named}"}}')
    assert f"`contracts` names `{named}` for `things.name`, which expands nothing before" in told


def test_one_step_that_expands_and_contracts_is_refused(tmp_path: Path) -> None:
    both = f'{EXPAND}\n    op.execute("ALTER TABLE things DROP COLUMN name")'
    [told] = rules(tmp_path, MADE, both, contracts='{"things.name": "0002"}')
    assert "expands nothing before" in told


def test_a_promise_about_nothing_is_refused(tmp_path: Path) -> None:
    [told] = rules(tmp_path, MADE, EXPAND, contracts='{"things.name": "0001"}')
    assert "`contracts` names `things.name`, which this revision does not narrow" in told
