"""The plan of a search: decided once from what is given, printed, priced and stored.

A preset fills in what is not given. ``auto`` is the best that this project's tables know for a
task: weight changes (``delta``), candidates that a swarm finds in a model of the items' margins in
place of iterations, and training on dev at the end. ``paper`` is the published procedure,
``reference`` that of the authors' released scripts, ``none`` the plain default of every setting.
Settings that are given win, also those that equal a default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from functools import cache, cached_property, partial
from typing import Any, Self

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import (
    ALONE,
    LEAST_DEV,
    LEAST_DEV_BESIDE_SPARE,
    LEAST_TRAINED,
    MAX_ITER,
    MODEL_SWARMS,
    PARTICLES,
    PATIENCE,
    SUMS,
    TRANSFORMERS,
    SearchConfig,
    given_settings,
    is_server,
    with_defaults,
)
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.optimizers import check_optimizer, is_swarm
from pyswarmopt_llm.common.options import check_options, option_name, options_of
from pyswarmopt_llm.experts.files import inside, refuse_unmatched
from pyswarmopt_llm.mix import SpaceKind, space_kind
from pyswarmopt_llm.scores.choices import MOST_STARTS, labelled
from pyswarmopt_llm.scores.metrics.accuracy import TRIED, trial_items
from pyswarmopt_llm.scores.metrics.objectives import Objectives, load_objectives
from pyswarmopt_llm.searching.scoring.run_directory import UNTRAINED

RAY = "ray"
_UNSET = (None, "auto", "off", "", (), 0)  # values with which a setting asks for nothing


CANDIDATES = 40  # of which iterations without another limit may score as many items
WRITING = 10  # particles where replies are written, so that `CANDIDATES` are several iterations
EXPERT_ITERATION = 0.5  # share of `budget_minutes` that is kept for it
MOST_KEPT = 10  # candidates at most that a budget of items keeps for proposals
PUBLISHED = ("paper", "reference")
_PLAIN: dict[str, Any] = {
    **{"space": "factor", "particles": PARTICLES, "max_iter": MAX_ITER, "patience": PATIENCE},
    **{"train": "off", "grid": "given", "drop_k": 0.0, "drop_n": 0.0},
}
# The authors' four shell scripts call search.py with a restart patience of .67 times its patience
# (a particle goes back after 6 evaluations without a new best, which `restart_patience` 7 is under
# ``compat`` reference) and draw the other coefficients from the paper's grid; search.py has these
# values for them, and at most 200 iterations.
_OF_SCRIPTS = {"restart_patience": "7"}
_OF_SEARCH_PY = {"inertia": "0.4", "cognitive": "0.3", "social": "0.3", "repel": "0.3", "step": "1"}
_MOST_RELEASED = 200
_OF_ITERATIONS = ("optimizer", "max_iter", "patience", "settings", "drop_k", "drop_n")


@dataclass(frozen=True)
class Part:
    """A part of a search: so many models scored on dev and on test, and passes besides."""

    name: str
    dev: int = 0
    test: int = 0
    other: int = 0

    def of(self, dev: float, test: float, other: float) -> float:
        """Its cost, where a model on dev, one on test and another pass of an item cost so much."""
        return self.dev * dev + self.test * test + self.other * other


@dataclass(frozen=True)
class Budget:
    """Limits of a search, and the time at which it has to end to keep within them.

    Seconds are those that the journal has of every evaluation, so that a resumed run ends where the
    interrupted one would have. The closing evaluations (best, best single expert and average, on
    dev and test) are reserved at the pace so far.
    """

    seconds: float | None  # for all evaluations, and for expert iteration; None: no limit
    items: int | None  # item evaluations of the search; None: no limit
    closing_items: int = 0  # items of the closing evaluations, which count in `seconds` only
    kept_items: int = 0  # reserved for proposals, which are scored when the search has ended
    training_share: float = 0.0  # of the seconds, reserved for expert iteration

    def exceeded(self, total: int, seconds: float, more: int) -> dict[str, float]:
        """Reasons to stop: so many more items would exceed the budget, with those for training.

        Args:
            total: item evaluations so far.
            seconds: the time of these.
            more: items, without the closing ones.

        Example:
            >>> Budget(None, 1000).exceeded(700, 9.0, 300), Budget(None, 999).exceeded(700, 9.0, 300)
            ({}, {'budget_items': 700})
            >>> Budget(15.0, None, closing_items=400).exceeded(700, 9.0, 300)
            {'budget_minutes': 0.15}
        """
        reasons: dict[str, float] = {}
        if self.items is not None and total + more > self.items:
            reasons["budget_items"] = total
        left = self.left(total, seconds, more)
        if left is not None and left < self.training_share * (self.seconds or 0.0):
            reasons["budget_minutes"] = round(seconds / 60, 3)
        return reasons

    def left(self, total: int, seconds: float, more: int = 0) -> float | None:
        """Seconds that are left after so many more items and the closing ones, at the pace so far;
        None: any number.

        Example:
            >>> Budget(60.0, None, closing_items=100).left(200, 10.0)
            45.0
        """
        if self.seconds is None:
            return None
        pace = seconds / total if total else 0.0
        return self.seconds - seconds - pace * (more + self.closing_items)


@dataclass(frozen=True)
class Plan:
    """A search that is decided: every setting of `config` has a value. While it is decided, it is
    what the rules look at.

    Attributes:
        config: the settings.
        given: those that were given.
        kind, workers: the space and the workers that they name.
        load: reads tasks and scores, which may be wrong.
        why: topic -> why something was chosen, or was not, where a user should know.
        drawn_from: the settings of the grid of coefficients that `config` is a draw of, if it is.
    """

    config: SearchConfig
    given: Mapping[str, Any]
    kind: SpaceKind
    workers: Workers
    load: Callable[[], Objectives]
    _: KW_ONLY
    why: Mapping[str, str] = field(default_factory=dict)
    drawn_from: Mapping[str, Any] = field(default_factory=dict)

    @property
    def objectives(self) -> Objectives:
        """Tasks and scores."""
        return self.load()

    @property
    def items(self) -> int:
        """Dev items of all tasks."""
        return sum(len(task.dev) for task in self.objectives.tasks.values())

    @property
    def size(self) -> int:
        """Coefficients of a candidate."""
        return self.kind.size(len(self.config.experts))

    @property
    def local(self) -> bool:
        """Whether one process does everything, with its own base."""
        return self.config.engine == TRANSFORMERS and self.workers.alone

    @property
    def paid(self) -> str:
        """The metric that is paid for by the request; "" if none is."""
        metrics = self.objectives.metrics.values()
        return next((metric.name for metric in metrics if metric.usage is not None), "")

    @property
    def external(self) -> str:
        """An objective that scores the engine without items; "" if there is none."""
        return next(iter(self.objectives.externals), "")

    @property
    def untrainable(self) -> str:
        """Why nothing can be trained; "" if it can."""
        return reason("train", self)

    @property
    def without_options(self) -> str:
        """An objective that is not decided by the scores of options, and by what instead; "" if all
        are.
        """
        objectives, scoring = self.objectives, self.config.scoring
        for name in objectives.externals:
            return f"{name} is scored by its own score"
        for name, metric in objectives.metrics.items():
            if metric.name != "accuracy":
                return f"{name} is scored by {metric.name}"
            if "generate" in objectives.scorings(name, scoring):
                return f"{name} is answered by writing"
        return ""

    def with_settings(self, **values: Any) -> Self:
        """The plan with other values of these settings, and the same tasks."""
        return replace(self, config=replace(self.config, **values))

    @property
    def stored(self) -> SearchConfig:
        """The settings that ``run.json`` holds: of the grid, not of one of its draws."""
        return replace(self.config, **self.drawn_from)

    @property
    def chosen(self) -> dict[str, Any]:
        """The settings that were not given."""
        settings = given_settings(self.stored).items()
        return {name: value for name, value in settings if name not in self.given}

    @property
    def trains(self) -> bool:
        """Whether something is trained at the end."""
        return self.config.train == "on"

    @property
    def training(self) -> str:
        """The training at the end, in words."""
        if self.objectives.written:
            kind = "spare" if self.objectives.spare else "dev"
            return f"expert iteration on the {counted(self.trained_items, f'{kind} prompt')}"
        return f"training on the {counted(self.items, 'dev example')}"

    @property
    def test_items(self) -> int:
        """Test items of all tasks."""
        return sum(len(task.test) for task in self.objectives.tasks.values())

    @property
    def trained_items(self) -> int:
        """Items that are trained on: dev items, or spare ones; the prompts of several scores count
        once.
        """
        return self.distinct("spare" if self.objectives.spare else "dev")

    def distinct(self, split: str) -> int:
        """Items of a split; those that all tasks share count once."""
        counts = [len(task.split(split)) for task in self.objectives.tasks.values()]
        return counts[0] if self.objectives.alike else sum(counts)

    @property
    def proposals(self) -> int:
        """Candidates that a model proposes at most, when the iterations have ended."""
        return self.config.proposals or 0

    @property
    def evaluations(self) -> int:
        """Evaluations if nothing stops the search early."""
        return self.config.population * (self.config.iterations + 1) + self.proposals

    def affordable(self, draws: int = 1) -> int:
        """Evaluations that the budget of items pays for, of so many draws, of which the first alone
        scores the starting swarm.
        """
        most = self.evaluations + (draws - 1) * (self.evaluations - self.config.population)
        items = self.config.budget_items
        return most if items is None else min(most, max(items // max(self.items, 1), 1))

    @property
    def rivals(self) -> int:
        """Models that the result is compared with, at most."""
        if self.config.no_rivals or self.kind.several_models:
            return 0
        if self.config.quick or not (self.trains and self.test_items):
            return 1
        return 2 if self.objectives.written else 3

    @property
    def choosy(self) -> bool:
        """Whether a proposal has to promise something, since all that is found is trained anyway."""
        return self.trains and "proposals" not in self.given

    @cached_property
    def budget(self) -> Budget:
        """The budget of the search."""
        minutes, items = self.config.budget_minutes, self.config.budget_items
        closing = self.parts[-1]
        candidates = self.proposals  # kept for proposals after iterations
        if items is not None:
            candidates = min(candidates, MOST_KEPT, items // self.items // 4)
        return Budget(
            None if minutes is None else 60 * minutes,
            items,
            2 * self.items + closing.test * self.test_items,
            candidates * self.items,
            EXPERT_ITERATION if self.trains and self.objectives.written else 0.0,
        )

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Parts of the search at most, in order; the last one scores the result."""
        experts, scored = len(self.config.experts), self.affordable()
        if self.kind.remembers and not self.without_options:
            scored = experts
        possible = self.objectives.scorings
        tried = sum(
            trial_items(len(task.dev), possible(name, self.config.scoring))
            for name, task in self.objectives.tasks.items()
        )
        return (
            Part("option letters", other=tried * min(experts, TRIED)),
            Part("experts", dev=min(experts, scored)),
            Part("mixtures", dev=max(scored - experts, 0)),
            Part("training", other=self._training() if self.trains else 0),
            Part("rivals", dev=self.rivals, test=self.rivals),
            Part("result", dev=2 + self.trains, test=3 + self.trains),
        )

    def _training(self) -> int:
        """Passes of training, and replies that are written for it."""
        if not self.objectives.written:
            starts = 1 if self.config.quick else MOST_STARTS
            return starts * labelled(self.items).passes(self.items)
        from pyswarmopt_llm.searching.written.samples import planned_passes

        spare = self.trained_items if self.objectives.spare else 0
        return planned_passes(self.distinct("dev"), spare)

    @property
    def passes(self) -> dict[str, int]:
        """Part -> forward passes of an item that it takes at most, a backward pass counted as
        measured.
        """
        return {part.name: int(part.of(self.items, self.test_items, 1)) for part in self.parts}

    def seconds(self, dev: float, test: float, other: float) -> dict[str, float]:
        """Part -> seconds that it takes at most; `budget_minutes` bounds all but training and
        rivals.

        Args:
            dev: seconds of an evaluation on dev.
            test: of one on test.
            other: of another pass of an item.
        """
        taken = {part.name: part.of(dev, test, other) for part in self.parts}
        for name in ("experts", "mixtures"):
            taken[name] /= self.workers.side_by_side
        bounded = [name for name in taken if name not in ("training", "rivals")]
        most, minutes = sum(taken[name] for name in bounded), self.config.budget_minutes
        if minutes is not None and most > 60 * minutes:
            taken |= {name: taken[name] * 60 * minutes / most for name in bounded}
        return taken


def make_plan(config: SearchConfig, given: Mapping[str, Any] | None = None) -> Plan:
    """Decide a search.

    The plan's `compat` is ``paper`` only if what runs is the published algorithm, and ``none`` if
    that is another one.

    Args:
        config: the settings.
        given: those that were given, where `config` has more than that; see `given_settings`.

    Raises:
        UserError: a setting that is out of range, unknown, in conflict, or not for these tasks.
    """
    given = given_settings(config) if given is None else given
    config = with_preset(config)
    drawn_from: dict[str, Any] = {}
    if config.is_grid:
        from pyswarmopt_llm.searching.grid import make_grid

        drawn_from = {name: getattr(config, name) for name in ("settings", "grid", "draws")}
        (first, *_) = make_grid(config).waiting
        config = replace(config, settings=first, grid="given", draws=None)
    kind, workers = space_kind(config.space), parse_workers(config.workers)
    load = cache(partial(load_objectives, config))
    plan = Plan(config, given, kind, workers, load, drawn_from=drawn_from)
    check(plan)
    why: dict[str, str] = {}
    chosen = dict[str, Any]()
    if config.preset == "auto":
        chosen, why = _automatic(plan)
    config = with_defaults(
        with_defaults(config, chosen), {**_PLAIN, "threads": threads_of(workers)}
    )
    by = plan.objectives.combined_by
    if config.combine == "auto" and by != "harmonic":
        config = replace(config, combine=by)
        why["combine"] = (
            f"{', '.join(plan.objectives.names)}: the mean of the scores is maximised (`combine` "
            "arithmetic), since they may be negative; front/ has other compromises"
        )
    if config.proposals is None:
        config = replace(config, proposals=ALONE if config.surrogate else 0)
    config = with_defaults(config, {"start": _start(plan, config)})
    config = replace(config, compat=_compat(plan, config))
    plan = replace(plan, config=config, why=why)
    _check_budget(plan)
    return plan


def with_preset(config: SearchConfig) -> SearchConfig:
    """The settings with what a preset chooses whatever the tasks are; ``auto`` waits for these.

    Raises:
        InvalidOption: settings that contradict each other.

    Example:
        >>> auto = SearchConfig("b", ("x", "y"), ("t",), "r")
        >>> paper = with_preset(replace(auto, preset="paper", particles=8))
        >>> with_preset(auto).space, paper.space, paper.particles, paper.max_iter
        ('delta', 'factor', 8, 50)
    """
    config = _named_preset(config)
    if config.preset in PUBLISHED:
        config = _published(config)
    config = with_defaults(config, {"optimizer": MODEL_SWARMS})
    if config.preset == "auto":
        config = with_defaults(config, {"space": "delta" if config.base else "token"})
    else:
        config = with_defaults(config, _PLAIN)
    if config.draws is not None and not config.is_grid:
        why = "nothing to draw from; give several values of a coefficient, or `preset` paper"
        raise InvalidOption("draws", config.draws, why)
    return config


def _named_preset(config: SearchConfig) -> SearchConfig:
    """The settings with their preset: `compat` stands for one, with one set of coefficients.

    Raises:
        InvalidOption: `compat` and `preset` contradict each other.
    """
    if config.compat == "auto":
        return replace(config, preset=config.preset or "auto")
    if config.preset is None and config.compat in PUBLISHED:
        return with_defaults(replace(config, preset=config.compat), {"grid": "given"})
    preset = config.preset or "auto"
    allowed = ("auto", "none") if config.compat == "none" else (config.compat, "none")
    if preset not in allowed:
        why = f"contradicts `preset` {preset}; remove one of them"
        raise InvalidOption("compat", config.compat, why)
    return replace(config, preset=preset)


def _published(config: SearchConfig) -> SearchConfig:
    """The settings as the paper, or the authors' scripts, have them."""
    published = config.optimizer in ("auto", MODEL_SWARMS)
    choices: dict[str, Any] = {
        "compat": config.preset,
        "start": "segments",
        "grid": "paper" if published else "given",
    }
    if config.preset == "paper" or not published:
        return with_defaults(config, choices)
    config = with_defaults(config, {**choices, "max_iter": _MOST_RELEASED})
    values = _OF_SCRIPTS if config.grid == "paper" else {**_OF_SEARCH_PY, **_OF_SCRIPTS}
    names = {setting.partition("=")[0].replace("-", "_") for setting in config.settings}
    added = tuple(f"{name}={value}" for name, value in values.items() if name not in names)
    return replace(config, settings=(*added, *config.settings))


def _automatic(plan: Plan) -> tuple[dict[str, Any], dict[str, str]]:
    """Choices of ``auto`` by task, and why not more."""
    if plan.config.quick:
        particles = len(plan.config.experts) + 1
        chosen = {"max_iter": 0, "particles": particles, "proposals": 0, "start": "base"}
        return {**chosen, "train": "on"}, {}
    chosen, why = _rounds(plan), dict[str, str]()
    few = _too_few(plan)
    if plan.paid or reason("train", plan, but_for=ENOUGH):
        return chosen, why
    if not few:
        chosen["train"] = "on"
    elif plan.config.train == "auto":
        why[UNTRAINED] = few
    return chosen, why


def _too_few(plan: Plan) -> str:
    """Why ``auto`` does not train on so few dev items, and the remedy; "" if there are enough."""
    least = LEAST_DEV_BESIDE_SPARE if plan.objectives.spare else LEAST_DEV
    items = plan.distinct("dev")
    if items >= least:
        return ""
    remedy = " or give `train on`" if items >= LEAST_TRAINED else ""
    name, beside = "example", ""
    if plan.objectives.written:
        name, least = "prompt", LEAST_DEV_BESIDE_SPARE
        beside = f", or from {least} (`dev` {least}) with as many spare ones"
    return (
        f"{counted(items, f'dev {name}')}, too few to train on: `auto` trains from {LEAST_DEV} "
        f"on{beside}; add {name}s{remedy}"
    )


def _rounds(plan: Plan) -> dict[str, Any]:
    """Particles, iterations, proposals and who makes them, or a budget for iterations.

    Without a setting of iterations there are none: proposals of a model do better for fewer passes.
    What is scored then are the experts, the base, their average and sum, and the proposals.
    Iterations that nothing ends have a budget, without which they may take hours.
    """
    config, experts = plan.config, len(plan.config.experts)
    starting = experts + SUMS["even"]
    free = not any(name in plan.given for name in _OF_ITERATIONS)
    endless = config.max_iter is None and config.budget_items is None
    if not reason("surrogate", plan):
        if free or config.max_iter == 0:
            return {"max_iter": 0, "surrogate": "items", "particles": starting}
        return {"budget_items": max(CANDIDATES, config.population) * plan.items} if endless else {}
    if not (plan.objectives.writes or plan.objectives.user_scored):
        return {}
    starting = max(config.particles or 0, starting)
    if free and not reason("proposals", plan):
        most = max(CANDIDATES - starting, ALONE)
        return {"max_iter": 0, "particles": starting, "proposals": most}
    if not endless:
        return {}
    particles = config.particles or max(WRITING, experts)
    population = replace(config, particles=particles).population
    return {"particles": particles, "max_iter": max(1, CANDIDATES // population - 1)}


def _start(plan: Plan, config: SearchConfig) -> str:
    """The starting points that ``auto`` stands for.

    Sums of experts are for swarms; rivals, and the authors' code, begin with the experts.
    """
    if not (plan.kind.linear and config.compat != "reference" and is_swarm(config.optimizer)):
        return "segments"
    return "sums" if config.iterations else "even"


def _compat(plan: Plan, config: SearchConfig) -> str:
    """Source of the algorithm: the paper, its authors' code, or neither."""
    if config.optimizer != MODEL_SWARMS:
        return "none"
    if config.compat == "reference":
        return "reference"
    return "none" if plan.kind.departures(asdict(config)) else "paper"


def _check_budget(plan: Plan) -> None:
    """Refuse a budget that the starting swarm alone exceeds."""
    budget, particles = plan.config.budget_items, plan.config.population
    if budget is not None and budget < particles * plan.items:
        needed = (
            f"the starting swarm alone takes {particles} x {plan.items} = {particles * plan.items}"
        )
        why = f"{needed}; raise it, or lower `particles` or `dev`"
        raise InvalidOption("budget_items", budget, why)


def preset_text(
    config: SearchConfig, given: Mapping[str, Any], training: str = "training on the dev examples"
) -> str:
    """The settings that a preset chose and those that were given, in a line.

    Example:
        >>> auto = SearchConfig("b", ("x", "y"), ("t",), "r", preset="auto", space="delta", max_iter=0)
        >>> preset_text(replace(auto, surrogate="items", proposals=6), {})
        'preset auto: space delta, 6 candidates proposed by a model of the items (`max_iter` N: iterations first)'
        >>> preset_text(replace(auto, preset="paper", grid="paper", optimizer="model-swarms"), {"seed": 3})
        'preset paper: space delta; given: seed 3'
    """
    options = options_of(SearchConfig)
    typed = []
    for name, value in given.items():
        if name != "preset":
            shown = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
            typed.append(f"{option_name(name, options.get(name))} {shown}")
    line = f"preset {config.preset}: {', '.join(_words(config, training))}"
    return f"{line}; given: {', '.join(typed)}" if typed else line


def _words(config: SearchConfig, training: str) -> Iterator[str]:
    """The settings that a preset chooses, a few words each."""
    yield f"space {config.space}"
    if config.quick:
        yield "quick: a race finds the best of base and experts"
    if config.iterations:
        if config.optimizer != MODEL_SWARMS:
            yield config.optimizer
        yield counted(config.population, "particle")
        yield f"at most {counted(config.iterations, 'iteration')}"
        if config.budget_items is not None:
            yield f"at most {config.budget_items:,} examples"
    elif config.proposals:
        model = config.surrogate or "scores"
        yield f"{config.proposals} candidates proposed by a model of the {model} (`max_iter` N: iterations first)"
    if config.train == "on":
        yield f"then {training}"


@dataclass(frozen=True)
class Rule:
    """A condition on a setting.

    Attributes:
        setting: its name.
        holds: whether it may be set.
        why: what is wrong otherwise, and what to do; `{f}` stands for the plan so far.
    """

    setting: str
    holds: Callable[[Plan], bool]
    why: str


def _chosen_by_auto(plan: Plan) -> bool:
    """Whether `quick` is auto's, as it is in workers and in a resumed run, where what a preset chose
    is given.
    """
    chosen = plan.config.preset == "none" and plan.config.max_iter == 0
    return plan.config.preset == "auto" or chosen


def _few_coefficients(plan: Plan) -> bool:
    from pyswarmopt_llm.searching.surrogate import MOST_COEFFICIENTS

    return plan.size <= MOST_COEFFICIENTS


_ONE_MODEL = "`space` {f.kind.name} scores all examples at once; remove it"
_OPTIONS = "learns from the scores of options, {f.without_options}; remove it"
_FEW = "a model learns from at most 64 coefficients, here a candidate has {f.size}; "
ENOUGH = Rule(
    "train",
    lambda f: f.items >= LEAST_TRAINED,
    "{f.items} dev examples are too few to train on; remove it",
)
SETTINGS = (
    Rule(
        "workers",
        lambda f: f.workers.alone or not f.kind.several_models,
        "space {f.kind.name} has several models in one process; remove it",
    ),
    Rule(
        "budget_minutes",
        lambda f: not f.workers.address,
        "the number of Ray's workers is not known ahead; give `budget_items`",
    ),
    Rule(
        "mix",
        lambda f: not f.config.served,
        "`engine` {f.config.engine} adds adapters at run time; remove it",
    ),
    Rule(
        "engine",
        lambda f: not f.config.served or f.kind.adapters,
        "takes LoRA candidates, not space {f.kind.name}; remove it",
    ),
    Rule(
        "space",
        lambda f: not f.config.served or f.kind.name == "delta",
        "a server takes candidates of space delta; give that",
    ),
    Rule(
        "engine",
        lambda f: not f.config.served or f.workers.alone,
        "makes its own batches in one process; remove `workers`",
    ),
    Rule(
        "temperature",
        lambda f: not f.kind.several_models,
        "`space` {f.kind.name} writes greedy replies only; remove it",
    ),
    Rule(
        "temperature",
        lambda f: f.config.engine == TRANSFORMERS,
        "`engine` {f.config.engine} writes greedy replies only; remove it",
    ),
    Rule(
        "start",
        lambda f: f.kind.adapters or f.config.start not in SUMS,
        "sums weight changes by coefficients, which `space` {f.kind.name} does not have; remove it",
    ),
    Rule(
        "surrogate", lambda f: not f.config.iterations, "goes without iterations; give `max_iter` 0"
    ),
    Rule(
        "optimizer",
        lambda f: is_swarm(f.config.optimizer) or not (f.config.drop_k or f.config.drop_n),
        "needs every value; remove `drop_k` and `drop_n`",
    ),
)
TASKS = (
    Rule("quick", _chosen_by_auto, "goes with `preset` auto; remove one"),
    Rule("quick", lambda f: not f.untrainable, "it trains, and training {f.untrainable}"),
    Rule(
        "quick",
        lambda f: not f.without_options,
        "a race needs the scores of options, {f.without_options}; remove it",
    ),
    Rule(
        "workers",
        lambda f: f.workers.alone or not f.paid,
        "{f.paid} counts and limits its requests in one process; remove it",
    ),
    Rule(
        "space",
        lambda f: not (f.kind.several_models and f.external),
        "{f.external} scores one model, not several; give task files",
    ),
    Rule(
        "train",
        lambda f: f.kind.linear,
        "goes with `space` delta only, not with {f.kind.name}; remove it",
    ),
    Rule(
        "train",
        lambda f: not f.config.served,
        "nothing is trained through a server, which takes no gradients; remove it",
    ),
    Rule(
        "train",
        lambda f: f.local,
        "goes with one worker and `engine` transformers; remove it, or change those",
    ),
    Rule(
        "train",
        lambda f: f.objectives.written or not f.without_options,
        "learns from the scores of options, or where all tasks have scores of written replies, "
        "{f.without_options}; remove it",
    ),
    ENOUGH,
    Rule("surrogate", lambda f: not f.kind.several_models, _ONE_MODEL),
    Rule("surrogate", lambda f: not f.without_options, _OPTIONS),
    Rule("surrogate", _few_coefficients, _FEW + "remove it"),
    Rule("proposals", _few_coefficients, _FEW + "give 0"),
)


def reason(setting: str, plan: Plan, but_for: Rule | None = None) -> str:
    """Why a setting cannot be set, by the rules `but_for` one; "" if it can."""
    rules = (rule for rule in TASKS if rule.setting == setting and rule is not but_for)
    return next((rule.why.format(f=plan) for rule in rules if not rule.holds(plan)), "")


def check(plan: Plan) -> None:
    """Refuse settings that are out of range, unknown, in conflict, or not for these tasks.

    Raises:
        UserError: names the first one.
    """
    config, kind = plan.config, plan.kind
    _check_experts(config)
    check_options(config)
    kind.check(config)
    _check_engine(config.engine)
    check_optimizer(config.optimizer, config.settings)
    for rule in (*SETTINGS, *TASKS):
        value = getattr(config, rule.setting)
        if value not in _UNSET and not rule.holds(plan):
            raise InvalidOption(rule.setting, value, rule.why.format(f=plan))


def _check_experts(config: SearchConfig) -> None:
    """Refuse fewer than two."""
    refuse_unmatched(config.experts)
    if len(config.experts) < 2:
        hints = "".join(inside(spec, "adapter_config.json") for spec in config.experts)
        why = f"{len(config.experts)} given, a search mixes at least 2"
        raise InvalidOption("experts", None, why + (hints or "; name more of them"))


def _check_engine(engine: str) -> None:
    """Refuse what is neither here nor a server."""
    if engine == TRANSFORMERS:
        return
    from pyswarmopt_llm.common.files.http import server_url

    if not is_server(engine):
        raise InvalidOption("engine", engine, "unknown; use transformers or http://HOST:PORT")
    server_url(engine)


@dataclass(frozen=True)
class Workers:
    """Number of workers, and where they run.

    Attributes:
        count: processes on this machine; 0 where the cluster decides.
        address: of a Ray cluster: "" for none, ``ray`` for the one that is running here, or
            ``ray://HOST``.
    """

    count: int
    address: str = ""

    @property
    def alone(self) -> bool:
        """Whether the search's own process does everything."""
        return self.count == 1

    @property
    def side_by_side(self) -> int:
        """Number of workers that score at the same time, as far as that is known."""
        return max(self.count, 1)


def parse_workers(text: str) -> Workers:
    """The workers that an option of a search names.

    Raises:
        InvalidOption: neither a number nor Ray.

    Example:
        >>> parse_workers("2"), parse_workers("ray://10.0.0.1")
        (Workers(count=2, address=''), Workers(count=0, address='ray://10.0.0.1'))
    """
    if text == RAY or (text.startswith("ray://") and len(text) > len("ray://")):
        return Workers(0, text)
    if text.isdecimal() and 1 <= int(text) <= 4096:
        return Workers(int(text))
    raise InvalidOption("workers", text, "give a number from 1 on, ray, or ray://HOST")


def threads_of(workers: Workers) -> int | None:
    """Threads of each of several workers: the cores, divided among them; None for one.

    It is written into ``run.json``: the last bits of a score may depend on the number of threads.
    """
    if workers.alone:
        return None
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, cores // workers.count) if workers.count else 1
