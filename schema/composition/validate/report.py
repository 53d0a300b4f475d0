"""How rules report: one call, with the element's place."""

from schema.problems import Location, Problem


def problem(code: str, message: str, coordinate: str, *at: Location, mend: str | None = None) -> Problem:
    """An error at one or more places."""
    return Problem(code, message, coordinate, at, mend)
