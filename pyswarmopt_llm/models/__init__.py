"""Experts and their base models: find, check, load, train, write and run them."""

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
from pyswarmopt_llm.models.training.train import TrainingOptions, TrainingResult, train_expert

__all__ = [
    "Adapter",
    "AdapterInfo",
    "BaseModel",
    "ExpertRow",
    "Factors",
    "PreflightReport",
    "Problem",
    "TrainingOptions",
    "TrainingResult",
    "inspect_experts",
    "load_adapter",
    "load_factors",
    "load_model",
    "load_tokenizer",
    "read_adapter",
    "resolve_base",
    "train_expert",
    "write_adapter",
]
