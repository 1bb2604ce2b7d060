"""What a comparison is: every choice that decides its figures, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CompareConfig:
    """The configuration of `swarm-llm compare`.

    Attributes:
        base: directory, hub id, or ``embedded:smollm2-135m``.
        experts: directories of PEFT LoRA adapters of that base, at least two.
        tasks: task files or ``builtin:NAME``; each is a comparison of its own.
        out: directory to create, or one that an earlier call began: then it goes on.
        methods: names out of `contestants.known_methods`, or ``all``.
        seeds: how many; methods without chance run once.
        budget_items: dev items that each method may evaluate per task and seed.
        space: ``delta`` or ``factor``, what the optimizers mix; a published method works in its own.
        particles: population of the optimizers (None: as many as experts; swarms: what suits the budget).
        data: expert name -> training chats, JSONL or ``builtin:NAME``, for the methods that look at them.
        examples: how many generated examples a ``builtin:NAME`` of `data` stands for.
        dev: use only the first `dev` items of each dev split (None: all).
        test: the same for the test split.
        dtype: ``auto``, ``bfloat16``, ``float16`` or ``float32``.
        device: ``auto``, ``cpu``, ``cuda``, ...
        threads: CPU threads (None: as torch finds them).
        scoring: ``auto``, ``letter``, ``likelihood`` or ``generate``.
        allow_overlap: accept items that are in dev and in test.

    Example:
        >>> CompareConfig(base="b", experts=("x", "y"), tasks=("t.json",), out="out").budget_items
        8000
    """

    base: str
    experts: tuple[str, ...]
    tasks: tuple[str, ...]
    out: str
    methods: tuple[str, ...] = ("all",)
    seeds: int = 3
    budget_items: int = 8000
    space: str = "delta"
    particles: int | None = None
    data: tuple[tuple[str, str], ...] = ()
    examples: int = 500
    dev: int | None = None
    test: int | None = None
    dtype: str = "auto"
    device: str = "auto"
    threads: int | None = None
    scoring: str = "auto"
    allow_overlap: bool = False
