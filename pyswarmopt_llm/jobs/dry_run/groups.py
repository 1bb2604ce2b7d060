"""``--dry-run`` of ensemble, negotiate and distill.

What every strategy needs, all members' answers to dev and test, is known in advance. What a strategy asks for beyond
that depends on the answers, so it is bounded (`FURTHER`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pyswarmopt_llm.common.files.locked_directory import check_place
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.groups.config import CouncilConfig, DistillConfig, StrategySettings
from pyswarmopt_llm.groups.distillation import example_chats, training_options
from pyswarmopt_llm.groups.members.local import LocalMember
from pyswarmopt_llm.groups.members.protocol import Member
from pyswarmopt_llm.groups.registry import NEGOTIATIONS, SOCIETY, VOTES, Strategy, find_names, load_strategy
from pyswarmopt_llm.groups.run import FORMAT, FREE, WHAT, Group, open_group
from pyswarmopt_llm.groups.validate import check_members, check_task, usable
from pyswarmopt_llm.jobs.dry_run.plan import SAMPLE, Plan, Timed, plan, seconds_of, trial_items
from pyswarmopt_llm.jobs.dry_run.training import ADAPTER_FILES, with_training
from pyswarmopt_llm.metrics.questions.answer_format import possible_scorings
from pyswarmopt_llm.models.base import resolve_base
from pyswarmopt_llm.models.engines.hardware import pick_device, pick_dtype
from pyswarmopt_llm.models.files import check_free
from pyswarmopt_llm.models.training.train import training_cost
from pyswarmopt_llm.tasks import Scoring, Task, render_prompt

GROUP_FILES = ("about.json", "said.jsonl", "result.json", "verdicts.jsonl")


@dataclass(frozen=True)
class Size:
    """What the bounds depend on: members, dev and test items, options of an item at most (0: none), settings."""

    members: int
    dev: int
    test: int
    options: int
    settings: StrategySettings


# Strategy -> (requests for likelihoods or embeddings, generated texts) beyond the members' answers, at most.
FURTHER: dict[str, Callable[[Size], tuple[int, int]]] = {
    "confidence": lambda s: (0 if s.options else s.members * (s.dev + s.test), 0),
    "nearest": lambda s: (s.dev + s.test, 0),
    "route-neighbours": lambda s: (s.dev + s.test, 0),
    "route-likelihood": lambda s: (s.members * (s.dev + s.test), 0),
    "repaired": lambda s: (0, s.members * s.test),
    "rank-pairs": lambda s: (s.members * (s.members - 1) * s.test, 0),
    "fuse": lambda s: (s.members * (s.members - 1) * s.test, s.test),
    "self-consistency": lambda s: (0, s.members * s.settings.samples * s.test),
    "refine": lambda s: (0, s.members * (1 + s.settings.rounds) * s.test),
    "consensus": lambda s: (s.members**2 * s.test, 0),
    "game": lambda s: ((2 + (s.options or s.members)) * s.test, 0),
    # A plan, its slots and the answer: for the first choice of jobs, for each job and member on dev, and on test.
    "coalition": lambda s: (0, 3 * ((1 + 3 * s.members) * s.dev + s.test)),
}


def further(strategy: Strategy, size: Size) -> tuple[int, int]:
    """Requests and generated texts of a strategy beyond the members' answers, at most."""
    if strategy.name.startswith(SOCIETY):
        agents, rounds = map(len, strategy.arguments)
        return 0, agents * (1 + rounds) * size.test
    return FURTHER.get(strategy.name, lambda _: (0, 0))(size)


def dry_run_group(config: CouncilConfig) -> Plan:
    """The cost of `ensemble` or `negotiate` with this configuration, on a task."""
    task, out = config.load(), config.out
    if out is not None:
        check_place(user_path(out), config.flat(), FREE, FORMAT, WHAT)
    strategies = [load_strategy(name) for name in config.strategies]
    found, _ = _planned(config, task, strategies)
    return replace(found, out=out or "", writes=GROUP_FILES if out else ())


def dry_run_distill(config: DistillConfig) -> Plan:
    """The cost of `distill`: the group's answers, the training, and the scores of base and student on test."""
    check_free(Path(config.out))
    task = config.load()
    (name,) = find_names([config.strategy], {**VOTES, **NEGOTIATIONS})
    found, pace = _planned(config, task, [load_strategy(name)])
    device = pick_device(config.device)
    cost = training_cost(
        resolve_base(config.base),
        example_chats(task, possible_scorings(config.scoring, task.dev)[-1], config.soft),
        training_options(config),
        dtype=pick_dtype(config.dtype, device),
        device=device,
    )
    closing = 2 * len(task.test)  # the base and the student
    seconds = round(found.seconds + cost.seconds + closing * pace, 1)
    found = replace(found, passes=found.passes + closing, seconds=seconds, out=config.out, writes=ADAPTER_FILES)
    return with_training(found, cost)


def _planned(config: CouncilConfig, task: Task, strategies: Sequence[Strategy]) -> tuple[Plan, float]:
    """The plan of the group's answers, and the mean seconds of a member's answer to an item."""
    check_task(config, task)
    group = open_group(config)
    strategies, left_out = usable(strategies, config, (*task.dev, *task.test), group.members)
    local = [member for member in group.members if isinstance(member, LocalMember)]
    check_members(local, task, config.scoring)  # endpoints are not queried
    possible = possible_scorings(config.scoring, task.dev)
    each = len(task.dev) + len(task.test) + trial_items(len(task.dev), possible)
    options = max(len(item.choices or {}) for item in (*task.dev, *task.test))
    size = Size(len(group.members), len(task.dev), len(task.test), options, config.settings)
    requests = sum(further(one, size)[0] for one in strategies)
    texts = sum(further(one, size)[1] for one in strategies)
    pace, writing = _paces(local, task, possible[-1], writes=texts > 0)
    seconds = pace * (each * len(local) + requests) + writing * texts
    timed = Timed(task.name, len(task.dev), len(task.test), " or ".join(possible), pace if local else None, pace, 0.0)
    found = plan(
        (timed,),
        each * len(group.members) + requests,
        seconds,
        dtype=pick_dtype(config.dtype, pick_device(config.device)),
        device=config.device,
        notes=[*_notes(task, group, local, texts), *(f"skipped: {name}: {why}" for name, why in left_out.items())],
    )
    return replace(found, texts=texts), pace


def _paces(members: Sequence[LocalMember], task: Task, scoring: Scoring, writes: bool) -> tuple[float, float]:
    """Mean seconds of a member's answer to an item, and of a text that it writes (0 where none is needed)."""
    if not members:
        return 0.0, 0.0
    sample = task.dev[:SAMPLE]
    first = list({id(member.base): member for member in members}.values())  # one of each base
    answers = [seconds_of(lambda m=member: m.answer(sample, scoring, task.prompt)) / len(sample) for member in first]  # type: ignore[misc]
    if not writes:
        return sum(answers) / len(first), 0.0
    prompt = render_prompt(sample[0], "generate", task.prompt)
    texts = [seconds_of(lambda m=member: m.generate([prompt])) for member in first]  # type: ignore[misc]
    return sum(answers) / len(first), sum(texts) / len(first)


def _notes(task: Task, group: Group, local: Sequence[Member], texts: int) -> list[str]:
    notes = [task.note] if task.note else []
    if remote := len(group.members) - len(local):
        notes.append(f"{remote} of {len(group.members)} members are endpoints and are not in the time")
    if texts:
        notes.append(
            "how many texts are written depends on the answers; each is taken to be as long as the one timed"
        )
    if group.judge is not None and not isinstance(group.judge, LocalMember):
        notes.append("the judge is an endpoint; its requests are counted as a member's")
    return notes
