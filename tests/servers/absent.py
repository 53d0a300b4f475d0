"""What happens where a server is not to be had: a skip that says how to get it, or a failure in the gate."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def absent(reason: object) -> NoReturn:
    """Skip with the reason; fail where `STADION_TEST_REQUIRE_SERVERS` is set, as the gate does."""
    if os.environ.get("STADION_TEST_REQUIRE_SERVERS"):
        pytest.fail(f"the gate needs this server: {reason}")
    pytest.skip(str(reason))
