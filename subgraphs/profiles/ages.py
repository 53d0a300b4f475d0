"""From what age on somebody is of age, and decides alone about their health, by where they are at home. Pure.

A region of a country (`CA-QC`) goes before its country, and a country that is not named is as most are: of
age at 18 (UN Convention on the Rights of the Child, article 1), own word about health at 16. Each line names
the law; none of it is advice, and an operator's counsel has the last word on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MAJORITY_YEARS = 18
OWN_CONSENT_YEARS = 16


@dataclass(frozen=True, slots=True)
class Age:
    """An age in years, and the law that says so."""

    years: int
    source: str


MAJORITY: Mapping[str, Age] = {
    "GB-SCT": Age(16, "Age of Legal Capacity (Scotland) Act 1991, section 1"),
    "KR": Age(19, "Civil Act, article 4"),
    "DZ": Age(19, "Civil Code, article 40"),
    "CA-BC": Age(19, "Age of Majority Act, RSBC 1996, chapter 7"),
    "CA-NB": Age(19, "Age of Majority Act, RSNB 2011, chapter 103"),
    "CA-NL": Age(19, "Age of Majority Act, SNL 1995, chapter A-4.2"),
    "CA-NS": Age(19, "Age of Majority Act, RSNS 1989, chapter 4"),
    "CA-NT": Age(19, "Age of Majority Act, RSNWT 1988, chapter A-2"),
    "CA-NU": Age(19, "Age of Majority Act, RSNWT 1988, chapter A-2, as of Nunavut"),
    "CA-YT": Age(19, "Age of Majority Act, RSY 2002, chapter 2"),
    "US-AL": Age(19, "Code of Alabama, section 26-1-1"),
    "US-NE": Age(19, "Nebraska Revised Statutes, section 43-2101"),
    "NZ": Age(20, "Age of Majority Act 1970, section 4"),
    "TH": Age(20, "Civil and Commercial Code, section 19"),
    "SG": Age(21, "common law; Civil Law Act 1909, section 35, for contracts"),
    "US-MS": Age(21, "Mississippi Code, section 1-3-27"),
    "EG": Age(21, "Civil Code, article 44"),
    "KW": Age(21, "Civil Code, article 96"),
}
"""Where somebody is not of age at 18."""

OWN_CONSENT: Mapping[str, Age] = {
    "NO": Age(16, "Patient and User Rights Act, section 4-3"),
    "GB": Age(16, "Family Law Reform Act 1969, section 8"),
    "IE": Age(16, "Non-Fatal Offences Against the Person Act 1997, section 23"),
    "NL": Age(16, "Civil Code, book 7, article 447"),
    "ES": Age(16, "Law 41/2002, article 9"),
    "PT": Age(16, "Penal Code, article 38"),
    "NZ": Age(16, "Care of Children Act 2004, section 36"),
    "DK": Age(15, "Health Act, section 17"),
    "SI": Age(15, "Patients' Rights Act, article 35"),
    "AT": Age(14, "General Civil Code, section 173"),
    "LV": Age(14, "Law on the Rights of Patients, section 13"),
    "CA-QC": Age(14, "Civil Code of Québec, article 14"),
    "ZA": Age(12, "Children's Act 38 of 2005, section 129"),
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
