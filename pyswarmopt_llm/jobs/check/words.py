"""What is wrong with an adapter, each with a remedy, and what is only worth knowing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from pyswarmopt.base.words import counted
from pyswarmopt_llm.jobs.check.measure import Changes, Differences
from pyswarmopt_llm.models.adapters.adapter import AdapterInfo
from pyswarmopt_llm.models.adapters.compatibility import ignored_in_words

LEAST_KEPT = 0.5  # of an adapter's effect, in bfloat16
REPORT = "report it with its adapter_config.json, and mix it nowhere until then"


def coverage_problems(info: AdapterInfo, selected: Collection[str]) -> Iterator[str]:
    """Tensors that are not used, and modules that the config selects and the file lacks."""
    if info.ignored:
        yield f"{ignored_in_words(info)}; select them there, or export it again"
    if lacks := sorted(set(selected) - info.modules.keys()):
        what = lacks[0] if len(lacks) == 1 else f"{lacks[0]} and {counted(len(lacks) - 1, 'more module')}"
        yield (
            f"its adapter_config.json selects {what}, which its file lacks: the base's stay there; "
            "export it again, or select only what was trained"
        )


def result_problems(differences: Differences, changes: Changes, bfloat16_kept: float) -> Iterator[str]:
    """What the measured differences say; NaN is never within a bound.

    Args:
        differences: in float32.
        changes: the adapter's.
        bfloat16_kept: share of its effect that is left in bfloat16.
    """
    if differences.peft_change <= differences.rounding and differences.change <= differences.rounding:
        idle = len(_untrained(changes)) == len(changes)
        why = "B is zero in all its modules, as before training" if idle else "its weights are too small"
        yield f"changes nothing, in PEFT neither ({why}); train it, or export it again"
        return
    if differences.change <= differences.rounding:
        change = f"{differences.peft_change:.2g}"
        yield f"is not applied: PEFT's loading changes log-probabilities by {change}, ours not; {REPORT}"
        return
    if not differences.from_peft <= differences.rounding:
        yield (
            "weight 1 is not the adapter that PEFT loads: log-probabilities differ by "
            f"{differences.from_peft:.2g}, where it changes the base's by {differences.peft_change:.2g}; {REPORT}"
        )
    if not differences.zero_from_base <= 0:
        yield f"weight 0 is not the base: log-probabilities differ by {differences.zero_from_base:.2g}; {REPORT}"
    if not differences.again <= 0:
        yield (
            f"loaded again it gives another result: log-probabilities differ by {differences.again:.2g}; "
            "see that nothing writes its files, and check the machine (swarm-llm doctor)"
        )
    if not bfloat16_kept >= LEAST_KEPT:
        yield (
            f"in bfloat16 {max(bfloat16_kept, 0.0):.0%} of its effect is left, the rest is lost in rounding the "
            "weights; use it in float32"
        )


def notes(changes: Changes, same_a: Sequence[tuple[str, float]]) -> Iterator[str]:
    """What is worth knowing of a healthy adapter.

    Args:
        changes: the adapter's.
        same_a: name and cosine of those before it whose A is the same at random.
    """
    idle = _untrained(changes)
    if 0 < len(idle) < len(changes):
        first = idle[0].removesuffix(".weight")
        yield f"B is zero in {len(idle)} of {len(changes)} modules, such as {first}: training never reached them"
    if same_a:
        name, cosine = max(same_a, key=lambda pair: pair[1])
        more = f" and {len(same_a) - 1} more" if len(same_a) > 1 else ""
        yield f"the same random A as {name}{more} (cosine {cosine:.2f}): trained from one seed"


def _untrained(changes: Changes) -> list[str]:
    """Parameters whose B is zero."""
    return [name for name, change in changes.items() if not change.b.any()]
