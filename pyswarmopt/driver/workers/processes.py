"""A pool of freshly started processes, without the current directory on their path.

Imported only for searches with processes: importing multiprocessing takes longer than a search.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

SAFE = "PYTHONSAFEPATH"  # https://docs.python.org/3/using/cmdline.html
_STARTING = threading.RLock()  # searches in other threads start processes, too


def open_pool(count: int) -> ProcessPoolExecutor:
    """A pool of `count` processes, all started at the first call.

    By default, Python 3.11 starts them one by one as calls arrive. A process that starts while
    another dies is missed by the pool's shutdown, which then waits for ever.
    """
    with _safe_path() as was_unset:
        pool = ProcessPoolExecutor(
            count, mp_context=_SafeSpawn(), initializer=_begin, initargs=(was_unset,)
        )
    # https://github.com/python/cpython/issues/90622
    pool._safe_to_dynamically_spawn_children = False  # type: ignore[attr-defined]
    return pool


@contextmanager
def _safe_path() -> Iterator[bool]:
    """Start processes without the current directory on their path.

    multiprocessing starts Python with ``-c``, which puts it first: a ``struct.py`` there would be
    imported. This process's own path is still passed on. Yields whether the setting is new.
    """
    with _STARTING:
        before = os.environ.get(SAFE)
        os.environ[SAFE] = "1"
        try:
            yield before is None
        finally:
            if before is None:
                del os.environ[SAFE]
            else:
                os.environ[SAFE] = before


class _SafeProcess(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # multiprocessing's name
        with _safe_path():
            return SpawnProcess._Popen(process_obj)


class _SafeSpawn(SpawnContext):
    """Freshly started processes, by `_safe_path`."""

    Process = _SafeProcess


def _begin(unset: bool) -> None:
    """Let Ctrl-C, which a terminal sends to all processes, end this one without a traceback;
    likewise the death of its parent, whose pool would wait for calls for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if unset:  # the objective's own child processes decide for themselves
        os.unsetenv(SAFE)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
