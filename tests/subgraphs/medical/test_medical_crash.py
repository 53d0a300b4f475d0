"""A process killed in the middle of imports: what it acknowledged is there, whole, and it starts again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa

from tests.kit_medical import running_medical

IMPORTER = """
import asyncio, sys
from pathlib import Path
from subgraphs.medical.importing import DocumentImporter
from tests.kit_medical import document, running_medical

SMALL = document("r4/synthea/transaction-small-Bennett146_Swaniawski813.json")

async def main():
    async with running_medical(Path(sys.argv[1])) as medical:
        importer = DocumentImporter(medical.vault, medical.events.outbox)

        async def one(name):
            at = medical.clock()
            report = await importer.run(SMALL, patient_id=name, imported_by="x", at_utc=at)
            print(name, report.added, flush=True)

        for start in range(0, 10_000, 4):
            await asyncio.gather(*(one(f"p{start + k}") for k in range(4)))

asyncio.run(main())
"""
IMPORTS_BEFORE_THE_END = 9
RESOURCES = 11


def killed_while_importing(folder: Path) -> set[str]:
    """The people whose import was acknowledged before kill -9."""
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", IMPORTER, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, text=True)
    assert process.stdout is not None
    with process:
        lines = [next(process.stdout) for _ in range(IMPORTS_BEFORE_THE_END)]
        os.kill(process.pid, signal.SIGKILL)
        lines += [line for line in process.stdout if line.endswith("\n")]
    assert process.returncode == -signal.SIGKILL
    assert all(line.split()[1] == str(RESOURCES) for line in lines)
    return {line.split()[0] for line in lines}


async def test_kill_9_during_imports_loses_nothing_acknowledged_and_halves_nothing(tmp_path: Path) -> None:
    acknowledged = await asyncio.to_thread(killed_while_importing, tmp_path)
    async with running_medical(tmp_path) as medical:
        counted = sa.text("SELECT patient_id, count(*) FROM medical_resources GROUP BY patient_id")
        counts = await medical.vault.read(lambda c: dict(c.execute(counted).all()))
        assert acknowledged <= set(counts)
        assert set(counts.values()) == {RESOURCES}
        everything = sa.text("SELECT patient_id, id, sealed FROM medical_resources")
        rows = await medical.vault.read(lambda c: c.execute(everything).all())
        opened = await medical.vault.unseal_each(
            [(row.patient_id, f"medical_resources.sealed {row.id}", row.sealed) for row in rows]
        )
        assert None not in opened
        assert len(opened) == RESOURCES * len(counts)
