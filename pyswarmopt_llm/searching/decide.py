"""From what was asked to a plan: presets choose, what was typed wins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from datetime import date
from typing import Any

from pyswarmopt_llm.common.config import MODEL_SWARMS, MODELS, SearchConfig, given_settings
from pyswarmopt_llm.mix.kind import SpaceKind
from pyswarmopt_llm.scores.metrics.objectives import Objectives, check_answers, load_objectives
from pyswarmopt_llm.searching.plan import Plan
from pyswarmopt_llm.searching.presets import PRESETS, PUBLISHED, Method, preset_of, space_of
from pyswarmopt_llm.searching.rules import check_costs, check_settings, check_tasks, threads_of
from pyswarmopt_llm.searching.work import Work

# What was measured where the truth was known: research/notes/rewards.md.
GAMED = (
    "a model rates the replies, and a search may please it without answering better; on synthetic "
    "statements the rating rose from 5.4 to 7.5 and the right facts fell from 0.42 to 0.35: read "
    "the replies"
)


def make_plan(config: SearchConfig) -> Work:
    """Decide a search.

    The plan's `compat` is ``paper`` only if what runs is the published algorithm, and ``none`` if
    that is another one.

    Raises:
        UserError: a setting that is out of range, unknown, in conflict, or not for these tasks.
    """
    given = given_settings(config)
    asked = Plan(asked_for(config), given)
    check_settings(asked)
    objectives = load_objectives(asked.config)
    # The harness may have replies written.
    thinking = 0 if objectives.externals else config.thinking
    check_answers(config.scoring, thinking, objectives.tasks, objectives.metrics)
    work = Work(asked, objectives)
    check_tasks(work)
    method = PRESETS[preset_of(config)](work)
    typed = {each.name for each in fields(Method)} - {"settings"}  # presets add to these
    method = replace(method, **{name: given[name] for name in given if name in typed})
    if method.method in MODELS:
        method = replace(method, max_iter=None)  # `max_iter` 0 asks for no iterations
    decided = Work(_decided(asked, method, objectives), objectives)
    check_costs(decided)
    return decided


def stored_plan(config: SearchConfig, given: Mapping[str, Any] | None = None) -> Work:
    """The plan that ``run.json`` holds, with its tasks; nothing is decided again.

    Args:
        config: the settings that were decided.
        given: those of them that were given.

    Raises:
        UserError: the settings are not those of a plan, or do not fit the tasks any more.
    """
    plan = Plan(config, given or {})
    check_settings(plan)
    work = Work(plan, load_objectives(config))
    check_tasks(work)
    return work


def asked_for(config: SearchConfig) -> SearchConfig:
    """The settings that are asked for, with preset, space, grid and the day filled in.

    Raises:
        InvalidOption: settings that contradict each other.
    """
    preset = preset_of(config)
    grid = config.grid
    if grid == "auto":
        draws = config.preset in PUBLISHED  # `compat` alone means one set of coefficients
        theirs = config.optimizer in ("auto", MODEL_SWARMS)
        grid = "paper" if draws and theirs else "given"
    day = config.day or date.today().isoformat()
    return replace(config, preset=preset, space=space_of(config), grid=grid, day=day)


def _decided(asked: Plan, method: Method, objectives: Objectives) -> Plan:
    """The plan with a method in place of what was left open."""
    config = asked.config
    why = dict(method.why)
    combine = config.combine
    if combine == "auto" and objectives.combined_by != "harmonic":
        combine = objectives.combined_by
        why["combine"] = (
            f"{', '.join(objectives.names)}: the mean of the scores is maximised (`combine` "
            "arithmetic), since they may be negative; front/ has other compromises"
        )
    if gamed := [name for name, metric in objectives.metrics.items() if metric.gamed]:
        why["gamed"] = f"{', '.join(gamed)}: {GAMED}"
    threads = config.threads
    if not asked.alone and threads is None:
        threads = threads_of(config.processes)
    config = replace(
        config,
        **method.chosen,
        combine=combine,
        threads=threads,
        compat=_compat(config, method, asked.kind),
    )
    return Plan(config, asked.given, why)


def _compat(config: SearchConfig, method: Method, kind: SpaceKind) -> str:
    """Source of the algorithm: the paper, its authors' code, or neither."""
    if method.optimizer != MODEL_SWARMS:
        return "none"
    if config.compat == "reference" or config.preset == "reference":
        return "reference"
    departures = kind.departures({**asdict(config), **method.chosen})
    return "none" if departures else "paper"
