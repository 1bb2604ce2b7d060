"""Experts and their base models: find, check, load, write and run them; `training` makes them."""

from pyswarmopt_llm.models.adapters.adapter import (
    Adapter,
    AdapterInfo,
    Factors,
    load_adapter,
    load_factors,
    read_adapter,
)
from pyswarmopt_llm.models.adapters.compatibility import ExpertRow, PreflightReport, Problem, inspect_experts
from pyswarmopt_llm.models.adapters.write import write_adapter
from pyswarmopt_llm.models.base import BaseModel, load_model, load_tokenizer, resolve_base

__all__ = [
    "Adapter",
    "AdapterInfo",
    "BaseModel",
    "ExpertRow",
    "Factors",
    "PreflightReport",
    "Problem",
    "inspect_experts",
    "load_adapter",
    "load_factors",
    "load_model",
    "load_tokenizer",
    "read_adapter",
    "resolve_base",
    "write_adapter",
]
