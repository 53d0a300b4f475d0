"""How far a long command is: a live count a part on a terminal, nothing where the output is kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def shown_progress(what: str) -> Iterator[Callable[[str, int], None]]:
    """Takes the name of a part and how many rows or bytes of it are done since the last call."""
    if not sys.stderr.isatty():
        yield lambda _name, _count: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn(what), TextColumn("{task.description} {task.completed:,.0f}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        done: dict[str, int] = {}

        def advance(name: str, count: int) -> None:
            done[name] = done.get(name, 0) + count
            progress.update(task, description=name, completed=done[name])

        yield advance
