"""Every way to combine experts under one budget, in one table: `swarm-llm compare`."""

from __future__ import annotations

from pyswarmopt_llm.jobs.compare.config import CompareConfig
from pyswarmopt_llm.jobs.compare.contest import compare

__all__ = ["CompareConfig", "compare"]
