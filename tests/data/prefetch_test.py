"""Items come in order, made ahead by one thread that ends with its block; errors come through."""

import functools
import itertools
import operator
import threading
import time
import traceback
from collections.abc import Iterator

import pytest

from axml_jax.data.prefetch import prefetch


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("prefetch")}


def failing_after(count: int) -> Iterator[int]:
    yield from range(count)
    raise OSError("the disk is gone")


@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
@pytest.mark.parametrize("ahead", [1, 2, 4])
def test_all_come_in_order(count: int, ahead: int) -> None:
    with prefetch(iter(range(count)), lambda item: 10 * item, ahead) as ready:
        assert list(ready) == [10 * item for item in range(count)]
    assert threads() == set()


def test_another_thread_makes_them_a_bounded_number_ahead() -> None:
    made: list[int] = []
    makers: set[int] = set()
    changed = threading.Condition()

    def put(item: int) -> int:
        with changed:
            made.append(item)
            makers.add(threading.get_ident())
            changed.notify()
        return item

    with prefetch(iter(range(100)), put, ahead=3) as ready:
        for taken in range(1, 5):
            next(ready)
            wanted = list(range(taken + 3))
            with changed:
                assert changed.wait_for(functools.partial(operator.eq, made, wanted), timeout=10)
        # Nobody asks for more: the thread rests.
        time.sleep(0.05)
        assert made == list(range(7))
    assert len(makers) == 1
    assert threading.get_ident() not in makers
    assert len(made) == 7
    assert threads() == set()


def test_an_error_comes_in_its_place_with_its_own_traceback() -> None:
    with prefetch(failing_after(5), str) as ready:
        assert list(itertools.islice(ready, 5)) == ["0", "1", "2", "3", "4"]
        with pytest.raises(OSError, match="the disk is gone") as caught:
            next(ready)
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "failing_after"
    assert threads() == set()


def test_so_does_an_error_of_put() -> None:
    def put(item: int) -> float:
        return 1 / (2 - item)

    with prefetch(iter(range(9)), put) as ready:
        assert [next(ready), next(ready)] == [0.5, 1]
        with pytest.raises(ZeroDivisionError) as caught:
            next(ready)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "put"
    assert threads() == set()


def test_an_error_that_nobody_reaches_is_dropped() -> None:
    with prefetch(failing_after(2), str) as ready:
        assert [next(ready), next(ready)] == ["0", "1"]
    assert threads() == set()


def test_the_thread_ends_when_the_loop_stops_early() -> None:
    made: list[int] = []

    def slow(item: int) -> int:
        time.sleep(0.01)
        made.append(item)
        return item

    def leave_early() -> None:
        with prefetch(iter(range(1000)), slow, ahead=4) as ready:
            next(ready)
            assert len(threads()) == 1
            raise KeyError

    with pytest.raises(KeyError) as caught:
        leave_early()
    # Although the error still holds the frame, and with it the iterator.
    assert caught.value.__traceback__ is not None
    assert threads() == set()
    seen = len(made)
    time.sleep(0.05)
    assert len(made) == seen < 10
