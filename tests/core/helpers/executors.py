"""Executors of other libraries, as little of each as a search asks for."""

from __future__ import annotations

from concurrent.futures import Executor, Future


class Bare(Executor):
    """As mpi4py's: an executor that does not say how many calls it makes at once."""

    def submit(self, function, item):
        future = Future()
        future.set_result(function(item))
        return future


class Client:
    """As Dask's: no `Executor`, and its `map` returns futures."""

    def submit(self, function, item):
        return Bare().submit(function, item)

    def map(self, function, items):
        return [self.submit(function, item) for item in items]
