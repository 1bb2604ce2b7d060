"""Preflight: checks from configs and headers whether experts fit each other and the base."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from pyswarmopt_llm.common.config import command
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.experts.adapter import AdapterInfo, read_adapter
from pyswarmopt_llm.experts.base import BaseModel, linear_layers
from pyswarmopt_llm.experts.files import chat_template_in

SPACES = frozenset({"factor", "delta"})
_ONLY_FACTOR = frozenset({"factor"})


@dataclass(frozen=True)
class ExpertProblem:
    """One error or warning about an expert.

    Attributes:
        expert: name of the expert.
        text: fault and remedy, in one line.
        severity: ``"error"`` or ``"warning"``.
        spaces: affected spaces.
    """

    expert: str
    text: str
    severity: str = "error"
    spaces: frozenset[str] = SPACES

    def __str__(self) -> str:
        return f"{self.expert}: {self.text}"


@dataclass(frozen=True)
class PreflightReport:
    """The result of `inspect_experts`.

    Attributes:
        names: names of the experts, in the order given.
        problems: errors and warnings, in the order of the experts.
        experts: readable experts; all of them if `require` passes.

    Example:
        >>> report = inspect_experts(["adapters/math", "adapters/science"])  # doctest: +SKIP
        >>> report.names, report.errors("delta"), report.warnings  # doctest: +SKIP
        (('math', 'science'), [], [])
    """

    names: tuple[str, ...]
    problems: tuple[ExpertProblem, ...]
    experts: tuple[AdapterInfo, ...]

    def errors(self, space: str) -> list[ExpertProblem]:
        """The problems that prevent mixing in `space`; every space needs at least what delta needs."""
        needed = {"delta", space}
        return [p for p in self.problems if p.severity == "error" and p.spaces & needed]

    @property
    def warnings(self) -> list[ExpertProblem]:
        """The problems that do not prevent mixing."""
        return [problem for problem in self.problems if problem.severity == "warning"]

    def require(self, space: str) -> None:
        """Raise a `UserError` with the first problem that prevents mixing in `space`."""
        errors = self.errors(space)
        if len(errors) > 1:
            raise UserError(
                f"{errors[0]} (and {len(errors) - 1} more; run swarm-llm inspect to list them)"
            )
        if errors:
            raise UserError(str(errors[0]))


def inspect_experts(paths: Sequence[str | Path], base: BaseModel | None = None) -> PreflightReport:
    """Check experts against each other and their base; problems are reported, not raised.

    Args:
        paths: PEFT adapter directories or hub ids.
        base: base of the experts; None: they are only compared with each other.

    Returns:
        The readable experts, and the problems of all.

    Raises:
        UserError: no experts are given, or the base's own files are corrupt.

    Example:
        >>> report = inspect_experts(["adapters/math"], resolve_base("my/base"))  # doctest: +SKIP
        >>> [(problem.expert, problem.severity) for problem in report.problems]  # doctest: +SKIP
        []
    """
    if not paths:
        raise UserError("no experts given; pass their directories to `experts`")
    names = unique_names(paths)
    experts: list[AdapterInfo] = []
    problems: list[ExpertProblem] = []
    linear = linear_layers(base) if base else ()
    for path, name in zip(paths, names, strict=True):
        try:
            experts.append(read_adapter(path, name, linear))
        except UserError as error:
            problems.append(ExpertProblem(name, error.text.removeprefix(f"{name}: ")))
    for info in experts:
        if base is not None:
            problems += base_problems(info, base)
        problems += differences(info, experts[0])
    if base is not None:
        experts = [replace(info, base=base.name) for info in experts]
    return PreflightReport(tuple(names), tuple(problems), tuple(experts))


def unique_names(paths: Sequence[str | Path]) -> list[str]:
    """The last part of each path; if not unique, with the part before it, then with a number."""
    parts = [user_path(path).resolve().parts for path in paths]
    often = Counter(part[-1] for part in parts)
    names = []
    for part in parts:
        kept = 2 if often[part[-1]] > 1 else 1
        names.append("/".join(part[-kept:]))
    return numbered(names)


def numbered(names: Sequence[str]) -> list[str]:
    """Names made unique by numbers.

    Example:
        >>> numbered(["m", "m-2", "m", "m"])
        ['m', 'm-2', 'm-3', 'm-4']
    """
    unique: list[str] = []
    for name in names:
        others = (f"{name}-{number}" for number in count(2))
        free = (other for other in others if other not in {*unique, *names})
        unique.append(next(free) if name in unique else name)
    return unique


def base_problems(info: AdapterInfo, base: BaseModel) -> Iterator[ExpertProblem]:
    """Mismatches between an expert and a base: errors for shapes, warnings for names."""
    if misfit := _misfit(info, base):
        yield ExpertProblem(info.name, misfit)
    elif info.base_model_name is None:
        text = "adapter_config.json does not name a base model, so only shapes are checked"
        yield ExpertProblem(info.name, text, "warning")
    elif _last(info.base_model_name) != _last(base.name):
        models = {"base": base.spec, "adapter": info.path, "against": "base"}
        text = (
            f"its base model is {info.base_model_name}, not {base.name}; the shapes match, but it may "
            f"help less or add noise, so score it ({command('eval', **models, task='TASK.json')})"
        )
        yield ExpertProblem(info.name, text, "warning")
    for text in prompt_problems(info, base):
        yield ExpertProblem(info.name, text, "warning")


def prompt_problems(info: AdapterInfo, base: BaseModel) -> Iterator[str]:
    """Warnings that an expert may not be prompted or applied as it was trained."""
    theirs, ours = chat_template_in(info.path), chat_template_in(base.path)
    if theirs is not None and ours is None:
        yield (
            f"its tokenizer has a chat template, but {base.spec} has none, so prompts are plain text; "
            "add the template to the base model's tokenizer"
        )
    elif theirs is not None and theirs != ours:
        yield (
            f"its chat template differs from that of {base.spec}, which is used; if it was trained with "
            "its own, put that into the base model's tokenizer"
        )
    if unknown := info.config.unknown:
        yield (
            f"adapter_config.json sets {', '.join(unknown)}, which the installed PEFT does not know, so "
            "it has no effect here; install the version of PEFT that wrote the adapter, and compare"
        )


def _misfit(info: AdapterInfo, base: BaseModel) -> str:
    """The first module that is no linear layer of this base; "" if all fit."""
    layers = linear_layers(base)
    for module, adapted in info.modules.items():
        shape = layers.get(module)
        if shape != adapted.weight_shape:
            there = shape or "no such linear layer with a weight of its own"
            other = info.base_model_name or "a different base model"
            return (
                f"{module} has shape {adapted.weight_shape}, but {base.spec} has {there}; "
                f"remove the adapter, which is for {other}"
            )
    return ""


def _last(name: str) -> str:
    """The last part of a model's name."""
    return name.rstrip("/").rpartition("/")[2].lower()


def differences(info: AdapterInfo, first: AdapterInfo) -> Iterator[ExpertProblem]:
    """Whether an expert differs from the first one in ways that keep space factor from mixing them."""
    if info.modules != first.modules:
        text = (
            f"its rank, alpha or modules differ from those of {first.name}, so their factors cannot "
            "be averaged; set `space` to delta"
        )
        yield ExpertProblem(info.name, text, spaces=_ONLY_FACTOR)
