"""What can be refused before a model is loaded, and items that a model cannot hold, before their turn comes."""

from __future__ import annotations

from collections.abc import Mapping

from pyswarmopt.cli.limits import largest
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.optimizers import check_optimizer, is_swarm
from pyswarmopt_llm.evaluation.workers.spec import check_workers, parse_workers
from pyswarmopt_llm.metrics.objectives import Objectives
from pyswarmopt_llm.metrics.questions.answer_format import possible_scorings
from pyswarmopt_llm.models.files import inside
from pyswarmopt_llm.spaces import space_kind
from pyswarmopt_llm.spaces.starts import check_start
from pyswarmopt_llm.tasks import Task

TRANSFORMERS, VLLM = ENGINES = ("transformers", "vllm")


def check_settings(config: SearchConfig) -> None:
    """Refuse settings that are out of range or unknown.

    Raises:
        UserError: names the option.
    """
    if len(config.experts) < 2:
        hint = "".join(inside(spec, "adapter_config.json") for spec in config.experts) or "; name more of them"
        raise UserError(f"--experts: {len(config.experts)} given, a search mixes at least 2{hint}")
    least = {"particles": 1, "max_iter": 0, "patience": 1, "seed": 0, "threads": 1, "batch_tokens": 1, "output_rank": 1}
    for name, lowest in least.items():
        value = getattr(config, name)
        if value is not None and not lowest <= value <= largest(name):
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option} {value}: out of range; give at least {lowest} and at most {largest(name)}")
    check_workers(config)
    if config.compat not in ("paper", "reference"):
        raise UserError(f"--compat {config.compat}: unknown; use paper or reference")
    possible_scorings(config.scoring, ())
    kind = space_kind(config.space)
    kind.check(config)
    check_start(config.start, config.space, config.exact_flat)
    if config.engine not in ENGINES:
        raise UserError(f"--engine {config.engine}: unknown; use {' or '.join(ENGINES)}")
    if config.engine == VLLM:
        if not kind.adapters:
            raise UserError(f"--engine vllm: takes LoRA candidates, not space {config.space}; leave it out")
        if not parse_workers(config.workers).alone or config.calibrate:
            raise UserError("--engine vllm: makes its own batches in one process; leave out --workers and --calibrate")
    check_optimizer(config.optimizer, config.settings)
    _check_policy(config)


def _check_policy(config: SearchConfig) -> None:
    """Refuse options about what is evaluated that are out of range, or too much for the optimizer."""
    for option, share in (("--drop-k", config.drop_k), ("--drop-n", config.drop_n)):
        if not 0 <= share < 1:
            raise UserError(f"{option} {share:g}: a probability; give a number from 0 to below 1")
    if (config.drop_k or config.drop_n) and not is_swarm(config.optimizer):
        raise UserError(f"--optimizer {config.optimizer}: needs every value; leave out --drop-k and --drop-n")
    if config.one_by_one and not is_swarm(config.optimizer):
        raise UserError(f"--async: the points of --optimizer {config.optimizer} come in rounds; leave it out")
    if config.one_by_one and (config.drop_k or config.drop_n):
        raise UserError("--async: has no rounds to leave evaluations out of; leave out --drop-k and --drop-n")
    if config.screen is not None and not 0 < config.screen < 0.5:
        raise UserError(f"--screen {config.screen:g}: a probability; give a number above 0 and below 0.5, such as 0.05")
    if config.screen is not None and config.one_by_one:
        raise UserError("--screen: learns from whole rounds; leave out --async")
    for option, budget in (("--budget-minutes", config.budget_minutes), ("--budget-items", config.budget_items)):
        if budget is not None and not budget > 0:
            raise UserError(f"{option} {budget:g}: a budget has to be above 0")


def check_screen(config: SearchConfig, objectives: Objectives, size: int) -> None:
    """Refuse tasks and spaces that a model of the items cannot learn from.

    Args:
        config: what was asked.
        objectives: what is maximised.
        size: number of coordinates of a position.

    Raises:
        UserError: says which.
    """
    if config.screen is None:
        return
    from pyswarmopt_llm.evaluation.surrogate.screening import MOST_COEFFICIENTS

    several = space_kind(config.space).several_models
    if several or config.engine != TRANSFORMERS:
        where = f"--space {config.space}" if several else f"--engine {config.engine}"
        raise UserError(f"--screen: {where} scores all items at once; leave it out")
    metrics = {name: metric.name for name, metric in objectives.metrics.items()}
    for name, metric in {**metrics, **dict.fromkeys(objectives.externals, "its own score")}.items():
        if metric != "accuracy":
            raise UserError(f"--screen: goes with accuracy, {name} is scored by {metric}; leave it out")
        if "generate" in objectives.scorings(name, config.scoring):
            raise UserError(f"--screen: learns from the scores of options, {name} is answered by writing; leave it out")
    if size > MOST_COEFFICIENTS:
        raise UserError(
            f"--screen: learns from at most {MOST_COEFFICIENTS} coefficients, here a candidate has {size}; "
            "use --granularity model, or leave it out"
        )


def check_budget(config: SearchConfig, tasks: Mapping[str, Task]) -> None:
    """Refuse a budget that the starting swarm alone exceeds.

    Raises:
        UserError: says by how much.
    """
    particles = config.population
    items = sum(len(task.dev) for task in tasks.values())
    if config.budget_items is not None and config.budget_items < particles * items:
        raise UserError(
            f"--budget-items {config.budget_items}: the starting swarm alone takes {particles} x {items} = "
            f"{particles * items}; raise it, or lower --particles or --dev"
        )


__all__ = ["ENGINES", "TRANSFORMERS", "VLLM", "check_budget", "check_settings"]
