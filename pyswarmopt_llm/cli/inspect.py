"""`swarm-llm inspect`: whether experts can be mixed; `check`: whether each one is applied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyswarmopt.cli.terminal import echo
from pyswarmopt_llm.cli.build import with_flags
from pyswarmopt_llm.cli.options import Json
from pyswarmopt_llm.cli.running import print_either
from pyswarmopt_llm.common.config import command as command_text
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.options import TASK, Base, Device, Option, Threads
from pyswarmopt_llm.experts.files import require_inputs

if TYPE_CHECKING:
    from pyswarmopt_llm.experts.adapter import AdapterInfo

DEFAULT = "delta"  # space of the default search
Quantize = Annotated[
    tuple[str, ...],
    Option(
        "Measure how much of each adapter is left after merging and rounding, in these formats.",
        "F,F",
        commas=True,
    ),
]
Strict = Annotated[bool, Option("Exit with code 1 if a format loses most of an adapter.")]


def command(
    experts: Annotated[list[str], typer.Argument(metavar="DIR...", help="LoRA adapters.")],
    base: Annotated[
        str | None,
        Option("Base model to check them against: directory, hub id or embedded:NAME.", "B", TASK),
    ] = None,
    quantize: Quantize = (),
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Check whether experts can be mixed; the exit code is 2 if no space can mix them.

    With --quantize also whether each adapter survives in a merged file of few bits.

    Example: swarm-llm inspect adapters/* --base embedded:smollm2-135m
    """
    if quantize and base is None:
        raise InvalidOption("base", None, "is missing; `quantize` merges adapters into it")
    if strict and not quantize:
        raise InvalidOption("strict", None, "works only with `quantize`; add it, or remove this")
    require_inputs(experts, base)
    from pyswarmopt_llm.experts.base import resolve_base
    from pyswarmopt_llm.experts.compatibility import SPACES, inspect_experts

    formats = _formats(quantize)
    report = inspect_experts(experts, resolve_base(base) if base else None)
    errors = {space: len(report.errors(space)) for space in sorted(SPACES)}
    best = next((space for space in errors if not errors[space]), None)
    record: dict[str, Any] = {
        "experts": list(map(_row, report.experts)),
        "problems": [{**asdict(each), "spaces": sorted(each.spaces)} for each in report.problems],
        "errors": errors,
        "recommended": best,
    }
    left = _left(report.experts, base, formats) if best else {}
    if left:
        record["quantize"] = {name: list(map(asdict, found)) for name, found in left.items()}
    lines = [*_lines(record), *_lines_on_rounding(left)]
    print_either(record, map(with_flags, lines), as_json)
    report.require(best or DEFAULT)
    if strict and any(each.lost for found in left.values() for each in found):
        raise typer.Exit(1)
    if not as_json:
        space = None if best == DEFAULT else best
        settings = {"experts": experts, "task": "TASK.json", "space": space, "out": "runs/first"}
        echo(f"Next: {command_text('search', base=base or 'BASE', **settings)}")


def check(
    adapters: Annotated[list[str], typer.Argument(metavar="DIR...", help="LoRA adapters.")],
    base: Base,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Check that adapters are applied in full and at the right scale.

    No examples are needed. The exit code is 1 if something is wrong with an adapter.

    Example: swarm-llm check adapters/* --base embedded:smollm2-135m
    """
    require_inputs(adapters, base)
    from pyswarmopt_llm.tools.check import check

    faults = check(adapters, base, device, threads)
    rows = []
    lines = []
    for path, name in zip(adapters, faults, strict=True):
        problems = list(filter(None, [faults[name]]))
        rows.append({"adapter": name, "path": path, "problems": problems, "ok": not problems})
        lines.append(f"{name}: {faults[name] or 'ok'}")
    ok = not any(faults.values())
    print_either({"base": base, "adapters": rows, "ok": ok}, lines, as_json)
    if not ok:
        raise typer.Exit(1)


def _formats(names: Sequence[str]) -> list[Any]:
    """The formats of these names; nothing is imported for none.

    Raises:
        UserError: see `find_format`.
    """
    if not names:
        return []
    from pyswarmopt_llm.formats import find_format

    return list(map(find_format, names))


def _left(
    adapters: Sequence[AdapterInfo], base: str | None, formats: Sequence[Any]
) -> dict[str, list[Any]]:
    """Adapter -> what is left of it in each format; nothing without formats."""
    if not (base and formats):
        return {}
    from pyswarmopt_llm.experts.base import resolve_base
    from pyswarmopt_llm.formats.survival import survival

    known = resolve_base(base)
    return {info.name: survival(known, info, formats) for info in adapters}


def _lines_on_rounding(left: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """What is left of each adapter, with advice."""
    if not left:
        return
    from pyswarmopt_llm.formats.survival import survival_lines

    for name, found in left.items():
        yield from survival_lines(name, found)


def _row(info: AdapterInfo) -> dict[str, Any]:
    """An expert as a line of JSON."""
    ranks = sorted({shape.rank for shape in info.modules.values()})
    return {
        "expert": info.name,
        "base": info.base_model_name or "-",
        "rank": ", ".join(map(str, ranks)),
        "parameters": info.parameters,
    }


def _lines(record: Mapping[str, Any]) -> Iterator[str]:
    """The experts, the problems with the spaces that they affect, and the spaces."""
    for row in record["experts"]:
        yield "{expert}: rank {rank}, {parameters:,} parameters, for {base}".format(**row)
    for row in record["problems"]:
        yield f"{row['severity']} ({', '.join(row['spaces'])}): {row['expert']}: {row['text']}"
    for space, count in record["errors"].items():
        verdict = "cannot" if count else "can"
        yield f"--space {space} {verdict} mix these experts"
