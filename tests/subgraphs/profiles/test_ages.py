"""Ages of majority and of own consent, by where somebody is at home, and what guardianships make of them."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from subgraphs.profiles.ages import MAJORITY, OWN_CONSENT, Certainty, majority_years, own_consent_years
from subgraphs.profiles.guardianship import GuardianKind, Guardianship, confirmed, is_of_age, requested
from subgraphs.profiles.model import Profile, RuleBroken

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
EVA = Profile("eva", "Eva", birth_date=dt.date(1980, 1, 1))
KIM = Profile("kim", "Kim", birth_date=dt.date(2008, 6, 15))


def asked(guardian: Profile = EVA) -> Guardianship:
    return requested(
        id="g", guardian_id=guardian.user_id, of_age=is_of_age(guardian, NOW.date()), minor_id="kim",
        kind=GuardianKind.PARENT,
        evidence="a birth certificate, number 12", now=NOW, version=1,
    )  # fmt: skip


def stands(minor: Profile, *, open_restricted: bool = False) -> Guardianship:
    return confirmed(asked(), minor, by="noor", as_guardian=False, open_restricted=open_restricted, now=NOW)


@pytest.mark.parametrize(
    ("region", "majority", "own_word"),
    [
        (None, 18, 16), ("NO", 18, 16), ("NO-46", 18, 16), ("XX", 18, 16), ("GB", 18, 16), ("GB-SCT", 16, 16),
        ("CA", 18, 16), ("CA-BC", 19, 16), ("CA-QC", 18, 14), ("NZ", 20, 16), ("NZ-AUK", 20, 16),
        ("SG", 21, 16), ("DK", 18, 15), ("AT", 18, 14), ("ZA", 18, 12),
    ],
)  # fmt: skip
def test_a_region_goes_before_its_country_and_a_country_before_all(
    region: str | None, majority: int, own_word: int
) -> None:
    assert (majority_years(region), own_consent_years(region)) == (majority, own_word)


def test_every_line_names_a_law_and_says_something_else_than_none() -> None:
    for table in (MAJORITY, OWN_CONSENT):
        assert all(len(age.source) > 8 and 10 <= age.years <= 21 for age in table.values())
        assert all(len(age.read_at) > 8 and age.certainty in Certainty for age in table.values())
    assert all(age.years != 18 for age in MAJORITY.values())


def test_a_guardianship_ends_when_the_ward_is_of_age_where_they_are_at_home() -> None:
    for region, year in ((None, 2026), ("CA-BC", 2027), ("NZ", 2028), ("SG", 2029)):
        assert stands(replace(KIM, home_region=region)).valid_until_utc == dt.datetime(
            year, 6, 15, tzinfo=dt.UTC
        )
    with pytest.raises(RuleBroken, match="of age"):
        stands(replace(KIM, home_region="GB-SCT"))


def test_what_is_restricted_is_the_ward_s_own_from_the_age_that_the_law_there_names() -> None:
    child = replace(KIM, birth_date=dt.date(2011, 9, 1))
    for region, year in ((None, 2027), ("DK", 2026)):
        opened = stands(replace(child, home_region=region), open_restricted=True)
        assert opened.restricted_until == dt.date(year, 9, 1)
    for region in ("AT", "ZA"):
        with pytest.raises(RuleBroken) as refused:
            stands(replace(child, home_region=region), open_restricted=True)
        assert refused.value.code == "TOO_OLD"


def test_a_guardian_is_of_age_where_they_are_at_home() -> None:
    young = replace(EVA, birth_date=dt.date(2006, 3, 2))
    assert asked(young).guardian_id == "eva"
    for region in ("NZ", "SG"):
        with pytest.raises(RuleBroken, match="of age where they are at home"):
            asked(replace(young, home_region=region))
