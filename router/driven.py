"""Driven: coroutines that go on where what they wait for comes in, without a task and a turn of the loop.

A task goes on in a later turn, and a future tells it so in one more: a request with several hops has many of
both. What is driven goes on at once. Where it has to wait for anything else than what is told by `Told`, it
becomes a task in the middle of its way (`in_task`), and nothing of it is run twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextvars import Context
from types import coroutine
from typing import Any, Final, Generic, TypeAlias, TypeVar

Value = TypeVar("Value")
OnEnd: TypeAlias = Callable[[Any, BaseException | None], None]
"""Told what a coroutine returned, or what it raised."""

_TASK: Final = object()
_now: Driven | None = None
"""Whose coroutine is running at the moment; None within tasks and callbacks."""


class Told(Generic[Value]):
    """One outcome, told once, awaited by one: a future for who may be driven."""

    __slots__ = ("_failure", "_is_told", "_value", "_waits")

    _value: Value

    def __init__(self) -> None:
        self._is_told = False
        self._failure: BaseException | None = None
        self._waits: Driven | asyncio.Future[None] | None = None

    def done(self) -> bool:
        """Whether the outcome was told, or is not wanted any more."""
        return self._is_told

    def set_result(self, value: Value) -> None:
        """This came; who waits for it goes on before this returns."""
        self._value = value
        self._tell()

    def set_exception(self, failure: BaseException) -> None:
        """This went wrong; who waits goes on before this returns."""
        self._failure = failure
        self._tell()

    def _tell(self) -> None:
        self._is_told = True
        waits = self._waits
        if waits is None:
            return
        if waits.__class__ is Driven:
            waits.go_on()
        elif not waits.done():
            waits.set_result(None)  # type: ignore[union-attr]

    def __await__(self) -> Generator[Any, None, Value]:
        if not self._is_told:
            try:
                if _now is not None:
                    self._waits = _now
                    yield self
                else:
                    self._waits = asyncio.get_running_loop().create_future()
                    yield from self._waits
            except BaseException:
                self._is_told, self._waits = True, None  # who waited was cancelled: nobody wants it any more
                raise
        if self._failure is not None:
            raise self._failure
        return self._value


class Driven:
    """One coroutine on its way. `on_end` is told how it ended, unless it is None.

    INVARIANT: a coroutine and those it begins share a context; who resumes one enters it.
    """

    __slots__ = ("_context", "_coroutine", "_ended", "_is_over", "_on_end", "_task")

    def __init__(
        self, coroutine_: Coroutine[Any, Any, Any], context: Context, on_end: OnEnd | None = None
    ) -> None:
        self._coroutine = coroutine_
        self._context = context
        self._on_end = on_end
        self._task: asyncio.Task[Any] | None = None
        self._is_over = False
        self._ended: Told[Any] = Told()

    def go_on(self, thrown: BaseException | None = None) -> None:
        """Run it as far as it goes, for the first time or because what it waits for came."""
        if _now is None:
            self._context.run(self._step, thrown)
        elif _now._context is self._context:
            self._step(thrown)
        else:  # another's is running, which may have been begun from this one's
            asyncio.get_running_loop().call_soon(self._step, thrown, context=self._context)

    def _step(self, thrown: BaseException | None) -> None:
        global _now  # noqa: PLW0603  # as asyncio knows the current task
        before, _now = _now, self
        try:
            waited = self._coroutine.send(None) if thrown is None else self._coroutine.throw(thrown)
        except StopIteration as end:
            self._end(end.value, None)
        except (KeyboardInterrupt, SystemExit) as failure:
            self._end(None, failure)
            raise
        except BaseException as failure:
            self._end(None, failure)
        else:
            if waited.__class__ is not Told:
                self._become_task(waited)
        finally:
            _now = before

    def _end(self, value: Any, failure: BaseException | None) -> None:
        on_end, self._on_end = self._on_end, None
        self._is_over = True
        if failure is None:
            self._ended.set_result(value)
        else:
            self._ended.set_exception(failure)
        if on_end is not None:
            on_end(value, failure)

    def _become_task(self, waited: Any) -> None:
        # in a context like its own: what it has begun goes on in that one, also while the task is running
        task = asyncio.get_running_loop().create_task(
            _rest_of(self._coroutine, waited), context=self._context.copy()
        )
        self._task = task
        task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self._task = None
        if task.cancelled():
            self._end(None, asyncio.CancelledError())
        else:
            failure = task.exception()
            self._end(None if failure is not None else task.result(), failure)

    def done(self) -> bool:
        """Whether it has ended."""
        return self._is_over

    def cancel(self, msg: object = None) -> bool:
        """Cancel it where it waits; as a task's `cancel`."""
        if self._is_over:
            return False
        if self._task is not None:
            return self._task.cancel(msg)
        self.go_on(asyncio.CancelledError())
        return True

    def __await__(self) -> Generator[Any, None, Any]:
        return self._ended.__await__()


Begun: TypeAlias = "Driven | asyncio.Task[Any]"


def begun(coroutine_: Coroutine[Any, Any, Any]) -> Begun:
    """The coroutine beside the one that runs now: driven where that one is, else as a task."""
    if _now is None:
        return asyncio.get_running_loop().create_task(coroutine_)
    beside = Driven(coroutine_, _now._context)
    beside.go_on()
    return beside


async def all_cancelled(these: Sequence[Begun]) -> None:
    """Cancel them, and return when all have ended, however they did."""
    for one in these:
        one.cancel()
    tasks = [one if isinstance(one, asyncio.Task) else one._task for one in these]
    await asyncio.gather(*(it for it in tasks if it is not None), return_exceptions=True)


def is_driven() -> bool:
    """Whether the coroutine that runs now is driven."""
    return _now is not None


def waiter() -> Any:
    """What to await for one outcome that is told from outside: a future within a task."""
    return asyncio.get_running_loop().create_future() if _now is None else Told()


@coroutine
def in_task() -> Generator[Any, None, None]:
    """From here on the coroutine is a task's: for what needs one, as `asyncio.timeout` does."""
    if _now is not None:
        yield _TASK


async def _rest_of(coroutine_: Coroutine[Any, Any, Any], waited: Any) -> Any:
    return await _going_on(coroutine_, waited)


@coroutine
def _going_on(coroutine_: Coroutine[Any, Any, Any], waited: Any) -> Generator[Any, Any, Any]:
    """What is left of a coroutine that waits for `waited`."""
    try:
        if waited is _TASK:
            waited = coroutine_.send(None)
        while True:
            try:
                value = yield waited
            except GeneratorExit:
                coroutine_.close()
                raise
            except BaseException as thrown:
                waited = coroutine_.throw(thrown)
            else:
                waited = coroutine_.send(value)
    except StopIteration as end:
        return end.value
