"""For all tests of searches: interrupts of one test do not count for the next."""

from __future__ import annotations

import math

import pytest

from pyswarmopt.driver import search


@pytest.fixture(autouse=True)
def no_interrupt_before(monkeypatch):
    monkeypatch.setitem(search._interrupted, "at", -math.inf)
