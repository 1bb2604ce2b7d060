"""What a search is: every choice that decides its result, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass

NEVERGRAD = "nevergrad:"
PYCMA = "pycma"
PROPOSALS = 10  # of the model of the items that a screened search asks when its optimizer has stopped

# Settings of version 0.1.0 that are gone -> the values with which an unfinished run goes on all the same: such runs
# find the same positions with every item scored. The first value was the default.
RETIRED: dict[str, tuple[object, ...]] = {"early_stop": ("exact", "off"), "racing": (None,), "dev_sizes": ("",)}


@dataclass(frozen=True)
class SearchConfig:
    """The configuration of `swarm-llm search`; stored whole in ``run.json``.

    Attributes:
        base: directory, hub id, or ``embedded:smollm2-135m``; spaces ``token`` and ``graph`` do without ("").
        experts: directories of PEFT LoRA adapters of that base, of whole fine-tuned models (space ``full``), or of any
            of both (spaces ``token`` and ``graph``).
        tasks: task files or ``builtin:NAME``; see `pyswarmopt_llm.tasks`.
        out: run directory to create.
        space: ``factor``, ``delta``, ``full``, ``token`` or ``graph`` (docs/spaces.md, docs/tokens.md, docs/graphs.md:
            how a position becomes a model).
        granularity: one coefficient per expert (``model``), per layer block (``block``) or module type (``module``).
        output_rank: rank to which the result is truncated before it is scored (space ``delta``; None: the sum).
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
        batch_tokens: padded tokens in one forward pass.
        calibrate: choose threads, dtype and batch_tokens by a short trial, where they are left at their defaults.
        screen: items whose outcome a model predicts but for this probability are not scored (None: all are scored).
        drop_k: probability to leave out the evaluations of a whole iteration (Drop-K of the paper).
        drop_n: probability to leave out a single evaluation (Drop-N).
        budget_minutes: stop so that the evaluations take no longer (None: no limit).
        budget_items: stop before the search has asked more items than this (None: no limit).
        engine: what runs the model: ``transformers``, or ``vllm`` for objectives that write much.
        workers: processes that score candidates, each with the base resident: a number, ``ray`` or ``ray://HOST``
            (docs/scaling.md).
        timeout: seconds after which a worker that does not answer is replaced (None: never).
        one_by_one: a particle moves as soon as its own value is there (``--async``); the result then depends on the
            order in which workers answer.
        contrast: let negative coefficients speak against a token instead of counting as 0 (space ``token``).
        start: what fills up the population beside the experts: ``segments`` between two of them, as in the paper,
            ``sums`` of all, or ``auto``: sums for a swarm in ``delta`` with ``compat`` paper (`spaces.starts`).

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
    granularity: str = "model"
    output_rank: int | None = None
    batch_tokens: int = 1024
    calibrate: bool = False
    screen: float | None = None
    drop_k: float = 0.0
    drop_n: float = 0.0
    budget_minutes: float | None = None
    budget_items: int | None = None
    contrast: bool = False
    start: str = "auto"
    engine: str = "transformers"
    workers: str = "1"
    timeout: float | None = None
    one_by_one: bool = False

    @property
    def population(self) -> int:
        """Particles of the swarm: never fewer than the experts."""
        return max(self.particles, len(self.experts))

    @property
    def planned(self) -> int:
        """Evaluations if nothing stops the search early."""
        return self.rounds + (0 if self.screen is None else PROPOSALS)

    @property
    def rounds(self) -> int:
        """Those that the optimizer asks for."""
        return self.population * (self.max_iter + 1)

    @property
    def limits(self) -> dict[str, float]:
        """What ends the search, by the names that ``stop`` in ``result.json`` gives its reasons.

        Example:
            >>> SearchConfig("b", ("x", "y"), ("t",), "r", max_iter=9, budget_items=500).limits
            {'max_iter': 9, 'patience': 10, 'budget_items': 500}
        """
        swarm = self.optimizer != PYCMA and not self.optimizer.startswith(NEVERGRAD)
        rounds: dict[str, float] = {"max_iter": self.max_iter, "patience": self.patience}
        budgets = {"budget_items": self.budget_items, "budget_minutes": self.budget_minutes}
        return (rounds if swarm else {"max_evals": self.rounds}) | {k: v for k, v in budgets.items() if v is not None}
