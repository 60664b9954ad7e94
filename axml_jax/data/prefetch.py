"""The next items of an iterator, made ready by another thread.  Knows nothing about what they are.

While a device computes one batch, the thread makes the next ones and puts them on the device.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
Ready = TypeVar("Ready")

_END: Any = object()


@contextmanager
def prefetch(
    items: Iterator[Item], put: Callable[[Item], Ready], ahead: int = 2
) -> Iterator[Iterator[Ready]]:
    """Takes items and calls `put` on each in a thread of its own, at most `ahead` in advance.

    The order is that of `items`.  What fails in the thread is raised, with its own traceback,
    where that item would have come.  The thread has ended when the block is left, in whatever
    way; items that it had in advance are dropped.

    Args:
      items: Used by the thread alone.
      put: Makes an item ready, for instance on a device.
      ahead: Items that wait at most beside the one in use, 1 or more.

    Yields:
      The iterator of what `put` returns.
    """

    def take() -> Ready:
        for item in items:
            return put(item)
        return _END

    def ready() -> Iterator[Ready]:
        waiting: deque[Future[Ready]] = deque(thread.submit(take) for _ in range(ahead))
        while (item := waiting.popleft().result()) is not _END:
            waiting.append(thread.submit(take))
            yield item

    thread = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
    try:
        yield ready()
    finally:
        thread.shutdown(cancel_futures=True)
