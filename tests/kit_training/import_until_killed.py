"""A process that imports files one after the other and says so after each; its test kills it in the middle.

Arguments: the folder of the stores, then the files. Prints `SHA256 ACTIVITY-ID…` once an import is
acknowledged.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from subgraphs.training.imports import import_files
from tests.kit_training.world import world_in


async def main(folder: Path, files: list[Path]) -> None:
    """Import all files, forever."""
    async with world_in(folder) as world:
        for turn in range(1000):
            async for outcome in import_files(world.ports, f"anna-{turn}", files):
                ids = " ".join(activity.id for activity in outcome.activities)
                sys.stdout.write(f"anna-{turn} {outcome.sha256} {ids}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), [Path(each) for each in sys.argv[2:]]))
