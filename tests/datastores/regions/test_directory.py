"""The directory of regions: one home a person, found quickly, and nobody to be found by reading it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa

from datastores.errors import Conflict
from datastores.regions.directory import NAME_KNOWN_S, UNKNOWN_S, RegionDirectory
from datastores.regions.errors import RegionUnknown
from datastores.relational.port import Relational

KEY = b"k" * 32


@pytest.fixture
async def clock() -> list[float]:
    return [100.0]


@pytest.fixture
async def directory(fresh_store: Relational, clock: list[float]) -> AsyncIterator[RegionDirectory]:
    directory = RegionDirectory(fresh_store, KEY, monotonic_s=lambda: clock[0])
    await directory.open()
    yield directory
    await directory.close()


async def test_who_settles_is_found_and_others_are_not(directory: RegionDirectory) -> None:
    await directory.settle("eu", ["mira", "@mira"])
    await directory.settle("eu", ["mira"])
    await directory.settle("us", ["tomas"])
    found = await directory.regions_of(["mira", "@mira", "tomas", "nobody"])
    assert found == {"mira": "eu", "@mira": "eu", "tomas": "us"}
    assert await directory.region_of("tomas") == "us"
    with pytest.raises(RegionUnknown, match="try again"):
        await directory.region_of("nobody")


async def test_a_home_is_kept(directory: RegionDirectory) -> None:
    await directory.settle("eu", ["mira"])
    with pytest.raises(Conflict, match="another region already"):
        await directory.settle("us", ["new", "mira"])
    assert await directory.regions_of(["mira", "new"]) == {"mira": "eu"}


async def test_what_is_known_is_not_asked_again_and_what_is_not_is_after_a_while(
    directory: RegionDirectory, fresh_store: Relational, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = RegionDirectory(fresh_store, KEY)
    await directory.settle("eu", ["mira"])
    assert await directory.regions_of(["mira", "late"]) == {"mira": "eu"}
    await other.settle("us", ["late"])
    reads: list[Any] = []
    read = fresh_store.read

    async def noted(work: Any) -> Any:
        reads.append(work)
        return await read(work)

    monkeypatch.setattr(fresh_store, "read", noted)
    assert await directory.regions_of(["mira", "late"]) == {"mira": "eu"}
    assert reads == []
    clock[0] += UNKNOWN_S + 0.1
    assert await directory.regions_of(["mira", "late"]) == {"mira": "eu", "late": "us"}
    assert len(reads) == 1


async def test_names_can_be_given_up_and_taken_elsewhere_but_a_home_is_for_good(
    directory: RegionDirectory, fresh_store: Relational, clock: list[float]
) -> None:
    other = RegionDirectory(fresh_store, KEY, monotonic_s=lambda: clock[0])
    await directory.settle("eu", ["mira"])
    await directory.settle("eu", ["@mira", "@mimi"], of="mira")
    await directory.settle("eu", ["@lind"], of="lind")
    assert await other.regions_of(["@mira"]) == {"@mira": "eu"}
    await directory.give_up("mira")
    await directory.give_up("mira")
    assert await directory.regions_of(["mira", "@mira", "@mimi", "@lind"]) == {"mira": "eu", "@lind": "eu"}
    await directory.settle("us", ["@mira"], of="another")
    with pytest.raises(Conflict, match="a home is for good"):
        await directory.settle("us", ["mira"])
    clock[0] += NAME_KNOWN_S + 1
    assert await other.regions_of(["@mira", "mira"]) == {"@mira": "us", "mira": "eu"}


async def test_its_rows_name_nobody(directory: RegionDirectory, fresh_store: Relational) -> None:
    await directory.settle("eu", ["mira@example.org"], of="mira")
    rows = await fresh_store.read(lambda c: c.execute(sa.text("SELECT * FROM regions_homes")).all())
    assert [len(row.known_by) for row in rows] == [64]
    assert "mira" not in str(rows)


def test_a_short_key_is_refused(fresh_store: Relational) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        RegionDirectory(fresh_store, b"short")
