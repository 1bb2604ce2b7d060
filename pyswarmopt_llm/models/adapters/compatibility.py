"""Preflight: can these experts be mixed, and on this base? Answered from configs and headers alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.paths import user_path
from pyswarmopt_llm.common.fingerprint import canonical
from pyswarmopt_llm.models.adapters.adapter import AdapterInfo, ModuleShape, read_adapter
from pyswarmopt_llm.models.adapters.safetensors_file import read_header
from pyswarmopt_llm.models.base import BaseModel, resolve_base
from pyswarmopt_llm.models.files import read_json

SPACES = frozenset({"factor", "delta"})
_ONLY_FACTOR = frozenset({"factor"})


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong or odd.

    Attributes:
        expert: the expert's name.
        text: what is wrong and what to do, one line.
        severity: ``"error"`` or ``"warning"``; only errors stop anything.
        spaces: the spaces that it concerns.
    """

    expert: str
    text: str
    severity: str = "error"
    spaces: frozenset[str] = SPACES

    def __str__(self) -> str:
        return f"{self.expert}: {self.text}"


@dataclass(frozen=True)
class Row:
    """One line of the table of experts; an expert that cannot be read has dashes."""

    expert: str
    base: str = "-"
    rank: str = "-"
    alpha: str = "-"
    kind: str = "-"
    targets: str = "-"
    dtype: str = "-"
    parameters: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class PreflightReport:
    """What `inspect_experts` found.

    Attributes:
        rows: one per expert, in the order given.
        problems: errors and warnings, in the order of the experts.
        experts: the experts that could be read; all of them once `require` has passed.
    """

    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    experts: tuple[AdapterInfo, ...]

    def errors(self, space: str) -> list[Problem]:
        """The problems that keep these experts from being mixed in `space`."""
        return [p for p in self.problems if p.severity == "error" and space in p.spaces]

    def require(self, space: str) -> None:
        """Raise `UserError` with the first problem, if any keeps the experts from being mixed in `space`."""
        errors = self.errors(space)
        if errors:
            more = f" (and {len(errors) - 1} more; run swarm-llm inspect)" if len(errors) > 1 else ""
            raise UserError(f"{errors[0]}{more}")


def inspect_experts(paths: Sequence[str | Path], base: BaseModel | None = None) -> PreflightReport:
    """Check experts against each other and their base; what is wrong with one is reported, not raised.

    Args:
        paths: PEFT adapter directories or hub ids.
        base: what they are to be merged into; without it they are only compared with each other.

    Raises:
        UserError: no experts are given, or the base's own files are corrupt.
    """
    if not paths:
        raise UserError("no experts given; name their directories with --experts")
    rows: list[Row] = []
    experts: list[AdapterInfo] = []
    problems: list[Problem] = []
    for path, name in zip(paths, unique_names(paths), strict=True):
        try:
            info = read_adapter(path, name)
        except UserError as error:
            rows.append(Row(name))
            problems.append(Problem(name, str(error)))
        else:
            rows.append(_row(info))
            experts.append(info)
    on_base = _base_checks(base) if base is not None else []
    for place, info in enumerate(experts):
        found = [_kind_refused(info), *(check(info) for check in on_base)]
        if place > 0:
            found += [compare(info, experts[0]) for compare in _COMPARISONS]
        found.append(_duplicate(info, experts[:place]))
        problems += [problem for problem in found if problem is not None]
    return PreflightReport(tuple(rows), tuple(problems), tuple(experts))


def unique_names(paths: Sequence[str | Path]) -> list[str]:
    """The last part of each path; where two agree, the part before it too, then a number."""
    parts = [user_path(path).resolve().parts for path in paths]
    names = [part[-1] for part in parts]
    names = [n if names.count(n) == 1 else "/".join(p[-2:]) for n, p in zip(names, parts, strict=True)]
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return unique


def _row(info: AdapterInfo) -> Row:
    ranks = sorted({shape.rank for shape in info.modules.values()})
    kind = "DoRA" if info.config.dora else "rsLoRA" if info.config.rslora else "LoRA"
    return Row(
        expert=info.name,
        base=info.base_model_name or "-",
        rank=", ".join(map(str, ranks)),
        alpha=f"{info.config.alpha:g}",
        kind=kind,
        targets=", ".join(sorted({module.rsplit(".", 1)[-1] for module in info.modules})),
        dtype=", ".join(info.dtypes),
        parameters=info.parameters,
        bytes=info.weights_file.stat().st_size,
    )


def _kind_refused(info: AdapterInfo) -> Problem | None:
    if not info.config.dora:
        return None
    return Problem(info.name, "is DoRA, which does not add up linearly; train it with use_dora=False")


def _duplicate(info: AdapterInfo, before: Sequence[AdapterInfo]) -> Problem | None:
    twin = next((other for other in before if other.fingerprint == info.fingerprint), None)
    if twin is None:
        return None
    return Problem(info.name, f"has the same weights as {twin.name}; leave one of them out", "warning")


def _base_name_differs(info: AdapterInfo, first: AdapterInfo) -> Problem | None:
    mine, other = info.base_model_name, first.base_model_name
    if not mine or not other or same_base(mine, other):
        return None
    return Problem(info.name, f"was trained on {mine}, {first.name} on {other}; leave one of them out")


def _modules_differ(info: AdapterInfo, first: AdapterInfo) -> Problem | None:
    missing, extra = sorted(first.modules.keys() - info.modules), sorted(info.modules.keys() - first.modules)
    parts = [f"{verb} {len(m)} modules such as {m[0]}" for verb, m in (("lacks", missing), ("adds", extra)) if m]
    if not parts:
        return None
    text = f"{' and '.join(parts)} (against {first.name}); factor needs the same modules, use --space delta"
    return Problem(info.name, text, spaces=_ONLY_FACTOR)


def _shapes_differ(info: AdapterInfo, first: AdapterInfo) -> Problem | None:
    for module, mine, other in _common(info, first):
        if mine.weight_shape != other.weight_shape:
            text = (
                f"changes {module} of shape {_by(mine.weight_shape)}, {first.name} one of "
                f"{_by(other.weight_shape)}: they have different bases; leave one of them out"
            )
            return Problem(info.name, text)
    return None


def _setting_differs(info: AdapterInfo, first: AdapterInfo) -> Problem | None:
    for module, mine, other in _common(info, first):
        if (mine.rank, mine.scale) != (other.rank, other.scale):
            text = (
                f"has rank {mine.rank} and scale {mine.scale:g} at {module} (alpha {info.config.alpha:g}), "
                f"{first.name} rank {other.rank} and scale {other.scale:g} (alpha {first.config.alpha:g}); "
                "factor needs equal rank and alpha, use --space delta"
            )
            return Problem(info.name, text, spaces=_ONLY_FACTOR)
    return None


def _dtype_differs(info: AdapterInfo, first: AdapterInfo) -> Problem | None:
    if info.dtypes == first.dtypes:
        return None
    mine, other = ", ".join(info.dtypes), ", ".join(first.dtypes)
    text = f"is stored in {mine}, {first.name} in {other}; no harm, they are mixed in float32"
    return Problem(info.name, text, "warning")


# What may differ from the first expert; the table shows which of them is the odd one.
_COMPARISONS = (_base_name_differs, _modules_differ, _shapes_differ, _setting_differs, _dtype_differs)


def _common(info: AdapterInfo, first: AdapterInfo) -> list[tuple[str, ModuleShape, ModuleShape]]:
    return [(name, info.modules[name], shape) for name, shape in first.modules.items() if name in info.modules]


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def same_base(one: str, other: str) -> bool:
    """Whether two names of a base model may mean the same: equal up to the place where a copy lies.

    Example:
        >>> same_base("HuggingFaceTB/SmolLM2-135M-Instruct", "/models/smollm2-135m-instruct/")
        True
        >>> same_base("HuggingFaceTB/SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-360M-Instruct")
        False
    """
    return _last(one) == _last(other)


def _last(name: str) -> str:
    return name.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1].lower()


def _base_checks(base: BaseModel) -> list[Callable[[AdapterInfo], Problem | None]]:
    """The checks of one expert against the base; the base's headers are read once."""
    shapes = {name: t.shape for file in base.weight_files for name, t in read_header(file).items()}
    words = _vocabulary(base.path)
    # A bare directory does not say which model it holds: then a foreign name is odd, but the shapes decide.
    known_by_name = str(base.path.resolve()) != base.name

    def name_differs(info: AdapterInfo) -> Problem | None:
        theirs = info.base_model_name
        if theirs is None:
            text = "does not name its base in adapter_config.json; only shapes are checked"
            return Problem(info.name, text, "warning")
        at_hand = user_path(theirs).is_dir()  # then the files can be compared: better than any name
        same = _fingerprint_of(theirs) == base.fingerprint if at_hand else same_base(theirs, base.name)
        if same:
            return None
        text = f"was trained on {theirs}, not on {base.name}; give its own base with --base, or leave it out"
        return Problem(info.name, text, "error" if at_hand or known_by_name else "warning")

    def shapes_differ(info: AdapterInfo) -> Problem | None:
        for module, mine in info.modules.items():
            shape = shapes.get(f"{module}.weight")
            if shape is None:
                return Problem(info.name, f"adapts {module}, which {base.spec} does not have; leave it out")
            if shape != mine.weight_shape:
                text = (
                    f"changes {module} of shape {_by(mine.weight_shape)}, in {base.spec} it is {_by(shape)}: "
                    "trained on another base; leave it out"
                )
                return Problem(info.name, text)
        return None

    def tokenizer_differs(info: AdapterInfo) -> Problem | None:
        own = _vocabulary(info.path)
        if own is None or words is None or own == words:
            return None
        return Problem(info.name, "brings a tokenizer of another vocabulary; the base's is used", "warning")

    return [name_differs, shapes_differ, tokenizer_differs]


def _fingerprint_of(directory: str) -> str | None:
    try:
        return resolve_base(directory).fingerprint
    except UserError:
        return None


def _vocabulary(path: Path) -> bytes | None:
    """What tokenizer.json says about tokens and their ids, in a form to compare; None without that file."""
    file = path / "tokenizer.json"
    if not file.is_file():
        return None
    content = read_json(file)
    model = content.get("model")
    return canonical([model.get("vocab") if isinstance(model, dict) else None, content.get("added_tokens")])
