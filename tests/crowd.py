"""Many processes that do one thing at the same moment."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from threading import Barrier
from typing import TypeVar

R = TypeVar("R")


def at_once(
    work: Callable[..., R], arguments: Sequence[tuple[object, ...]], *, preload: str
) -> list[R]:
    """Run `work` in as many processes as there are arguments, released together.

    Args:
        work: of an importable module.
        arguments: one tuple for each process.
        preload: a module imported once, from which the processes are forked.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([preload])
    with context.Manager() as manager:
        barrier = manager.Barrier(len(arguments), timeout=60)
        with ProcessPoolExecutor(len(arguments), mp_context=context) as pool:
            running = [pool.submit(_wait, barrier, work, *each) for each in arguments]
            return [each.result(timeout=90) for each in running]


def _wait(barrier: Barrier, work: Callable[..., R], *arguments: object) -> R:
    barrier.wait()
    return work(*arguments)
