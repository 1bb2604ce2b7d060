"""Preflight: checks from configs and headers whether experts fit each other and the base."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import command
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.experts.adapter import AdapterInfo, load_factors, read_adapter
from pyswarmopt_llm.experts.base import BaseModel, Skeleton, skeleton
from pyswarmopt_llm.experts.files import GGUF, refuse_unmatched

SPACES = frozenset({"factor", "delta"})
_ONLY_FACTOR = frozenset({"factor"})
IDLE = "no effect, because B or alpha is zero in every module, as before training; train or export it again"


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
class ExpertRow:
    """A row of the table of experts; dashes for an unreadable one."""

    expert: str
    base: str = "-"
    rank: str = "-"
    alpha: str = "-"
    kind: str = "-"
    targets: str = "-"
    dtype: str = "-"
    parameters: int = 0
    bytes: int = 0

    @classmethod
    def of(cls, info: AdapterInfo) -> ExpertRow:
        """The row of a readable expert."""
        shapes = info.modules.values()
        return cls(
            expert=info.name,
            base=info.base_model_name or "-",
            rank=_listed(shape.rank for shape in shapes),
            alpha=f"{info.config.lora_alpha:g}",
            kind="rsLoRA" if info.config.use_rslora else "LoRA",
            targets=_listed(module.rsplit(".", 1)[-1] for module in info.modules),
            dtype=_listed(shape.dtype for shape in shapes),
            parameters=info.parameters,
            bytes=info.weights_file.stat().st_size,
        )


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(map(str, sorted(set(values))))


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

    @property
    def rows(self) -> tuple[ExpertRow, ...]:
        """The table of the experts, in the given order."""
        read = {info.name: ExpertRow.of(info) for info in self.experts}
        return tuple(read.get(name, ExpertRow(name)) for name in self.names)

    def errors(self, space: str) -> list[ExpertProblem]:
        """The problems that prevent mixing in `space`; every space needs at least what delta needs."""
        errors = [problem for problem in self.problems if problem.severity == "error"]
        return [error for error in errors if error.spaces == SPACES or space in error.spaces]

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
        UserError: no experts are given, none matches a pattern, or the base's own files are
            corrupt.

    Example:
        >>> report = inspect_experts(["adapters/math"], resolve_base("my/base"))  # doctest: +SKIP
        >>> [(problem.expert, problem.severity) for problem in report.problems]  # doctest: +SKIP
        []
    """
    if not paths:
        raise UserError("no experts given; pass their directories to `experts`")
    refuse_unmatched(paths)
    names = unique_names(paths)
    experts: list[AdapterInfo] = []
    problems: list[ExpertProblem] = []
    linear: Collection[str] = ()
    if base is not None:
        linear = skeleton(base).read
    for path, name in zip(paths, names, strict=True):
        try:
            experts.append(read_adapter(path, name, linear))
        except UserError as error:
            problems.append(ExpertProblem(name, error.text.removeprefix(f"{name}: ")))
    alike = same_weights({info.name: info.fingerprint for info in experts})
    for info in experts:
        if info.ignored:
            problems.append(ExpertProblem(info.name, ignored_in_words(info), "warning"))
        if info.name in alike:
            problems.append(alike[info.name])
        if base is None:
            problems += other_base(info, experts[0])
        else:
            problems += base_problems(info, base)
        problems += differences(info, experts[0])
    if base is not None:
        experts = [replace(info, base=base.name) for info in experts]
    return PreflightReport(tuple(names), tuple(problems), tuple(experts))


def unique_names(paths: Sequence[str | Path]) -> list[str]:
    """The last part of each path; if not unique, with the part before it, then with a number."""
    parts = [user_path(path).resolve().parts for path in paths]
    last = [part[-1] for part in parts]
    names = []
    for part in parts:
        name = part[-1]
        if last.count(name) > 1:
            name = "/".join(part[-2:])
        names.append(name)
    return numbered(names)


def numbered(names: Sequence[str]) -> list[str]:
    """Names made unique by numbers.

    Example:
        >>> numbered(["m", "m-2", "m", "m"])
        ['m', 'm-2', 'm-3', 'm-4']
    """
    unique: list[str] = []
    for name in names:
        free = (f"{name}-{number}" for number in count(2))
        chosen = name
        if name in unique:
            chosen = next(other for other in free if other not in {*unique, *names})
        unique.append(chosen)
    return unique


def same_weights(fingerprints: Mapping[str, str]) -> dict[str, ExpertProblem]:
    """Expert with the weights of an earlier one -> a warning.

    Example:
        >>> str(same_weights({"ant": "5f", "bee": "9a", "cat": "5f"})["cat"])
        'cat: same weights as ant; remove one of the two'
    """
    first: dict[str, str] = {}
    found = {}
    for name, weights in fingerprints.items():
        other = first.setdefault(weights, name)
        if other != name:
            text = f"same weights as {other}; remove one of the two"
            found[name] = ExpertProblem(name, text, "warning")
    return found


def as_notes(warnings: Iterable[ExpertProblem]) -> dict[str, str]:
    """Warnings as a run's notes, each under its own text, so repeated ones make one note."""
    return {text: text for text in map(str, warnings)}


def ignored_in_words(info: AdapterInfo) -> str:
    """The ignored part of an adapter's file, and why peft also ignores it."""
    return (
        f"weights for {in_words(info.ignored)} are ignored, as in PEFT, because adapter_config.json "
        "does not select them"
    )


def in_words(modules: Sequence[str]) -> str:
    """The first module, and the number of others.

    Example:
        >>> in_words(["q_proj", "k_proj"])
        'q_proj and 1 more module'
    """
    first, *more = modules
    if more:
        return f"{first} and {counted(len(more), 'more module')}"
    return first


def base_problems(info: AdapterInfo, base: BaseModel) -> Iterator[ExpertProblem]:
    """Mismatches between an expert and a base: errors for shapes, warnings for names."""
    modules = skeleton(base)
    if misfit := _misfit(info, base, modules):
        yield ExpertProblem(info.name, misfit)
    elif info.base_model_name is None:
        text = "adapter_config.json does not name a base model, so only shapes are checked"
        yield ExpertProblem(info.name, text, "warning")
    elif not same_model(info.base_model_name, base.name):
        models = {"base": base.spec, "adapter": info.path, "against": "base"}
        text = (
            f"its base model is {info.base_model_name}, not {base.name}; the shapes match, but it may "
            f"help less or add noise, so score it ({command('eval', **models, task='TASK.json')})"
        )
        if base.spec.endswith(GGUF):
            text = f"its base model is {info.base_model_name}, but {base.spec} does not say which model it contains"
        yield ExpertProblem(info.name, text, "warning")
    if info.config.all_linear and modules.output in info.modules:
        text = f"the file adapts {modules.output}, but target_modules all-linear excludes it"
        yield ExpertProblem(info.name, f"{text}; list every module in target_modules")
    selected = info.config.selected(modules.linear, modules.output) & modules.read
    lacks = sorted(selected - info.modules.keys())
    if lacks and not info.config.begins_as_base:
        text = (
            f"adapter_config.json selects {lacks[0]}, but the file has no weights for it, so PEFT "
            "would initialise them at random (init_lora_weights)"
        )
        yield ExpertProblem(info.name, f"{text}; export the adapter again")


def _misfit(info: AdapterInfo, base: BaseModel, modules: Skeleton) -> str:
    """The first module that is no linear layer of this base; "" if all fit."""
    for module, adapted in info.modules.items():
        if module in modules.others:
            return f"{module} {modules.others[module]}; train the adapter on linear layers only"
        shape = modules.shapes.get(f"{module}.weight")
        if shape != adapted.weight_shape:
            there = "has no such layer"
            if shape:
                there = f"has {in_digits(shape)}"
            other = info.base_model_name or "a different base model"
            return (
                f"{module} has shape {in_digits(adapted.weight_shape)}, but {base.spec} {there}; "
                f"remove the adapter, which is for {other}"
            )
    return ""


# Names of models in the hub's cache, and words for storage formats; newer names lack "Meta", and
# v0.1 is Mistral's first.
_CACHED = re.compile(r"(?:^|/)models--(?:[^/]+--)?([^/]+?)(?:/snapshots/[^/]+)?$")
_STORAGE = re.compile(
    r"unsloth|bnb|hf|mlx|gguf|gptq|awq|exl[23]|hqq|dynamic|(bf|fp?)(4|8|16|32)|(nv|mx)fp4|nf4"
    r"|int[48]|(4|8|16)bits?|quantized\..*|w\d+a\d+|meta|v0\.1"
)


def same_model(name: str, other: str) -> bool:
    """Whether two names mean the same model, in any spelling or storage format.

    Example:
        >>> same_model("unsloth/Meta-Llama-3.1-8B-bnb-4bit", "meta-llama/Llama-3.1-8B")
        True
        >>> same_model("Qwen/Qwen2.5-7B-Instruct", "/models/Qwen2.5-7B")
        False
    """
    return _bare_name(name) == _bare_name(other)


def _bare_name(name: str) -> str:
    """A model's name in lower case, without owner, separators and storage format."""
    path = name.strip().replace("\\", "/").rstrip("/").lower().replace("___", ".")  # ModelScope's
    last = path.rpartition("/")[2]
    if cached := _CACHED.search(path):
        last = cached[1]
    words = re.split(r"[-_\s]+", last)
    return "".join([word for word in words if not _STORAGE.fullmatch(word)] or words)


def in_digits(shape: Sequence[int]) -> str:
    """A shape in a message, such as ``64 x 32``."""
    return " x ".join(map(str, shape))


def check_weights(report: PreflightReport) -> PreflightReport:
    """The report with an error for each adapter with damaged weights, and a warning for each that
    changes nothing.

    Args:
        report: what `inspect_experts` returns.
    """
    problems = list(report.problems)
    for info in report.experts:
        try:
            changes = load_factors(info)
        except UserError as error:
            problems.append(ExpertProblem(info.name, error.text))
            continue
        if not any(change.b.any() and change.a.any() for change in changes.values()):
            problems.append(ExpertProblem(info.name, IDLE, "warning"))
    return replace(report, problems=tuple(problems))


def differences(info: AdapterInfo, first: AdapterInfo) -> Iterator[ExpertProblem]:
    """How an expert differs from the first one in ways that keep space factor from mixing them."""
    lacking = first.modules.keys() - info.modules
    added = info.modules.keys() - first.modules
    for word, modules in (("missing", lacking), ("additional", added)):
        if modules:
            text = (
                f"the modules differ from those of {first.name} ({word}: {in_words(sorted(modules))}); "
                "space factor needs the same modules in all adapters, so set `space` to delta"
            )
            yield ExpertProblem(info.name, text, spaces=_ONLY_FACTOR)
    for module in sorted(first.modules.keys() & info.modules):
        a = info.modules[module]
        b = first.modules[module]
        if (a.rank, a.scale) != (b.rank, b.scale):
            text = (
                f"{module} has rank {a.rank} and scale {a.scale:g}, but rank {b.rank} and scale "
                f"{b.scale:g} in {first.name}; space factor needs equal ranks and scales, so set "
                "`space` to delta"
            )
            yield ExpertProblem(info.name, text, spaces=_ONLY_FACTOR)
            return


def other_base(info: AdapterInfo, first: AdapterInfo) -> Iterator[ExpertProblem]:
    """A module whose shape differs from the first expert's, if no base is given."""
    for module in info.modules.keys() & first.modules.keys():
        here = info.modules[module].weight_shape
        there = first.modules[module].weight_shape
        if here != there:
            text = f"{module} has shape {in_digits(here)}, but {in_digits(there)} in {first.name}"
            yield ExpertProblem(
                info.name, f"{text}; remove one of them, because their base models differ"
            )
            return
