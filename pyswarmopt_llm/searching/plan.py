"""The plan of a search: decided once from what is given, printed, priced and stored.

A preset fills in what is not given. ``auto`` is the best that this project's tables know for a
task: weight changes (``delta``), candidates that a swarm finds in a model of the items' margins in
place of iterations, and training on dev at the end. ``paper`` is the published procedure,
``reference`` that of the authors' released scripts, ``none`` the plain default of every setting.
Settings that are given win, also those that equal a default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from functools import cache, cached_property, partial
from typing import Any, Self

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import (
    ALONE,
    LEAST_TRAINED,
    MAX_ITER,
    MODEL_SWARMS,
    MODELS,
    MOST_COEFFICIENTS,
    PARTICLES,
    PATIENCE,
    SUMS,
    TRANSFORMERS,
    SearchConfig,
    given_settings,
    with_defaults,
)
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.optimizers import check_optimizer, is_swarm
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.common.registry import lazy
from pyswarmopt_llm.experts.files import inside, refuse_unmatched
from pyswarmopt_llm.mix import SpaceKind, space_kind
from pyswarmopt_llm.scores.choices import MOST_STARTS, labelled
from pyswarmopt_llm.scores.metrics.accuracy import TRIED, trial_items
from pyswarmopt_llm.scores.metrics.objectives import Objectives, load_objectives

automatic = lazy("pyswarmopt_llm.searching.automatic:automatic")
first_draw = lazy("pyswarmopt_llm.searching.grid:first_draw")
published = lazy("pyswarmopt_llm.searching.published_presets:published")
with_compat = lazy("pyswarmopt_llm.searching.published_presets:with_compat")
check_place = lazy("pyswarmopt_llm.searching.elsewhere:check_place")
threads_of = lazy("pyswarmopt_llm.searching.elsewhere:threads_of")
_UNSET = (None, "auto", "off", "", (), 0)  # values with which a setting asks for nothing


EXPERT_ITERATION = 0.5  # share of `budget_minutes` that is kept for it
PUBLISHED = ("paper", "reference")
_PLAIN: dict[str, Any] = {
    "method": "swarm",
    "space": "factor",
    "train": "off",
    "grid": "given",
}
_OF_ITERATIONS = ("optimizer", "max_iter", "patience", "settings", "drop_k", "drop_n")


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
        kind: the space that they name.
        load: reads tasks and scores, which may be wrong.
        why: topic -> why something was chosen, or was not, where a user should know.
        drawn_from: the settings of the grid of coefficients that `config` is a draw of, if it is.
    """

    config: SearchConfig
    given: Mapping[str, Any]
    kind: SpaceKind
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
    def alone(self) -> bool:
        """Whether the search's own process does everything."""
        return self.config.processes == 1

    @property
    def local(self) -> bool:
        """Whether one process does everything, with its own base."""
        return self.config.engine == TRANSFORMERS and self.alone

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
        """Candidates that a model proposes at most."""
        return self.config.proposals or 0

    @property
    def races(self) -> bool:
        """Whether the experts race, as where a model of the items is to propose mixtures of them."""
        return self.config.method == "items"

    @property
    def iterations_given(self) -> list[str]:
        """Settings of iterations that were given; `max_iter` 0 asks for none."""
        if self.given.get("max_iter") == 0:
            return []
        return [name for name in _OF_ITERATIONS if name in self.given]

    @property
    def side_by_side(self) -> int:
        """Candidates that are scored at the same time, as far as that is known."""
        return max(self.config.processes, 1)

    @property
    def evaluations(self) -> int:
        """Evaluations if nothing stops the search early."""
        return self.config.population * (self.config.iterations + 1) + self.proposals

    def affordable(self, evaluations: int) -> int:
        """Those of so many evaluations that the budget of items pays for."""
        items = self.config.budget_items
        most = evaluations if items is None else max(items // max(self.items, 1), 1)
        return min(evaluations, most)

    @property
    def rivals(self) -> int:
        """Models that the result is compared with, at most."""
        if self.config.no_rivals or self.kind.several_models:
            return 0
        if self.config.quick or not (self.trains and self.test_items):
            return 1
        return 2 if self.objectives.written else 3

    @cached_property
    def budget(self) -> Budget:
        """The budget of the search."""
        minutes = self.config.budget_minutes
        written = self.trains and self.objectives.written
        return Budget(
            seconds=None if minutes is None else 60 * minutes,
            items=self.config.budget_items,
            closing_items=2 * self.items + int(self.cost(0, self.test_items, 0)["result"]),
            training_share=EXPERT_ITERATION if written else 0.0,
        )

    def cost(self, dev: float, test: float, other: float) -> dict[str, float]:
        """Part of the search -> its cost at most, in order.

        Args:
            dev: cost of a model on dev.
            test: of one on test.
            other: of another pass of an item.
        """
        experts, scored = len(self.config.experts), self.affordable(self.evaluations)
        if self.kind.remembers and not self.without_options:
            scored = experts
        possible = self.objectives.scorings
        tried = sum(
            trial_items(len(task.dev), possible(name, self.config.scoring))
            for name, task in self.objectives.tasks.items()
        )
        return {
            "option letters": other * tried * min(experts, TRIED),
            "experts": dev * min(experts, scored),
            "mixtures": dev * max(scored - experts, 0),
            "training": other * (self._training() if self.trains else 0),
            "rivals": (dev + test) * self.rivals,
            "result": dev * (2 + self.trains) + test * (3 + self.trains),
        }

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
        return {name: int(n) for name, n in self.cost(self.items, self.test_items, 1).items()}

    def seconds(self, dev: float, test: float, other: float) -> dict[str, float]:
        """Part -> seconds that it takes at most; `budget_minutes` bounds all but training and
        rivals.

        Args:
            dev: seconds of an evaluation on dev.
            test: of one on test.
            other: of another pass of an item.
        """
        taken = self.cost(dev, test, other)
        for name in ("experts", "mixtures"):
            taken[name] /= self.side_by_side
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
        config, drawn_from = first_draw(config)
    load = cache(partial(load_objectives, config))
    plan = Plan(config, given, space_kind(config.space), load, drawn_from=drawn_from)
    check(plan)
    chosen, why = automatic(plan) if config.preset == "auto" else ({}, {})
    config = _with_plain(with_defaults(config, chosen))
    if not plan.alone:
        config = with_defaults(config, {"threads": threads_of(config.processes)})
    by = plan.objectives.combined_by
    if config.combine == "auto" and by != "harmonic":
        config = replace(config, combine=by)
        why["combine"] = (
            f"{', '.join(plan.objectives.names)}: the mean of the scores is maximised (`combine` "
            "arithmetic), since they may be negative; front/ has other compromises"
        )
    if config.proposals is None:
        config = replace(config, proposals=ALONE if config.method in MODELS else 0)
    config = with_defaults(config, {"start": _start(plan, config)})
    config = replace(config, compat=_compat(plan, config))
    plan = replace(plan, config=config, why=why)
    _check_proposals(plan)
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
    if config.compat != "auto":
        config = with_compat(config)
    config = replace(config, preset=config.preset or "auto")
    if config.preset in PUBLISHED:
        config = published(config)
    if config.preset == "auto":
        config = with_defaults(config, {"space": "delta" if config.base else "token"})
    else:
        config = _with_plain(config)
    if config.draws is not None and not config.is_grid:
        why = "nothing to draw from; give several values of a coefficient, or `preset` paper"
        raise InvalidOption("draws", config.draws, why)
    return config


def _with_plain(config: SearchConfig) -> SearchConfig:
    """The settings with the plain default of each; those of iterations only where a swarm moves."""
    config = with_defaults(config, _PLAIN)
    if config.method in MODELS:
        particles = config.particles or len(config.experts) + SUMS["even"]
        return replace(config, particles=particles, max_iter=None)
    swarm = {"optimizer": MODEL_SWARMS, "max_iter": MAX_ITER, "patience": PATIENCE}
    return with_defaults(config, {**swarm, "particles": PARTICLES, "drop_k": 0.0, "drop_n": 0.0})


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


def _check_proposals(plan: Plan) -> None:
    """Refuse proposals of a model where a swarm proposes."""
    if plan.proposals and plan.config.method not in MODELS:
        given = " ".join(f"`{name}`" for name in plan.iterations_given)
        why = "a swarm proposes its own candidates; remove it"
        raise InvalidOption("proposals", plan.proposals, f"{why}, or {given}" if given else why)


def _check_budget(plan: Plan) -> None:
    """Refuse a budget that the starting swarm alone exceeds."""
    budget, particles = plan.config.budget_items, plan.config.population
    if budget is not None and budget < particles * plan.items:
        needed = (
            f"the starting swarm alone takes {particles} x {plan.items} = {particles * plan.items}"
        )
        why = f"{needed}; raise it, or lower `particles` or `dev`"
        raise InvalidOption("budget_items", budget, why)


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
    chosen = plan.config.preset == "none" and plan.config.method == "items"
    return plan.config.preset == "auto" or chosen


_ONE_MODEL = "`space` {f.kind.name} scores all examples at once; remove it"
_OPTIONS = "learns from the scores of options, {f.without_options}; remove it"
_FEW = "a model learns from at most 64 coefficients, here a candidate has {f.size}; "
ENOUGH = Rule(
    "train",
    lambda f: f.items >= LEAST_TRAINED,
    "{f.items} dev examples are too few to train on; remove it",
)
SETTINGS: tuple[Rule, ...] = (
    Rule(
        "start",
        lambda f: f.kind.adapters or f.config.start not in SUMS,
        "sums weight changes by coefficients, which `space` {f.kind.name} does not have; remove it",
    ),
    Rule(
        "method",
        lambda f: f.config.method not in MODELS or not f.iterations_given,
        "proposes without iterations; remove {f.iterations_given[0]}",
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
        "train",
        lambda f: f.kind.linear,
        "goes with `space` delta only, not with {f.kind.name}; remove it",
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
    Rule(
        "method",
        lambda f: f.config.method != "items" or not f.kind.several_models,
        _ONE_MODEL,
    ),
    Rule("method", lambda f: f.config.method != "items" or not f.without_options, _OPTIONS),
    Rule(
        "method",
        lambda f: f.config.method not in MODELS or f.size <= MOST_COEFFICIENTS,
        _FEW + "give swarm",
    ),
    Rule("proposals", lambda f: f.size <= MOST_COEFFICIENTS, _FEW + "give 0"),
)


def modelled(method: str, plan: Plan) -> str:
    """Why a model of the items, or of the scores, cannot propose; "" if it can."""
    return reason("method", plan.with_settings(method=method))


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
    if not plan.local:
        check_place(config)
    if config.optimizer != "auto" or config.settings:
        optimizer = MODEL_SWARMS if config.optimizer == "auto" else config.optimizer
        check_optimizer(optimizer, config.settings, plan.size, config.population)
    rules = SETTINGS
    if not plan.local or kind.several_models:
        from pyswarmopt_llm.searching import elsewhere

        rules += elsewhere.RULES
    for rule in (*rules, *TASKS):
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
