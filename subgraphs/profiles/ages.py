"""From what age on somebody is of age, and decides alone about their health, by where they are at home. Pure.

A region of a country (`CA-QC`) goes before its country, and a country that is not named is as most are: of
age at 18 (UN Convention on the Rights of the Child, article 1), own word about health at 16. Each line names
the law, how sure that is, and where the age can be read; an operator's counsel has the last word on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

MAJORITY_YEARS = 18
OWN_CONSENT_YEARS = 16


class Certainty(Enum):
    """How sure a line is. It was looked at in November 2026."""

    TEXT = "the law's own text was read, and says so"
    CITED = "a public body, or one that knows the law, says that this law says so"
    TOLD = "public sources agree on the age; the place in the law is as remembered"


@dataclass(frozen=True, slots=True)
class Age:
    """An age in years, the law that says so, how sure that is, and where it was read."""

    years: int
    source: str
    certainty: Certainty
    read_at: str


def _of(certainty: Certainty, read_at: str, years: int, source: str) -> Age:
    return Age(years, source, certainty, read_at)


_TEXT, _CITED, _TOLD = Certainty.TEXT, Certainty.CITED, Certainty.TOLD
_CANADA = "lists of Canada's provinces by lawyers and banks; one of four has 18 for New Brunswick"
_COE = "Council of Europe, guide to children's participation in decisions about their health"
_FRA = "EU Agency for Fundamental Rights, minimum ages in the EU: consent to treatment (2017)"
_NEBRASKA = "North Platte Bulletin on LB 355, which was to change it for Nebraska, and names Alabama"

MAJORITY: Mapping[str, Age] = {
    "GB-SCT": _of(
        _TEXT, "legislation.gov.uk", 16, "Age of Legal Capacity (Scotland) Act 1991, section 1"
    ),
    "KR": _of(_TOLD, "Korea Herald: 19 since July 2013", 19, "Civil Act, article 4"),
    "DZ": _of(_CITED, "Equal Rights Trust, on the Civil Code", 19, "Civil Code, article 40"),
    "CA-BC": _of(_TOLD, _CANADA, 19, "Age of Majority Act, RSBC 1996, chapter 7"),
    "CA-NB": _of(_TOLD, _CANADA, 19, "Age of Majority Act, RSNB 2011, chapter 103"),
    "CA-NL": _of(_TOLD, _CANADA, 19, "Age of Majority Act, SNL 1995, chapter A-4.2"),
    "CA-NS": _of(_TOLD, _CANADA, 19, "Age of Majority Act, RSNS 1989, chapter 4"),
    "CA-NT": _of(_TOLD, _CANADA, 19, "Age of Majority Act, RSNWT 1988, chapter A-2"),
    "CA-NU": _of(_TOLD, _CANADA, 19, "Age of Majority Act, RSNWT 1988, chapter A-2, as of Nunavut"),
    "CA-YT": _of(_TOLD, _CANADA, 19, "Age of Majority Act, RSY 2002, chapter 2"),
    "US-AL": _of(_TOLD, _NEBRASKA, 19, "Code of Alabama, section 26-1-1"),
    "US-NE": _of(_TOLD, _NEBRASKA, 19, "Nebraska Revised Statutes, section 43-2101"),
    "NZ": _of(_TEXT, "legislation.govt.nz", 20, "Age of Majority Act 1970, section 4"),
    "TH": _of(_TEXT, "Siam Legal's translation", 20, "Civil and Commercial Code, section 19"),
    "SG": _of(
        _CITED, "Ministry of Finance, 25 August 2008", 21,
        "common law; Civil Law Act 1909, section 35, for contracts",
    ),
    "US-MS": _of(
        _CITED, "Mississippi Legislature, SB 2355 of 2021; SB 2073 of 2023 has made exceptions for property",
        21, "Mississippi Code, section 1-3-27",
    ),
    "EG": _of(_CITED, "United Nations, a State's report in English and Arabic", 21, "Civil Code, article 44"),
    "KW": _of(_TOLD, "World Law Digest", 21, "Civil Code, article 96"),
}  # fmt: skip
"""Where somebody is not of age at 18."""

OWN_CONSENT: Mapping[str, Age] = {
    "NO": _of(_TOLD, _COE, 16, "Patient and User Rights Act, section 4-3"),
    "GB": _of(_TOLD, _FRA, 16, "Family Law Reform Act 1969, section 8"),
    "IE": _of(_TOLD, f"{_FRA}; {_COE}", 16, "Non-Fatal Offences Against the Person Act 1997, section 23"),
    "NL": _of(_TOLD, f"{_FRA}; {_COE}", 16, "Civil Code, book 7, article 447"),
    "ES": _of(_TOLD, _FRA, 16, "Law 41/2002, article 9"),
    "PT": _of(_TOLD, f"{_FRA}; {_COE}", 16, "Penal Code, article 38"),
    "NZ": _of(_TOLD, "Community Law Marlborough; Sharp Tudhope", 16, "Care of Children Act 2004, section 36"),
    "DK": _of(_TOLD, f"{_FRA}, which adds the child's maturity; {_COE}", 15, "Health Act, section 17"),
    "SI": _of(_TOLD, f"{_FRA}; {_COE}", 15, "Patients' Rights Act, article 35"),
    "AT": _of(_TOLD, f"{_COE}, as a presumption", 14, "General Civil Code, section 173"),
    "LV": _of(_TOLD, f"{_FRA}; {_COE}", 14, "Law on the Rights of Patients, section 13"),
    "CA-QC": _of(_TEXT, "legisquebec.gouv.qc.ca", 14, "Civil Code of Québec, article 14"),
    "ZA": _of(
        _TEXT, "acts.co.za; it asks for maturity beside the age", 12, "Children's Act 38 of 2005, section 129"
    ),
}
"""Where the law names the age from which a minor's own word about their health counts."""


def majority_years(home_region: str | None) -> int:
    """How old somebody at home there is when they are of age."""
    return _years(MAJORITY, home_region, MAJORITY_YEARS)


def own_consent_years(home_region: str | None) -> int:
    """From what age on what is restricted of a minor's record is their own business."""
    return _years(OWN_CONSENT, home_region, OWN_CONSENT_YEARS)


def _years(table: Mapping[str, Age], home_region: str | None, otherwise: int) -> int:
    if home_region is None:
        return otherwise
    found = table.get(home_region) or table.get(home_region.partition("-")[0])
    return otherwise if found is None else found.years
