"""A value made ahead: at the same time as the block, in a thread that ends with it."""

import threading
import time

import pytest

from rim_edge.data.prefetch import THREAD, Prefetcher, Works

LONG = 60
"""Seconds that nothing here takes; where it does, the test fails instead of hanging."""


def threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(THREAD)]


def pieces(*works):
    """Do these one by one; the value is the last one's."""
    value = None
    for work in works:
        value = work()
        yield
    return value


def test_it_is_made_while_the_block_runs_and_taken_once():
    begun, go_on = threading.Event(), threading.Event()

    def named():
        begun.set()
        assert go_on.wait(LONG)
        return threading.current_thread().name

    with Prefetcher(Works.THROUGHOUT) as ahead:
        assert (ahead.take(), threads()) == (None, []), "no thread before there is work"
        with ahead.making(pieces(named)):
            assert begun.wait(LONG), "the block need not end first"
            go_on.set()
        assert ahead.take().startswith(THREAD)
        assert ahead.take() is None
        with ahead.making(None):
            pass
        assert ahead.take() is None
        assert len(threads()) == 1
    assert threads() == []


@pytest.mark.parametrize("works", Works)
def test_the_block_ends_when_the_value_is_there(works):
    done = []

    def slow():
        time.sleep(0.05)
        done.append(True)

    with Prefetcher(works) as ahead, pytest.raises(ZeroDivisionError), ahead.making(pieces(slow, slow)):
        raise ZeroDivisionError
    assert done == [True, True]
    assert threads() == []


@pytest.mark.parametrize("works", Works)
def test_an_error_is_raised_where_the_value_is_taken(works):
    def lost():
        raise LookupError("no such word")

    with Prefetcher(works) as ahead:
        with ahead.making(pieces(lost)):
            pass
        with pytest.raises(LookupError, match=r"^no such word$"):
            ahead.take()
        assert ahead.take() is None
        with ahead.making(pieces(lambda: 7)):
            pass
        assert ahead.take() == 7, "the thread goes on"
    assert threads() == []


def test_it_may_wait_between_pieces_until_the_caller_waits():
    did, one, two = [], threading.Event(), threading.Event()

    def first():
        did.append(1)
        one.set()
        assert two.wait(LONG)

    with Prefetcher(Works.WHILE_WAITING) as ahead:
        for _ in range(2):  # the second value waits as the first one does
            did.clear()
            one.clear()
            two.clear()
            with ahead.making(pieces(first, lambda: did.append(2))):
                assert not one.wait(0.05), "the caller does not wait"
                with ahead.waiting():
                    assert one.wait(LONG)
                two.set()
                time.sleep(0.05)
                assert did == [1], "nor does it now"
            assert did == [1, 2]
