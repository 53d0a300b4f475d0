"""The page of codes says what the tables say."""

import re
from pathlib import Path

import schema
from schema.composition.code_page import code_page
from schema.composition.parse import stage as parse_stage
from schema.composition.satisfiability import labels, walk
from schema.federation.field_sets import FIELD_SET_CHARACTERS_MAX
from schema.problems import CODES, HINTS
from tests.kit_composition.cases import IS_UPDATING

FOLDER = Path(schema.__file__).parent
COMPOSITION = [*(FOLDER / "composition").rglob("*.py")]


def test_the_page_is_up_to_date() -> None:
    if IS_UPDATING:
        (FOLDER / "CODES.md").write_text(code_page(), "utf-8")
    assert (FOLDER / "CODES.md").read_text("utf-8") == code_page()


def test_every_code_in_the_sources_is_in_the_tables() -> None:
    """A code is a literal of capitals with an underscore that a problem or a hint is made with."""
    call = re.compile(r'(?:[Pp]roblem|hint|_misuse|refuse)\(\s*"([A-Z]+(?:_[A-Z]+)+)"')
    written = {code for path in COMPOSITION for code in call.findall(path.read_text("utf-8"))}
    assert len(written) > 50
    assert written <= CODES.keys() | HINTS.keys()


def test_the_limits_are_those_that_hold() -> None:
    text = (FOLDER / "README.md").read_text("utf-8")
    limits = (
        f"{parse_stage.SDL_BYTES_MAX:,} bytes",
        f"{parse_stage.SDL_TOKENS_MAX:,} tokens",
        f"{FIELD_SET_CHARACTERS_MAX:,} characters",
        f"{walk.STEPS_MAX:,} steps",
        f"{labels.LABEL_WALKS_MAX} combinations of override labels",
        f"{walk.PROBLEMS_MAX} problems",
    )
    assert [limit for limit in limits if limit not in text] == []
