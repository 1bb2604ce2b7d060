"""Two models against each other: on each item, whose answer is better."""

from __future__ import annotations

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.statistics import bootstrap_interval
from pyswarmopt_llm.jobs.evaluate import EvalResult, split_sizes
from pyswarmopt_llm.metrics.questions.context_window import check_askable
from pyswarmopt_llm.metrics.questions.written import Written
from pyswarmopt_llm.metrics.registry import find_metric
from pyswarmopt_llm.models.engines.hardware import pick_device
from pyswarmopt_llm.spaces.load import adapter_patch, open_model
from pyswarmopt_llm.tasks import load_task


def win_rate(
    base: str,
    adapter: str | None,
    against: str,
    task: str,
    split: str = "test",
    *,
    metric: str = "judge",
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    limit: int | None = None,
    dev: int | None = None,
    test: int | None = None,
) -> EvalResult:
    """How often what `adapter` (or the bare base) writes is better than what `against` writes; 0.5 is a draw.

    A judge sees both answers, in both orders (`Judge.win_rate`); any other metric of written answers scores each and
    the higher one wins.

    Raises:
        UserError: whatever is wrong with the input, or a metric of answers that are not written.
    """
    if split not in ("dev", "test"):
        raise UserError(f"--split {split}: unknown; use dev or test")
    sizes = split_sizes(split, limit, dev, test)
    loaded = load_task(task, dev=sizes["dev"], test=sizes["test"])
    how = find_metric(metric, device=str(pick_device(device)))
    if how.compare is None:
        raise UserError(f"--metric {metric}: compares no written answers; use judge, reward:MODEL, f1, ...")
    items = loaded.split(split)
    how.check(items, f"{loaded.source}: {split}")
    engine = open_model(base, adapter, dtype, device, threads)
    check_askable(loaded, "generate", engine, (split,), how)
    asked = how.build(items, "generate", engine.chat, loaded.prompt)
    if not isinstance(asked, Written):  # `compare` says that it is
        raise TypeError(f"{metric} has a comparison but does not ask for texts")
    ours = asked.answers(engine)
    engine.load(adapter_patch(base, against))
    score = how.compare(items, ours, asked.answers(engine))
    return EvalResult(loaded.name, score, bootstrap_interval(score.per_item), "generate", f"wins by {metric}")


__all__ = ["win_rate"]
