"""What a search is: every choice that decides its result, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SearchConfig:
    """The configuration of `swarm-llm search`; stored whole in ``run.json``.

    Attributes:
        base: directory, hub id, or ``embedded:smollm2-135m``.
        experts: directories of PEFT LoRA adapters of that base.
        tasks: task files or ``builtin:NAME``; see `pyswarmopt_llm.tasks`.
        out: run directory to create.
        space: ``factor`` or ``delta`` (DESIGN: how a coefficient vector becomes a model).
        optimizer: ``model-swarms``, another recipe of `pyswarmopt.recipes`, ``pso``, ``pycma`` or ``nevergrad:NAME``.
        particles: N, population of the swarm.
        max_iter: K, most moves of the swarm.
        patience: c, moves without a new global best after which it stops.
        dev: use only the first `dev` items of the dev split (None: all).
        test: the same for the test split.
        seed: seeds every draw of the search.
        dtype: ``auto`` (bfloat16 where the hardware has it), ``bfloat16``, ``float16`` or ``float32``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ...
        threads: CPU threads (None: as torch finds them).
        compat: ``paper`` or ``reference`` (the authors' released code where it differs).
        scoring: ``auto``, ``letter``, ``likelihood`` or ``generate``.
        exact_flat: move the flat LoRA factors themselves instead of coefficients (space ``factor``).
        allow_overlap: accept items that are in dev and in test.
        metrics: how answers are scored, ``NAME`` for all tasks or ``TASK=NAME``; see `utilities.metrics`.
        utilities: functions of the engine, ``module:function``, each one more task.
        combine: one number from several tasks: ``harmonic``, ``arithmetic``, ``minimum`` or ``weighted:2,1``.
        settings: coefficients of Model Swarms, ``NAME=VALUE``; see `pyswarmopt.recipes.model_swarms`.
        confirm: dev items kept out of the search, on which its best candidates are scored again (None: none).

    Example:
        >>> SearchConfig(base="b", experts=("x", "y"), tasks=("t.json",), out="run").particles
        20
    """

    base: str
    experts: tuple[str, ...]
    tasks: tuple[str, ...]
    out: str
    space: str = "factor"
    optimizer: str = "model-swarms"
    particles: int = 20
    max_iter: int = 50
    patience: int = 10
    dev: int | None = None
    test: int | None = None
    seed: int = 0
    dtype: str = "auto"
    device: str = "auto"
    threads: int | None = None
    compat: str = "paper"
    scoring: str = "auto"
    exact_flat: bool = False
    allow_overlap: bool = False
    metrics: tuple[str, ...] = ()
    utilities: tuple[str, ...] = ()
    combine: str = "harmonic"
    settings: tuple[str, ...] = ()
    confirm: int | None = None
