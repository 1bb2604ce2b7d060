"""The rules of a search's settings: errors where a setting is given, reasons where it would be chosen.

What they look at are `Facts`. The rules that need the tasks come last, so that what is cheap to see
is said first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pyswarmopt_llm.common.config import LEAST_TRAINED, TRANSFORMERS, SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.optimizers import check_optimizer, is_swarm
from pyswarmopt_llm.common.options import check_options
from pyswarmopt_llm.experts.files import inside, refuse_unmatched
from pyswarmopt_llm.mix.kind import SpaceKind
from pyswarmopt_llm.mix.starts import check_start
from pyswarmopt_llm.scores.metrics.objectives import Objectives, load_objectives
from pyswarmopt_llm.searching.worker_names import Workers

_UNSET = (None, "auto", "off", "", (), 0)  # values with which a setting asks for nothing


@dataclass(frozen=True)
class Facts:
    """Settings with the space and the workers that they name, and with their tasks once these are
    asked for.
    """

    config: SearchConfig
    given: Mapping[str, Any]
    kind: SpaceKind
    workers: Workers

    @cached_property
    def objectives(self) -> Objectives:
        """Tasks and scores; they are read here, and may be wrong."""
        return load_objectives(self.config)

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


@dataclass(frozen=True)
class Rule:
    """A condition on a setting.

    Attributes:
        setting: its name.
        holds: whether it may be set.
        why: what is wrong otherwise, and what to do; `{f}` stands for the facts.
    """

    setting: str
    holds: Callable[[Facts], bool]
    why: str


def _few_coefficients(facts: Facts) -> bool:
    from pyswarmopt_llm.searching.surrogate import MOST_COEFFICIENTS

    return facts.size <= MOST_COEFFICIENTS


_ONE_MODEL = "`space` {f.kind.name} scores all items at once; remove it"
_OPTIONS = "learns from the scores of options, {f.without_options}; remove it"
_FEW = "a model learns from at most 64 coefficients, here a candidate has {f.size}; "
ENOUGH = Rule(
    "train",
    lambda f: f.items >= LEAST_TRAINED,
    "{f.items} dev items are too few to train on; remove it",
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
        "surrogate", lambda f: not f.config.iterations, "goes without iterations; give `max_iter` 0"
    ),
    Rule(
        "optimizer",
        lambda f: is_swarm(f.config.optimizer) or not (f.config.drop_k or f.config.drop_n),
        "needs every value; remove `drop_k` and `drop_n`",
    ),
)
TASKS = (
    Rule("quick", lambda f: f.config.preset == "auto", "goes with `preset` auto; remove one"),
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


def reason(setting: str, facts: Facts, but_for: Rule | None = None) -> str:
    """Why a setting cannot be set, by the rules `but_for` one; "" if it can."""
    rules = (rule for rule in TASKS if rule.setting == setting and rule is not but_for)
    return next((rule.why.format(f=facts) for rule in rules if not rule.holds(facts)), "")


def check(facts: Facts) -> None:
    """Refuse settings that are out of range, unknown, in conflict, or not for these tasks.

    Raises:
        UserError: names the first one.
    """
    config, kind = facts.config, facts.kind
    _check_experts(config)
    check_options(config)
    kind.check(config)
    check_start(config.start, kind)
    _check_engine(config.engine)
    check_optimizer(config.optimizer, config.settings)
    for rule in (*SETTINGS, *TASKS):
        value = getattr(config, rule.setting)
        if value not in _UNSET and not rule.holds(facts):
            raise InvalidOption(rule.setting, value, rule.why.format(f=facts))


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

    if not engine.startswith(("http://", "https://")):
        raise InvalidOption("engine", engine, "unknown; use transformers or http://HOST:PORT")
    server_url(engine)
