"""Knowledge distillation: one adapter learns a group's answers, so that one model replaces
several.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyswarmopt_groups.config import DistillConfig
from pyswarmopt_groups.context import GroupContext
from pyswarmopt_groups.members.load import open_members
from pyswarmopt_groups.registry import NEGOTIATIONS, VOTES, Strategy, find_names
from pyswarmopt_groups.run import Group, member_row, verdicts_row
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import check_free
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.run.record import Store
from pyswarmopt_llm.scores.tasks import Item, render_prompt
from pyswarmopt_llm.training.examples import TrainingOptions
from pyswarmopt_llm.training.expert import train_expert
from pyswarmopt_llm.training.trainer import OnRound


def distill(config: DistillConfig, on_step: OnRound | None = None) -> dict[str, Any]:
    """Train an adapter for the base on the group's answers to the dev questions, and compare base,
    group and adapter on test.

    Hinton, Vinyals and Dean 2015, arXiv 1503.02531, with a group as the teacher and its answers
    as hard labels.

    Args:
        config: the group, its strategy, the task and the student.
        on_step: as for `train_expert`.

    Returns:
        ``base``, ``group``, ``student``: each with ``test``, ``test_interval`` and ``tokens`` per
            item; ``questions``, ``steps``, and the task's ``note``.

    Raises:
        UserError: the input is invalid (raised before any member answers).
    """
    (name,) = find_names([config.strategy], {**VOTES, **NEGOTIATIONS})
    check_free(Path(config.out))
    task = config.load()
    group = Group.opened(replace(config, strategies=(name,)), task)
    (strategy,) = group.strategies
    context = group.context(Store(None))
    examples = chats_of(context, strategy)
    source = f"answers of {context.n} members combined by {strategy.name} on {task.source}"
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
    alone = GroupContext(pair, context.task, context.answer_format).collect(context.task.test)
    return {name: member_row(alone, k) for k, name in enumerate(("base", "student"))}


def chats_of(context: GroupContext, strategy: Strategy) -> list[dict[str, Any]]:
    """A chat for each dev question that the group answers."""
    questions = context.task.dev
    pairs = zip(questions, strategy.decide(context, questions), strict=True)
    chats = [_chat(context, item, v.answer) for item, v in pairs if v.answer is not None]
    if not chats:
        raise UserError(
            "the group answers none of the dev questions, so there is nothing to learn; use other members"
        )
    return chats


def _chat(context: GroupContext, item: Item, answer: str) -> dict[str, Any]:
    """The question's prompt, and the answer in its scored form."""
    prompt = render_prompt(item, context.answer_format, context.template)
    if context.answer_format == "likelihood":
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
    names = ("rank", "lr", "epochs", "seed", "threads")
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
