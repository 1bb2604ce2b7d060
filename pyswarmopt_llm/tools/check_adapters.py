"""Whether each adapter is applied, whole, at its own scale and the same again, in both dtypes.

An adapter that is loaded and ignored gives no error anywhere (lm-eval issue 2432, unsloth issues
869 and 2142), and that weight 1 has to give an adapter back is how PEFT issue 3761 finds wrong
sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.experts.adapter import ADAPTER_FILES, AdapterInfo
from pyswarmopt_llm.experts.base import INT8, resolve_base
from pyswarmopt_llm.experts.compatibility import ignored_in_words, in_words, inspect_experts
from pyswarmopt_llm.experts.files import local_directory, refuse_unmatched
from pyswarmopt_llm.experts.outliers import inspect_weights
from pyswarmopt_llm.experts.skeleton import skeleton
from pyswarmopt_llm.tools.measure import Numbers, measure

LEAST_KEPT = 0.5  # of an adapter's effect, in bfloat16
ROUNDED = (
    "rounding the base to 4 bits changes its weights {:.2g} times as much as the adapter does "
    "(|W - dequant(W4)| / |change|)"
)
REPORT = "report it with its adapter_config.json, and mix it nowhere until then"


@dataclass(frozen=True)
class AdapterCheck:
    """One adapter.

    Attributes:
        adapter: its name.
        path: as given.
        problems: what is wrong, each with what to do; empty: nothing.
        warnings: what is odd about it, as `inspect` says it.
        numbers: None: it could not be loaded.
    """

    adapter: str
    path: str
    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    numbers: Numbers | None = None

    @property
    def ok(self) -> bool:
        """Whether it does what its files say; there may be warnings."""
        return not self.problems

    def __str__(self) -> str:
        if self.problems:
            return f"{self.adapter}: {'; also, '.join(self.problems)}"
        verdict = f"warning: {'; also, '.join(self.warnings)}" if self.warnings else "ok"
        rounding = self.numbers.quantisation if self.numbers else None
        note = "" if rounding is None else f"; {ROUNDED.format(rounding)}"
        return f"{self.adapter}: {verdict}{note}"


@dataclass(frozen=True)
class CheckReport:
    """The result of `check`.

    Attributes:
        base: as given.
        adapters: one per adapter, in the order given.
    """

    base: str
    adapters: tuple[AdapterCheck, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with any of them."""
        return all(adapter.ok for adapter in self.adapters)


def check(
    adapters: Sequence[str | Path], base: str, device: str = "auto", threads: int | None = None
) -> CheckReport:
    """Load each adapter in every way that has to give the same, and compare log-probabilities.

    Beside an adapter memory holds the base as it is stored, and one layer of it in float32.

    Args:
        adapters: PEFT adapter directories or hub ids.
        base: that they are adapters of: directory, hub id or ``embedded:smollm2-135m``.
        device: ``auto``, ``cpu``, ``cuda``, ...
        threads: CPU threads; default: PyTorch's choice.

    Raises:
        UserError: an adapter is not there, or the base cannot be used. What is wrong with an
            adapter itself is in the report.
    """
    if not adapters:
        raise UserError("no adapters given; name their directories")
    refuse_unmatched(adapters)
    for path in adapters:
        local_directory(path, ADAPTER_FILES)
    resolved = resolve_base(base)
    if resolved.packing == INT8:
        raise UserError(
            f"{base}: its layers round their inputs to 8 bits, which makes differences that are no "
            "adapter's; check on the original checkpoint, or on nf4:BASE"
        )
    if threads is not None:
        torch.set_num_threads(threads)
    report = inspect_weights(inspect_experts(adapters, resolved), base)
    errors = {problem.expert: problem.text for problem in reversed(report.errors("delta"))}
    readable = [info for info in report.experts if info.name not in errors]
    measured = measure(resolved, readable, device, threads) if readable else {}
    modules = skeleton(resolved)
    infos = {info.name: info for info in readable}
    checks = []
    for name, path in zip(report.names, adapters, strict=True):
        numbers = measured.get(name)
        if isinstance(numbers, Numbers):
            selected = infos[name].config.selected(modules.linear, modules.output)
            problems = [*_coverage(infos[name], selected), *_results(numbers)]
        else:
            problems, numbers = [numbers or errors[name]], None
        odd = [problem.text for problem in report.warnings if problem.expert == name]
        checks.append(AdapterCheck(name, str(path), tuple(problems), tuple(odd), numbers))
    return CheckReport(base, tuple(checks))


def _coverage(info: AdapterInfo, selected: frozenset[str]) -> Iterator[str]:
    """Tensors that are not used, and modules that the config selects and the file lacks."""
    if info.ignored:
        yield f"{ignored_in_words(info)}; select them there, or export it again"
    if lacks := sorted(selected - info.modules.keys()):
        yield (
            f"its adapter_config.json selects {in_words(lacks)}, which its file lacks: the base's "
            "stay there; export it again, or select only what was trained"
        )


def _results(numbers: Numbers) -> Iterator[str]:
    """The verdict on the measured differences; NaN is never within a bound."""
    if max(numbers.peft_change, numbers.change) <= numbers.rounding:
        yield "changes nothing, in PEFT neither; train it, or export it again"
        return
    if numbers.change <= numbers.rounding:
        yield (
            "is not applied: PEFT's loading changes log-probabilities by "
            f"{numbers.peft_change:.2g}, ours not; {REPORT}"
        )
        return
    if not numbers.from_peft <= numbers.rounding:
        yield (
            "weight 1 is not the adapter that PEFT loads: log-probabilities differ by "
            f"{numbers.from_peft:.2g}, where it changes the base's by "
            f"{numbers.peft_change:.2g}; {REPORT}"
        )
    if not numbers.zero_from_base <= 0:
        yield (
            "weight 0 is not the base: log-probabilities differ by "
            f"{numbers.zero_from_base:.2g}; {REPORT}"
        )
    if not numbers.again <= 0:
        yield (
            "loaded again it gives another result: log-probabilities differ by "
            f"{numbers.again:.2g}; see that nothing writes its files"
        )
    if not numbers.bfloat16_kept >= LEAST_KEPT:
        yield (
            f"in bfloat16 {max(numbers.bfloat16_kept, 0.0):.0%} of its effect is left, the rest is "
            "lost in rounding the weights; use it in float32"
        )
