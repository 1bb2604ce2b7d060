"""Preflight: whether experts can be mixed, with each other and on this base, by configs and
headers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import command
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import INPUT_LIMIT, canonical, read_text, user_path
from pyswarmopt_llm.experts.adapter import AdapterConfig, AdapterInfo, load_factors, read_adapter
from pyswarmopt_llm.experts.base import BaseModel, empty_model, resolve_base, skeleton
from pyswarmopt_llm.experts.base_names import same_model
from pyswarmopt_llm.experts.files import GGUF, PREFIX, read_json, refuse_unmatched
from pyswarmopt_llm.experts.tensor_names import renamed_by_peft, renaming

if TYPE_CHECKING:
    from pyswarmopt_llm.experts.table import ExpertRow

_LAYER = re.compile(r"(layers|h|blocks)\.\d+\..+$")  # from the list of layers on
SPACES = frozenset({"factor", "delta"})
IDLE = "changes nothing: B is zero in all its modules, as before training; train it, or export it again"


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

    @property
    def rows(self) -> tuple[ExpertRow, ...]:
        """The table of the experts, in the given order."""
        from pyswarmopt_llm.experts.table import rows_of

        return rows_of(self.names, self.experts)

    def errors(self, space: str) -> list[ExpertProblem]:
        """The problems that prevent mixing in `space`; every space needs at least what delta needs."""
        errors = [problem for problem in self.problems if problem.severity == "error"]
        return [error for error in errors if error.spaces == SPACES or space in error.spaces]

    @property
    def warnings(self) -> list[ExpertProblem]:
        """The problems that do not prevent mixing."""
        return [p for p in self.problems if p.severity == "warning"]

    def require(self, space: str) -> None:
        """Raise a `UserError` with the first problem that prevents mixing in `space`."""
        errors = self.errors(space)
        if errors:
            more = (
                f" (and {len(errors) - 1} more; run swarm-llm inspect)" if len(errors) > 1 else ""
            )
            raise UserError(f"{errors[0]}{more}")


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
        raise UserError("no experts given; name their directories with `experts`")
    refuse_unmatched(paths)
    names = unique_names(paths)
    experts: list[AdapterInfo] = []
    problems: list[ExpertProblem] = []
    files = None if base is None else BaseFiles(base)
    translate = None if files is None else files.translate
    for path, name in zip(paths, names, strict=True):
        try:
            experts.append(read_adapter(path, name, translate))
        except UserError as error:
            problems.append(ExpertProblem(name, error.text.removeprefix(f"{name}: ")))
    alike = same_weights({info.name: info.fingerprint for info in experts})
    for i, info in enumerate(experts):
        if info.ignored:
            problems.append(ExpertProblem(info.name, ignored_in_words(info), "warning"))
        problems += filter(None, [alike.get(info.name)])
        if files is not None:
            problems += files.problems(info)
        elif i:
            problems += other_base(info, experts[0])
        if info.modules != experts[0].modules:
            problems += differences(info, experts[0])
    used_with = "" if base is None else base.name
    found = tuple(replace(info, base=used_with) for info in experts)
    return PreflightReport(tuple(names), tuple(problems), found)


def unique_names(paths: Sequence[str | Path]) -> list[str]:
    """The last part of each path; if not unique, with the part before it, then with a number."""
    parts = [user_path(path).resolve().parts for path in paths]
    names = [part[-1] for part in parts]
    names = [
        n if names.count(n) == 1 else "/".join(p[-2:]) for n, p in zip(names, parts, strict=True)
    ]
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
        taken = {*unique, *names}
        unique.append(name if name not in unique else next(o for o in others if o not in taken))
    return unique


def same_weights(fingerprints: Mapping[str, str]) -> dict[str, ExpertProblem]:
    """Expert with the weights of an earlier one -> a warning.

    Example:
        >>> str(same_weights({"ant": "5f", "bee": "9a", "cat": "5f"})["cat"])
        'cat: has the same weights as ant; remove one of them'
    """
    first: dict[str, str] = {}
    pairs = [(name, first.setdefault(one, name)) for name, one in fingerprints.items()]
    return {
        name: ExpertProblem(name, f"has the same weights as {other}; remove one of them", "warning")
        for name, other in pairs
        if name != other
    }


def as_notes(warnings: Iterable[ExpertProblem]) -> dict[str, str]:
    """Warnings as a run's notes, each under itself: what is said twice is one note."""
    return {text: text for text in map(str, warnings)}


def ignored_in_words(info: AdapterInfo) -> str:
    """The ignored part of an adapter's file, and why peft ignores it, too."""
    return (
        f"its file adapts {in_words(info.ignored)}, which its adapter_config.json does not select: "
        "ignored, as in peft"
    )


def in_words(modules: Sequence[str]) -> str:
    """The first module, and the number of others.

    Example:
        >>> in_words(["q_proj", "k_proj"])
        'q_proj and 1 more module'
    """
    first, *more = modules
    return f"{first} and {counted(len(more), 'more module')}" if more else first


class BaseFiles:
    """A base's configuration and tokenizer, to check experts against.

    Args:
        base: the model.

    Attributes:
        skeleton: the base's modules.

    Raises:
        UserError: its files are corrupt.
    """

    def __init__(self, base: BaseModel) -> None:
        self._base = base
        self.skeleton = skeleton(base)
        self._vocabulary = _vocabulary(base.path)
        self._template = _template(base.path)

    def translate(self, config: AdapterConfig, modules: Collection[str]) -> Mapping[str, str]:
        """Module in a file -> its name in this base, if PEFT translates it."""
        if all(f"{module}.weight" in self.skeleton.shapes for module in modules):
            return {}
        return renamed_by_peft(empty_model(self._base), config.file.parent, modules)

    def problems(self, info: AdapterInfo) -> Iterator[ExpertProblem]:
        """Misfits between an expert and this base: shapes are errors, names are warnings."""
        misfit = self._misfit(info)
        if misfit:
            yield ExpertProblem(info.name, misfit)
        else:
            yield from self._name_problem(info)
        yield from self._selection_problem(info)
        vocabulary = _vocabulary(info.path)
        if None not in (vocabulary, self._vocabulary) and vocabulary != self._vocabulary:
            yield ExpertProblem(
                info.name, "has a tokenizer with another vocabulary; the base's is used", "warning"
            )
        if _template(info.path) not in (None, self._template):
            text = "has another chat template; prompts are those of the base's"
            yield ExpertProblem(info.name, text, "warning")

    def _misfit(self, info: AdapterInfo) -> str:
        """The first module that is no linear layer of this base; "" if all fit."""
        for module, adapted in info.modules.items():
            if module in self.skeleton.others:
                why = self.skeleton.others[module]
                return f"adapts {module}, which {why}; train it on linear layers only"
            shape = self.skeleton.shapes.get(f"{module}.weight")
            if shape != adapted.weight_shape:
                if shape is None and (here := self._elsewhere(module, adapted.weight_shape)):
                    return self._other_prefix(info, module, here)
                there = f" (there it is {in_digits(shape)})" if shape else ""
                named = f", {info.base_model_name}" if info.base_model_name else ""
                return (
                    f"adapts {module} of shape {in_digits(adapted.weight_shape)}, which "
                    f"{self._base.spec} does not have{there}: trained on another base{named}; "
                    "remove it"
                )
        return ""

    def _elsewhere(self, module: str, shape: tuple[int, ...]) -> str | None:
        """The layer here with the place and shape of another model's layer."""
        place = _LAYER.search(module)
        ends = f".{place[0]}" if place else None
        alike = (
            name
            for name in sorted(self.skeleton.read)
            if ends is not None and f".{name}".endswith(ends)
        )
        return next((n for n in alike if self.skeleton.shapes[f"{n}.weight"] == shape), None)

    def _other_prefix(self, info: AdapterInfo, module: str, here: str) -> str:
        """The remedy for an adapter whose layers have another prefix, in or out of a larger model."""
        place = _LAYER.search(module)
        tail = place[0] if place else module
        old = module.removesuffix(tail)
        new = here.removesuffix(tail)
        pattern = f"^{re.escape(PREFIX + old)}(?={re.escape(tail.partition('.')[0])})"
        rename = renaming(info.weights_file, pattern, PREFIX + new)
        return (
            f"adapts {module}, which {self._base.spec} has as {here}: it was trained in another "
            f"model around these layers; give that one as `base`, or rename its tensors ({rename})"
        )

    def _selection_problem(self, info: AdapterInfo) -> Iterator[ExpertProblem]:
        """Modules that an expert's config selects but its file lacks, or the reverse."""
        linear = self.skeleton.linear
        output = self.skeleton.output
        selected = info.config.selected(linear, output) & self.skeleton.read
        if info.config.all_linear and output in info.modules:
            text = f"adapts {output}, which its target_modules, all-linear, leave out"
            yield ExpertProblem(info.name, f"{text}; list all modules there")
        lacks = sorted(selected - info.modules.keys())
        if lacks and not info.config.begins_as_base:
            text = f"selects {lacks[0]}, whose weights its file lacks and peft draws at random"
            yield ExpertProblem(info.name, f"{text} (init_lora_weights); export it again")

    def _name_problem(self, info: AdapterInfo) -> Iterator[ExpertProblem]:
        """A warning if the base that an expert names is, or may be, another one."""
        name = info.base_model_name
        base = self._base
        if name is None:
            text = "does not name its base in adapter_config.json; only shapes are checked"
        elif base.spec.endswith(GGUF):
            text = f"was trained on {name}; which model {base.spec} holds is not stated"
        elif _is_base(name, base):
            return
        else:
            models = {"base": base.spec, "adapter": info.path, "against": "base"}
            seen = command("eval", **models, task="TASK.json")
            text = (
                f"was trained on {name}, not on {base.name}: its shapes fit, but it may do less "
                f"here or add noise; see what it does ({seen})"
            )
        yield ExpertProblem(info.name, text, "warning")


def _is_base(name: str, base: BaseModel) -> bool:
    """Whether a name in an adapter means this base; fingerprints count more than names."""
    try:
        stated = resolve_base(name, weights=False) if user_path(name).is_dir() else None
    except UserError:
        stated = None
    if stated is None or stated.packing or base.packing:
        same: bool = same_model(name, base.name)
        return same
    return stated.path == base.path or stated.fingerprint == base.fingerprint


def in_digits(shape: Sequence[int]) -> str:
    """A shape in a message, such as ``64 x 32``."""
    return " x ".join(map(str, shape))


def _vocabulary(path: Path) -> bytes | None:
    """The tokens and ids in tokenizer.json, in canonical form; None without the file."""
    file = path / "tokenizer.json"
    if not file.is_file():
        return None
    content = read_json(file)
    model = content.get("model")
    return canonical(
        [model.get("vocab") if isinstance(model, dict) else None, content.get("added_tokens")]
    )


def _template(path: Path) -> Any:
    """The chat template in a directory, where transformers looks for it; None if there is none."""
    file = path / "chat_template.jinja"
    settings = path / "tokenizer_config.json"
    if file.is_file():
        return read_text(file, INPUT_LIMIT).strip()
    content = read_json(settings) if settings.is_file() else {}
    template = content.get("chat_template")
    return template.strip() if isinstance(template, str) else template


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


_ONLY_FACTOR = frozenset({"factor"})


def differences(info: AdapterInfo, first: AdapterInfo) -> Iterator[ExpertProblem]:
    """Differences of an expert from the first one; the table shows which one is the outlier."""
    lacking = sorted(first.modules.keys() - info.modules)
    added = sorted(info.modules.keys() - first.modules)
    parts = [
        f"{verb} {len(modules)} modules such as {modules[0]}"
        for verb, modules in (("lacks", lacking), ("adds", added))
        if modules
    ]
    if parts:
        text = f"{' and '.join(parts)} (against {first.name}); factor needs the same modules"
        yield ExpertProblem(info.name, f"{text}, use `space` delta", spaces=_ONLY_FACTOR)
    for module in sorted(first.modules.keys() & info.modules):
        a = info.modules[module]
        b = first.modules[module]
        if (a.rank, a.scale) != (b.rank, b.scale):
            text = (
                f"has rank {a.rank} and scale {a.scale:g} at {module}, {first.name} rank {b.rank} "
                f"and scale {b.scale:g}; factor needs equal rank and alpha, use `space` delta"
            )
            yield ExpertProblem(info.name, text, spaces=_ONLY_FACTOR)
            return


def other_base(info: AdapterInfo, first: AdapterInfo) -> Iterator[ExpertProblem]:
    """Signs that two experts have different bases, if no base is given."""
    for module, adapted in info.modules.items():
        there = first.modules.get(module, adapted).weight_shape
        if there != adapted.weight_shape:
            text = (
                f"changes {module} of shape {in_digits(adapted.weight_shape)}, {first.name} one of "
            )
            text += f"{in_digits(there)}: they have different bases; remove one of them"
            yield ExpertProblem(info.name, text)
            return
    base = info.base_model_name
    first_base = first.base_model_name
    if base and first_base and not same_model(base, first_base):
        text = f"was trained on {base}, {first.name} on {first_base}; give the base that they are "
        yield ExpertProblem(info.name, f"{text}to be mixed on with `base`", "warning")
