"""Preflight: whether experts can be mixed, with each other and on this base, by configs and
headers.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.config import command
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import canonical, user_path
from pyswarmopt_llm.experts.adapter import AdapterInfo, load_factors, read_adapter, renaming
from pyswarmopt_llm.experts.base import BaseModel, empty_model, resolve_base, skeleton
from pyswarmopt_llm.experts.files import GGUF, PREFIX, read_json, refuse_unmatched
from pyswarmopt_llm.experts.pretrained import quiet_bitsandbytes

_LAYER = re.compile(r"(layers|h|blocks)\.\d+\..+$")  # from the list of layers on
SPACES = frozenset({"factor", "delta"})
_ONLY_FACTOR = frozenset({"factor"})
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
            raise UserError(f"{errors[0]} (and {len(errors) - 1} more; run swarm-llm inspect)")
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
    for info in experts:
        first = experts[0]
        if info.ignored:
            problems.append(ExpertProblem(info.name, ignored_in_words(info), "warning"))
        if info.name in alike:
            problems.append(alike[info.name])
        problems += other_base(info, first) if files is None else files.problems(info)
        problems += differences(info, first)
    used_with = "" if base is None else base.name
    found = tuple(replace(info, base=used_with) for info in experts)
    return PreflightReport(tuple(names), tuple(problems), found)


def unique_names(paths: Sequence[str | Path]) -> list[str]:
    """The last part of each path; if not unique, with the part before it, then with a number."""
    parts = [user_path(path).resolve().parts for path in paths]
    last = [part[-1] for part in parts]
    return numbered(
        ["/".join(part[-2:]) if last.count(part[-1]) > 1 else part[-1] for part in parts]
    )


def numbered(names: Sequence[str]) -> list[str]:
    """Names made unique by numbers.

    Example:
        >>> numbered(["m", "m-2", "m", "m"])
        ['m', 'm-2', 'm-3', 'm-4']
    """
    unique: list[str] = []
    for name in names:
        free = name
        number = 1
        while free in unique or (number > 1 and free in names):
            number += 1
            free = f"{name}-{number}"
        unique.append(free)
    return unique


def same_weights(fingerprints: Mapping[str, str]) -> dict[str, ExpertProblem]:
    """Expert with the weights of an earlier one -> a warning.

    Example:
        >>> str(same_weights({"ant": "5f", "bee": "9a", "cat": "5f"})["cat"])
        'cat: has the same weights as ant; remove one of them'
    """
    first: dict[str, str] = {}
    found = {}
    for name, weights in fingerprints.items():
        other = first.setdefault(weights, name)
        if other != name:
            text = f"has the same weights as {other}; remove one of them"
            found[name] = ExpertProblem(name, text, "warning")
    return found


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
    """A base's modules and vocabulary, to check experts against.

    Args:
        base: the model.

    Raises:
        UserError: its files are corrupt.
    """

    def __init__(self, base: BaseModel) -> None:
        self._base = base
        self._skeleton = skeleton(base)
        self._vocabulary = _vocabulary(base.path)

    def translate(self, adapter: Path, modules: Collection[str]) -> Mapping[str, str]:
        """Module in an adapter's file -> its name in this base, if PEFT translates it: names from
        earlier versions of transformers, such as Gemma 3's before 4.52.
        """
        if all(f"{module}.weight" in self._skeleton.shapes for module in modules):
            return {}
        quiet_bitsandbytes()  # peft imports it if installed
        try:
            from peft import PeftConfig
            from peft.utils import transformers_weight_conversion as conversion
        except ImportError:  # earlier versions translate nothing
            return {}
        tensors = {
            f"{PREFIX}{module}.lora_A.weight": torch.empty(0, device="meta") for module in modules
        }
        try:
            translated = conversion.convert_peft_adapter_state_dict_for_transformers(
                empty_model(self._base), PeftConfig.from_pretrained(adapter), tensors
            )
        except Exception:  # it would have to translate more than names: fused experts
            return {}
        old = {id(tensor): _module_of(key) for key, tensor in tensors.items()}
        return {
            old[id(tensor)]: _module_of(key)
            for key, tensor in translated.items()
            if id(tensor) in old
        }

    def problems(self, info: AdapterInfo) -> Iterator[ExpertProblem]:
        """Misfits between an expert and this base: shapes are errors, names are warnings."""
        if misfit := self._misfit(info):
            yield ExpertProblem(info.name, misfit)
        elif other := self._other_name(info):
            yield ExpertProblem(info.name, other, "warning")
        if wrong := self._wrong_selection(info):
            yield ExpertProblem(info.name, wrong)
        vocabulary = _vocabulary(info.path)
        if None not in (vocabulary, self._vocabulary) and vocabulary != self._vocabulary:
            yield ExpertProblem(
                info.name, "has a tokenizer with another vocabulary; the base's is used", "warning"
            )

    def _misfit(self, info: AdapterInfo) -> str:
        """The first module that is no linear layer of this base; "" if all fit."""
        for module, adapted in info.modules.items():
            if module in self._skeleton.others:
                why = self._skeleton.others[module]
                return f"adapts {module}, which {why}; train it on linear layers only"
            shape = self._skeleton.shapes.get(f"{module}.weight")
            if shape == adapted.weight_shape:
                continue
            if shape is None and (renamed := self._other_prefix(info, module)):
                return renamed
            there = f" (there it is {in_digits(shape)})" if shape else ""
            named = f", {info.base_model_name}" if info.base_model_name else ""
            return (
                f"adapts {module} of shape {in_digits(adapted.weight_shape)}, which "
                f"{self._base.spec} does not have{there}: trained on another base{named}; "
                "remove it"
            )
        return ""

    def _other_prefix(self, info: AdapterInfo, module: str) -> str:
        """The remedy for an adapter whose layers have another prefix here, in or out of a larger
        model; "" if they are not here.
        """
        place = _LAYER.search(module)
        if place is None:
            return ""
        tail = place[0]
        shape = info.modules[module].weight_shape
        for here in sorted(self._skeleton.read):
            if f".{here}".endswith(f".{tail}") and self._skeleton.shapes[f"{here}.weight"] == shape:
                old = re.escape(PREFIX + module.removesuffix(tail))
                pattern = f"^{old}(?={place[1]})"
                rename = renaming(info.weights_file, pattern, PREFIX + here.removesuffix(tail))
                return (
                    f"adapts {module}, which {self._base.spec} has as {here}: it was trained in "
                    "another model around these layers; give that one as `base`, or rename its "
                    f"tensors ({rename})"
                )
        return ""

    def _wrong_selection(self, info: AdapterInfo) -> str:
        """Modules that an expert's config selects but its file lacks, or the reverse; "" if none."""
        output = self._skeleton.output
        if info.config.all_linear and output in info.modules:
            return (
                f"adapts {output}, which its target_modules, all-linear, leave out; list all "
                "modules there"
            )
        selected = info.config.selected(self._skeleton.linear, output) & self._skeleton.read
        lacks = sorted(selected - info.modules.keys())
        if lacks and not info.config.begins_as_base:
            return (
                f"selects {lacks[0]}, whose weights its file lacks and peft draws at random "
                "(init_lora_weights); export it again"
            )
        return ""

    def _other_name(self, info: AdapterInfo) -> str:
        """Why the base that an expert names is, or may be, another one; "" if it is this one."""
        name = info.base_model_name
        base = self._base
        if name is None:
            return "does not name its base in adapter_config.json; only shapes are checked"
        if base.spec.endswith(GGUF):
            return f"was trained on {name}; which model {base.spec} holds is not stated"
        if _is_base(name, base):
            return ""
        models = {"base": base.spec, "adapter": info.path, "against": "base"}
        seen = command("eval", **models, task="TASK.json")
        return (
            f"was trained on {name}, not on {base.name}: its shapes fit, but it may do less "
            f"here or add noise; see what it does ({seen})"
        )


def _module_of(key: str) -> str:
    return key.removeprefix(PREFIX).removesuffix(".lora_A.weight")


def _is_base(name: str, base: BaseModel) -> bool:
    """Whether a name in an adapter means this base; fingerprints count more than names."""
    try:
        stated = resolve_base(name, weights=False) if user_path(name).is_dir() else None
    except UserError:
        stated = None
    if stated is None or stated.packing or base.packing:
        return same_model(name, base.name)
    return stated.path == base.path or stated.fingerprint == base.fingerprint


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
    cached = _CACHED.search(path)
    words = re.split(r"[-_\s]+", cached[1] if cached else path.rpartition("/")[2])
    return "".join([word for word in words if not _STORAGE.fullmatch(word)] or words)


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
    tokens = model.get("vocab") if isinstance(model, dict) else None
    return canonical([tokens, content.get("added_tokens")])


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
    """Differences of an expert from the first one; the table shows which one is the outlier."""
    lacking = sorted(first.modules.keys() - info.modules)
    added = sorted(info.modules.keys() - first.modules)
    for verb, modules in (("lacks", lacking), ("adds", added)):
        if modules:
            text = (
                f"{verb} {in_words(modules)} (against {first.name}); factor needs the same "
                "modules, use `space` delta"
            )
            yield ExpertProblem(info.name, text, spaces=_ONLY_FACTOR)
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
                f"{in_digits(there)}: they have different bases; remove one of them"
            )
            yield ExpertProblem(info.name, text)
            return
    base = info.base_model_name
    first_base = first.base_model_name
    if base and first_base and not same_model(base, first_base):
        text = (
            f"was trained on {base}, {first.name} on {first_base}; give the base that they are "
            "to be mixed on with `base`"
        )
        yield ExpertProblem(info.name, text, "warning")
