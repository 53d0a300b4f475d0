"""Other composers, where npm could bring them."""

from collections.abc import Iterator

import pytest

from tests.servers.absent import absent
from tests.servers.composers import Composers, running_composers
from tests.servers.programs import ServerAbsent


@pytest.fixture(scope="module")
def composers() -> Iterator[Composers]:
    """Composers and routers of others in one process; skips, or fails in the gate, where there are none."""
    try:
        with running_composers() as found:
            yield found
    except ServerAbsent as reason:
        absent(reason)
