"""The plan of a search: decided once from what is given, printed, priced and stored.

A preset fills in what is not given. ``auto`` is the best that this project's tables know for a
task: weight changes (``delta``), candidates that a swarm finds in a model of the items' margins in
place of iterations, and training on dev at the end. ``paper`` is the published procedure,
``reference`` that of the authors' released scripts, ``none`` the plain default of every setting.
Settings that are given win, also those that equal a default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import (
    ALONE,
    EVEN_SUMS,
    LEAST_DEV,
    LEAST_DEV_BESIDE_SPARE,
    LEAST_TRAINED,
    MAX_ITER,
    MODEL_SWARMS,
    PARTICLES,
    PATIENCE,
    SearchConfig,
    given_settings,
    with_defaults,
)
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.optimizers import is_swarm
from pyswarmopt_llm.common.options import option_name, options_of
from pyswarmopt_llm.mix import space_kind
from pyswarmopt_llm.scores.choices import FULL, MOST_STARTS, labelled
from pyswarmopt_llm.scores.metrics.external.permission import is_function
from pyswarmopt_llm.scores.metrics.questions.answer_format import TRIED, trial_items
from pyswarmopt_llm.searching.rules import ENOUGH, Facts, check, reason
from pyswarmopt_llm.searching.scoring.run_files import UNTRAINED
from pyswarmopt_llm.searching.scoring.search import Budget
from pyswarmopt_llm.searching.worker_names import parse_workers, threads_of

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
class Pace:
    """Seconds of an evaluation on dev, of one on test, and of another pass of an item."""

    dev: float
    test: float
    item: float


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
class Plan(Facts):
    """A search that is decided: every setting of `config` has a value.

    Attributes:
        why: topic -> why something was chosen, or was not, where a user should know.
    """

    why: Mapping[str, str]

    def with_settings(self, **values: Any) -> Plan:
        """The plan with other values of these settings, and the same tasks."""
        plan = replace(self, config=replace(self.config, **values))
        vars(plan)["objectives"] = self.objectives
        return plan

    @property
    def chosen(self) -> dict[str, Any]:
        """The settings that were not given."""
        settings = given_settings(self.config).items()
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
        return f"training on the {counted(self.items, 'dev item')}"

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

    @property
    def affordable(self) -> int:
        """Evaluations that the budget of items pays for."""
        return self.affordable_by(1)

    def affordable_by(self, draws: int) -> int:
        """Evaluations of so many draws, of which the first alone scores the starting swarm."""
        most = self.evaluations + (draws - 1) * (self.evaluations - self.config.population)
        items = self.config.budget_items
        return most if items is None else min(most, max(items // max(self.items, 1), 1))

    @property
    def rivals(self) -> int:
        """Models that the result is compared with, at most."""
        labelled = self.trains and not self.objectives.written
        if self.config.no_rivals or self.config.quick or self.kind.several_models:
            return 0
        if labelled and self.test_items:
            return 3
        return 1 if self.trains or self.objectives.user_scored else 0

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
        """What is scored and trained at most, in order; the last one scores the result."""
        experts, scored = len(self.config.experts), self.affordable
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
        from pyswarmopt_llm.searching.written.schedule import (
            ON_SPARE,
            ROUNDS,
            planned_replies,
        )

        spare = self.trained_items if self.objectives.spare else 0
        schedule = ON_SPARE if spare else FULL
        replies = planned_replies(self.distinct("dev"), spare)
        return ROUNDS * schedule.passes(self.trained_items) + replies

    @property
    def passes(self) -> dict[str, int]:
        """Part -> forward passes of an item that it takes at most, a backward pass counted as
        measured.
        """
        return {part.name: int(part.of(self.items, self.test_items, 1)) for part in self.parts}

    def seconds(self, pace: Pace) -> dict[str, float]:
        """Part -> seconds that it takes at most; `budget_minutes` bounds all but training and
        rivals.
        """
        taken = {part.name: part.of(pace.dev, pace.test, pace.item) for part in self.parts}
        for name in ("experts", "mixtures"):
            taken[name] /= self.workers.side_by_side
        bounded = [name for name in taken if name not in ("training", "rivals")]
        most, minutes = sum(taken[name] for name in bounded), self.config.budget_minutes
        if minutes is not None and most > 60 * minutes:
            taken |= {name: taken[name] * 60 * minutes / most for name in bounded}
        return taken

    @property
    def own_score(self) -> list[str]:
        """Notes on a search for the user's own score; none for other searches."""
        config = self.config
        if not (config.utilities or any(map(is_function, config.metrics))):
            return []
        cost = f"{self.evaluations:,} evaluations"
        if config.iterations:
            most = counted(config.iterations, "iteration")
            cost = f"a swarm of {config.population}, at most {most}, {cost}"
        if self.proposals:
            cost += f", {self.proposals} of them proposed by a model of the scores"
        training = "expert iteration at the end" if self.trains else "nothing is trained"
        return [f"score of your own: {training}; {cost}"]


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
    kind, workers = space_kind(config.space), parse_workers(config.workers)
    facts = Facts(config, given, kind, workers)
    check(facts)
    why: dict[str, str] = {}
    chosen = dict[str, Any]()
    if config.preset == "auto":
        chosen, why = _automatic(facts)
    config = with_defaults(
        with_defaults(config, chosen), {**_PLAIN, "threads": threads_of(workers)}
    )
    by = facts.objectives.combined_by
    if config.combine == "auto" and by != "harmonic":
        config = replace(config, combine=by)
        why["combine"] = (
            f"{', '.join(facts.objectives.names)}: the mean of the scores is maximised (`combine` "
            "arithmetic), since they may be negative; front/ has other compromises"
        )
    if config.proposals is None:
        config = replace(config, proposals=ALONE if config.surrogate else 0)
    config = with_defaults(config, {"start": _start(facts, config)})
    plan = Plan(replace(config, compat=_compat(facts, config)), given, kind, workers, why)
    vars(plan)["objectives"] = facts.objectives  # read once
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


def _automatic(facts: Facts) -> tuple[dict[str, Any], dict[str, str]]:
    """What ``auto`` chooses by task, and why not more."""
    if facts.config.quick:
        particles = len(facts.config.experts) + 1
        chosen = {"max_iter": 0, "particles": particles, "proposals": 0, "start": "base"}
        return {**chosen, "train": "on"}, {}
    chosen, why = _rounds(facts), dict[str, str]()
    few = _too_few(facts)
    if facts.paid or reason("train", facts, but_for=ENOUGH):
        return chosen, why
    if not few:
        chosen["train"] = "on"
    elif facts.objectives.written and facts.config.train == "auto":
        why[UNTRAINED] = few
    return chosen, why


def _too_few(facts: Facts) -> str:
    """Why ``auto`` does not train on so few dev items, and the remedy; "" if there are enough."""
    least = LEAST_DEV_BESIDE_SPARE if facts.objectives.spare else LEAST_DEV
    if facts.items >= least:
        return ""
    remedy = " or give `train on`" if facts.items >= LEAST_TRAINED else ""
    return (
        f"{counted(facts.items, 'dev prompt')}, too few to train on: `auto` trains from {LEAST_DEV} "
        f"on, or from {LEAST_DEV_BESIDE_SPARE} (`dev` {LEAST_DEV_BESIDE_SPARE}) with as many spare "
        f"ones; add prompts{remedy}"
    )


def _rounds(facts: Facts) -> dict[str, Any]:
    """Particles, iterations, proposals and who makes them, or a budget for iterations.

    Without a setting of iterations there are none: proposals of a model do better for fewer passes.
    What is scored then are the experts, the base, their average and sum, and the proposals.
    Iterations that nothing ends have a budget, without which they may take hours.
    """
    config, experts = facts.config, len(facts.config.experts)
    starting = experts + EVEN_SUMS
    free = not any(name in facts.given for name in _OF_ITERATIONS)
    endless = config.max_iter is None and config.budget_items is None
    if not reason("surrogate", facts):
        if free or config.max_iter == 0:
            return {
                "max_iter": 0,
                "surrogate": "items",
                **({"particles": starting} if free else {}),
            }
        return {"budget_items": max(CANDIDATES, config.population) * facts.items} if endless else {}
    if not (endless and (facts.objectives.writes or facts.objectives.user_scored)):
        return {}
    starting = max(config.particles or 0, starting)
    if free and not reason("proposals", facts):
        most = max(CANDIDATES - starting, ALONE)
        return {"max_iter": 0, "particles": starting, "proposals": most}
    particles = config.particles or max(WRITING, experts)
    population = replace(config, particles=particles).population
    return {"particles": particles, "max_iter": max(1, CANDIDATES // population - 1)}


def _start(facts: Facts, config: SearchConfig) -> str:
    """The starting points that ``auto`` stands for.

    Sums of experts are for swarms; rivals, and the authors' code, begin with the experts.
    """
    if not (facts.kind.linear and config.compat != "reference" and is_swarm(config.optimizer)):
        return "segments"
    return "sums" if config.iterations else "even"


def _compat(facts: Facts, config: SearchConfig) -> str:
    """Whose algorithm runs."""
    if config.optimizer != MODEL_SWARMS:
        return "none"
    if config.compat == "reference":
        return "reference"
    return "none" if facts.kind.departures(asdict(config)) else "paper"


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
    config: SearchConfig, given: Mapping[str, Any], training: str = "training on the dev items"
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
            yield f"at most {config.budget_items:,} items"
    elif config.proposals:
        model = config.surrogate or "scores"
        yield f"{config.proposals} candidates proposed by a model of the {model} (`max_iter` N: iterations first)"
    if config.train == "on":
        yield f"then {training}"
