"""Turns a request into a plan: presets choose, typed settings win.

A preset is a function that returns a complete `Method` for a request. ``auto`` is the best method
in this project's tables for the task: weight changes (``delta``), candidates proposed by a model of
the items' margins in place of iterations, and training on dev at the end. ``paper`` is the
published procedure, ``reference`` the authors' released scripts, ``none`` the plain default of
every setting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import (
    ALONE,
    LEAST_DEV,
    LEAST_DEV_BESIDE_SPARE,
    LEAST_TRAINED,
    MAX_ITER,
    MODEL_SWARMS,
    MODELS,
    PARTICLES,
    PATIENCE,
    SUMS,
    SearchConfig,
    given_settings,
)
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.optimizers import is_swarm
from pyswarmopt_llm.mix import use_own
from pyswarmopt_llm.mix.kind import SpaceKind
from pyswarmopt_llm.scores.metrics.objectives import Objectives, check_answers, load_objectives
from pyswarmopt_llm.searching.plan import Plan, Work
from pyswarmopt_llm.searching.rules import (
    ENOUGH,
    check_costs,
    check_settings,
    check_tasks,
    modelled,
    reason,
    threads_of,
)
from pyswarmopt_llm.searching.scoring.run_directory import UNTRAINED

PUBLISHED = ("paper", "reference")
CANDIDATES = 40  # evaluations per search if nothing else limits the iterations
WRITING = 10  # particles if replies are written, so that `CANDIDATES` make several iterations
# The authors' four shell scripts set the restart patience of search.py to .67 times its patience (a
# particle goes back after 6 evaluations without a new best: `restart_patience` 7 under ``compat``
# reference) and draw the other coefficients from the paper's grid. search.py's own values for them
# are below; it runs at most 200 iterations.
_OF_SCRIPTS = {"restart_patience": "7"}
_OF_SEARCH_PY = {"inertia": "0.4", "cognitive": "0.3", "social": "0.3", "repel": "0.3", "step": "1"}
_MOST_RELEASED = 200
# How a LoRA's location is read: research/notes/trial.md.
READINGS = (
    "a location is read as weights, as in the paper's text; `space` factor reads it as the matrices "
    "A and B, as in the authors' code, and gained less on synthetic tasks"
)
# Why `auto` does not train with a score that costs money.
UNPAID = (
    "nothing is trained: every reply that is tried would be a request to pay for; to train give "
    "`train on`"
)
# Measured where the truth was known: research/notes/rewards.md.
GAMED = (
    "a model rates the replies, and a search may please it without answering better; on synthetic "
    "statements the rating rose from 5.4 to 7.5 and the right facts fell from 0.42 to 0.35: read "
    "the replies"
)


def make_plan(config: SearchConfig) -> Work:
    """Decide a search.

    The plan's `compat` is ``paper`` only if the published algorithm runs, else ``none``.

    Raises:
        UserError: a setting that is out of range, unknown, in conflict, or not for these tasks.
    """
    given = given_settings(config)
    asked = Plan(asked_for(config), given)
    check_settings(asked)
    objectives = load_objectives(asked.config)
    # The harness may write replies.
    thinking = 0 if objectives.externals else config.thinking
    check_answers(config.scoring, thinking, objectives.tasks, objectives.metrics)
    work = Work(asked, objectives)
    check_tasks(work)
    method = PRESETS[preset_of(config)](work)
    typed = {each.name for each in fields(Method)} - {"settings"}  # presets add settings
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
        given: settings that were given.

    Raises:
        UserError: the settings are not those of a plan, or do not fit the tasks any more.
    """
    use_own(config.space)
    plan = Plan(config, given or {})
    check_settings(plan)
    work = Work(plan, load_objectives(config))
    check_tasks(work)
    return work


def asked_for(config: SearchConfig) -> SearchConfig:
    """The requested settings, with preset, space, grid and day filled in.

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
    space = space_of(config)
    use_own(space)
    return replace(config, preset=preset, space=space, grid=grid, day=day)


def _decided(asked: Plan, method: Method, objectives: Objectives) -> Plan:
    """The plan, with the method in place of open settings."""
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


@dataclass(frozen=True)
class Method:
    """How candidates are found: the settings that a preset chooses, named as in `SearchConfig`.
    None means that a setting does not apply or has no limit.

    Attributes:
        why: topic -> why something was not chosen.
    """

    method: str
    space: str
    particles: int
    start: str
    proposals: int
    train: str
    settings: tuple[str, ...] = ()
    optimizer: str = "auto"
    max_iter: int | None = None
    patience: int | None = None
    drop_k: float | None = None
    drop_n: float | None = None
    budget_items: int | None = None
    why: Mapping[str, str] = field(default_factory=dict)

    @property
    def chosen(self) -> dict[str, Any]:
        """The method's settings."""
        names = [each.name for each in fields(self) if each.name != "why"]
        return {name: getattr(self, name) for name in names}


def swarm(asked: Work, **more: Any) -> Method:
    """A swarm with the plain default of every setting but these."""
    iterations = {"optimizer": MODEL_SWARMS, "max_iter": MAX_ITER, "patience": PATIENCE}
    plain: dict[str, Any] = {
        "method": "swarm",
        "space": space_of(asked.plan.config),
        "particles": PARTICLES,
        "start": "segments",
        "proposals": 0,
        "train": "off",
        "settings": asked.plan.config.settings,
        "drop_k": 0.0,
        "drop_n": 0.0,
    }
    return Method(**(plain | iterations | more))


def model(asked: Work, method: str, **more: Any) -> Method:
    """A model of the items or of the scores, with these settings."""
    config = asked.plan.config
    plain: dict[str, Any] = {
        "method": method,
        "space": space_of(config),
        "particles": len(config.experts) + SUMS["even"],
        "start": "even" if asked.plan.kind.linear else "segments",
        "proposals": ALONE,
        "train": "off",
    }
    return Method(**(plain | more))


def plain(asked: Work) -> Method:
    """Preset ``none``."""
    config = asked.plan.config
    if config.method in MODELS:
        return model(asked, config.method)
    return swarm(asked, start=_sums(asked))


def paper(asked: Work) -> Method:
    """Preset ``paper``: the published procedure."""
    config = asked.plan.config
    if config.method in MODELS:
        return model(asked, config.method, start="segments")
    found = swarm(asked)
    chosen = found.space == "delta" and "space" not in asked.plan.given
    return replace(found, why={"space": READINGS} if chosen else {})


def reference(asked: Work) -> Method:
    """Preset ``reference``: the procedure of the authors' scripts."""
    found = paper(asked)
    config = asked.plan.config
    if found.method in MODELS or config.optimizer not in ("auto", MODEL_SWARMS):
        return found
    values = _OF_SCRIPTS if config.grid == "paper" else {**_OF_SEARCH_PY, **_OF_SCRIPTS}
    names = {setting.partition("=")[0].replace("-", "_") for setting in config.settings}
    added = tuple(f"{name}={value}" for name, value in values.items() if name not in names)
    return replace(found, max_iter=_MOST_RELEASED, settings=(*added, *config.settings))


def automatic(asked: Work) -> Method:
    """Preset ``auto``: the best known method for the tasks."""
    config = asked.plan.config
    if config.quick:
        particles = len(config.experts) + SUMS["base"]
        return model(asked, "items", particles=particles, proposals=0, start="base", train="on")
    found = _proposing(asked)
    if reason("train", asked, but_for=ENOUGH):
        return found
    if any(metric.usage for metric in asked.objectives.metrics.values()):
        return replace(found, why={"train": UNPAID} if config.train == "auto" else {})
    few = _too_few(asked)
    if not few:
        return replace(found, train="on")
    return replace(found, why={UNTRAINED: few} if config.train == "auto" else {})


PRESETS: Mapping[str, Callable[[Work], Method]] = {
    "auto": automatic,
    "paper": paper,
    "reference": reference,
    "none": plain,
}


def preset_of(config: SearchConfig) -> str:
    """The requested preset, by its name or by `compat`.

    Raises:
        InvalidOption: `compat` and `preset` contradict each other.
    """
    compat = config.compat
    preset = config.preset or "auto"
    if config.preset is None and compat in PUBLISHED:
        return compat
    if compat != "auto" and preset not in ("none", "auto" if compat == "none" else compat):
        why = f"contradicts `preset` {preset}; remove one of them"
        raise InvalidOption("compat", compat, why)
    return preset


def space_of(config: SearchConfig) -> str:
    """The requested space; else the preset's, whatever the tasks are."""
    if config.space != "auto":
        return config.space
    if preset_of(config) in ("reference", "none"):
        return "factor"
    return "delta" if config.base else "token"


def _sums(asked: Work) -> str:
    """How a swarm over weight changes starts: from sums of experts. Baselines start from the
    experts.
    """
    config = asked.plan.config
    own = config.optimizer == "auto" or is_swarm(config.optimizer)
    if not (own and asked.plan.kind.linear and config.compat != "reference"):
        return "segments"
    return "even" if config.max_iter == 0 else "sums"


def _proposing(asked: Work) -> Method:
    """The proposer, with its particles and candidates, or with a budget for iterations.

    Without a setting for iterations there are none: a surrogate's candidates do better in fewer
    passes. The search then scores the experts, the base, their average and sum, and these
    candidates. Iterations without a stopping rule get a budget; else they may take hours.
    """
    config = asked.plan.config
    method = _method(asked)
    if method == "items":
        return model(asked, method)
    if method == "scores":
        particles = max(config.particles or 0, len(config.experts) + SUMS["even"])
        most = max(CANDIDATES - particles, ALONE)
        return model(asked, method, particles=particles, proposals=most)
    found = swarm(asked, start=_sums(asked))
    if config.max_iter is not None or config.budget_items is not None:
        return found
    if not modelled("items", asked):
        return replace(found, budget_items=max(CANDIDATES, config.population) * asked.items)
    if not _costly(asked):
        return found
    particles = config.particles or max(WRITING, len(config.experts))
    rounds = max(1, CANDIDATES // config.population_of(particles) - 1)
    return replace(found, particles=particles, max_iter=rounds)


def _method(asked: Work) -> str:
    """The proposer: a surrogate where one can learn, unless iterations are requested."""
    config = asked.plan.config
    if config.method != "auto":
        return config.method
    if asked.plan.iterations_given:
        return "swarm"
    if not modelled("items", asked):
        return "items"
    # a member's predictions are read once, for all mixtures
    free = asked.plan.kind.several_models and not _costly(asked)
    return "swarm" if free or modelled("scores", asked) else "scores"


def _costly(asked: Work) -> bool:
    """Whether an evaluation writes replies or calls a user's function."""
    return asked.objectives.writes or asked.objectives.user_scored


def _too_few(asked: Work) -> str:
    """Why ``auto`` does not train on the dev items, and the remedy; "" if there are enough."""
    least = LEAST_DEV_BESIDE_SPARE if asked.objectives.spare else LEAST_DEV
    items = asked.distinct("dev")
    if items >= least:
        return ""
    remedy = " or give `train on`" if items >= LEAST_TRAINED else ""
    name = "example"
    beside = ""
    if asked.objectives.written:
        name = "prompt"
        least = LEAST_DEV_BESIDE_SPARE
        beside = f", or set `dev` {least} and give as many more to train on"
    return (
        f"{counted(items, f'dev {name}')}, too few to train on: `auto` trains from {LEAST_DEV} "
        f"on; add {name}s{beside}{remedy}"
    )
