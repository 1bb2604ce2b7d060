"""Knowledge distillation: one adapter learns a group's answers, so that one model replaces
several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pyswarmopt.base.arrays import Floats
from pyswarmopt_groups.config import DistillConfig
from pyswarmopt_groups.context import GroupContext
from pyswarmopt_groups.members.load import open_members
from pyswarmopt_groups.registry import NEGOTIATIONS, VOTES, Strategy, find_names
from pyswarmopt_groups.run import Group, member_row, verdicts_row
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import check_free
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.scores.tasks import Item, render_prompt
from pyswarmopt_llm.searching.scoring.record import Store
from pyswarmopt_llm.searching.training.examples import TrainingOptions
from pyswarmopt_llm.searching.training.expert import train_expert
from pyswarmopt_llm.searching.training.trainer import OnRound

COPIES = 8  # examples for one question's probabilities


def distill(config: DistillConfig, on_step: OnRound | None = None) -> dict[str, Any]:
    """Train an adapter for the base on the group's answers to the dev questions, and compare base,
    group and adapter on test.

    Hinton, Vinyals and Dean 2015, arXiv 1503.02531, with a group as the teacher. Soft labels are
    the members' mean calibrated probabilities, whatever the strategy. Sampled answers would give
    the same cross-entropy in expectation; instead, each option becomes an example as often as
    `quotas` says.

    Args:
        config: the group, its strategy, the task and the student.
        on_step: as for `train_expert`.

    Returns:
        ``base``, ``group``, ``student``: each with ``test``, ``test_interval`` and ``tokens`` per
            item; ``questions``, ``steps``, and the task's ``note``.

    Raises:
        UserError: the input is invalid (raised before any member answers), or soft labels are
            requested for items without choices.
    """
    (name,) = find_names([config.strategy], {**VOTES, **NEGOTIATIONS})
    check_free(Path(config.out))
    task = config.load()
    if config.soft and any(item.choices is None for item in task.dev):
        why = f"needs answer choices, which some examples in {config.task} lack; remove it"
        raise InvalidOption("soft", None, why)
    group = Group.opened(replace(config, strategies=(name,)), task)
    (strategy,) = group.strategies
    context = group.context(Store(None))
    kind = "answers"
    if config.soft:
        kind = "probabilities"
        examples = soft_chats(context)
    else:
        examples = hard_chats(context, strategy)
    source = f"{kind} of {context.n} members combined by {strategy.name} on {task.source}"
    steps = _train(examples, config, source, on_step)
    return {
        **_models(config, context),
        "group": verdicts_row(task.test, strategy.decide(context, task.test)),
        "strategy": strategy.name,
        "questions": len(task.dev),
        "steps": steps,
        "note": task.note,
    }


def _models(config: DistillConfig, context: GroupContext) -> dict[str, Any]:
    """The rows of base and student."""
    models = [config.base, config.out]
    pair = open_members(models, config.base, config.dtype, config.device, config.threads)
    for member in pair:
        member.reply_tokens = config.max_new_tokens or member.reply_tokens
    alone = GroupContext(pair, context.task, context.scoring).collect(context.task.test)
    return {name: member_row(alone, k) for k, name in enumerate(("base", "student"))}


def hard_chats(context: GroupContext, strategy: Strategy) -> list[dict[str, Any]]:
    """A chat for each dev question that the group answers."""
    questions = context.task.dev
    pairs = zip(questions, strategy.decide(context, questions), strict=True)
    chats = [_chat(context, item, v.answer) for item, v in pairs if v.answer is not None]
    if not chats:
        raise UserError(
            "the group answers none of the dev questions, so there is nothing to learn; use other members"
        )
    return chats


def soft_chats(context: GroupContext) -> list[dict[str, Any]]:
    """`COPIES` chats per dev question, distributed over its options by the members' mean
    probabilities.
    """
    chats = []
    shares = context.probabilities(context.dev).mean(axis=0)
    for item, p in zip(context.dev.items, shares, strict=True):
        counts = quotas(p[: len(item.letters)], COPIES)
        for letter, count in zip(item.letters, counts, strict=True):
            chats += [_chat(context, item, letter)] * count
    return chats


def quotas(shares: Floats, total: int) -> list[int]:
    """Whole numbers that sum to `total`, proportional to `shares`, by largest remainders
    (Hamilton's method).

    Example:
        >>> quotas(np.array([0.7, 0.2, 0.1]), 8)
        [6, 1, 1]
    """
    exact = shares / shares.sum() * total
    counts = np.floor(exact).astype(int)
    rest = np.argsort(counts - exact, kind="stable")[: total - counts.sum()]
    counts[rest] += 1
    return list(counts.tolist())


def _chat(context: GroupContext, item: Item, answer: str) -> dict[str, Any]:
    """The question's prompt, and the answer in its scored form."""
    prompt = render_prompt(item, context.scoring, context.template)
    if context.scoring == "likelihood":
        answer = item.in_words(answer)
    return {
        "messages": [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": answer},
        ]
    }


def _train(
    examples: Sequence[dict[str, Any]], config: DistillConfig, source: str, on_step: OnRound | None
) -> int:
    """Train the student; return the number of steps."""
    names = ("rank", "lr", "epochs", "max_tokens", "seed", "threads")
    settings = {name: getattr(config, name) for name in names}
    result = train_expert(
        resolve_base(config.base),
        examples,
        config.out,
        TrainingOptions(alpha=2.0 * config.rank, heldout=0, **settings),
        dtype=config.dtype,
        device=config.device,
        data=source,
        on_step=on_step,
    )
    return result.steps
