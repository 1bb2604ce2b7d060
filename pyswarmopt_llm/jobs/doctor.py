"""The machine under a search: packages against the tested versions, device, threads, memory, disk, model files."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from pyswarmopt_llm.common.errors import UserError

OK, NOTE, PROBLEM = "ok", "note", "problem"
DISTRIBUTION = "pyswarmopt"
_LITTLE_DISK = 2 * 2**30  # a run with a few adapters and the hub's cache of a small model


@dataclass(frozen=True)
class Finding:
    """One thing that was examined."""

    topic: str
    status: str  # `OK`; `NOTE`, worth knowing; or `PROBLEM`, a search cannot run like this
    text: str  # what was found and, unless it is fine, what to do


def examine(base: str | None = None) -> list[Finding]:
    """Look at everything that a search needs, and at `base` too; findings in the order in which to fix them."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    findings = [Finding("python", OK, python), *packages(requires(DISTRIBUTION) or ())]
    if any(finding.status == PROBLEM for finding in findings):
        return findings  # what follows imports them
    free = free_memory()
    findings += [device(), threads(), *([] if free is None else [Finding("memory", OK, f"{_size(free)} free")])]
    return [*findings, disk(Path.cwd()), embedded_model(), *([] if base is None else [base_model(base, free)])]


def packages(requirements: Sequence[str], installed: Callable[[str], str] = version) -> list[Finding]:
    """Installed versions against the bounds of the distribution: from the tested version to the next that may break.

    `requirements` are those of `importlib.metadata.requires` (core and extra ``llm`` count); `installed` maps a name to
    its version or raises `PackageNotFoundError`.

    Example:
        >>> packages(["numpy>=2.4,<3"], lambda name: "2.3")[0].text
        'numpy 2.3: tested were <3,>=2.4; if something breaks, install one of these'
    """
    findings, fine = [], 0
    for requirement in map(Requirement, requirements):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": "llm"}):
            continue
        try:
            have = installed(requirement.name)
        except PackageNotFoundError:
            advice = f"{requirement.name} is missing: install the extra 'llm'"
            findings.append(Finding("packages", PROBLEM, advice))
            continue
        if requirement.specifier.contains(have, prereleases=True):
            fine += 1
        else:
            tested = f"tested were {requirement.specifier}; if something breaks, install one of these"
            findings.append(Finding("packages", NOTE, f"{requirement.name} {have}: {tested}"))
    return [Finding("packages", OK, f"{fine} as tested"), *findings] if fine else findings


def device() -> Finding:
    """Where models run, and in which dtype: what ``--device auto --dtype auto`` takes."""
    import torch

    from pyswarmopt_llm.models.engines.hardware import pick_device, pick_dtype

    where = pick_device()
    dtype = str(pick_dtype("auto", where)).removeprefix("torch.")
    if where.type == "cuda":
        free, total = torch.cuda.mem_get_info(where)
        name = torch.cuda.get_device_name(where)
        return Finding("device", OK, f"{name}, {_size(free)} of {_size(total)} free, {dtype}")
    return Finding("device", OK, f"cpu, {dtype}; no GPU is visible to torch {torch.__version__}")


def threads() -> Finding:
    """Threads that torch takes, against the cores that this process may use."""
    import torch

    cores, used = len(os.sched_getaffinity(0)), torch.get_num_threads()
    variable = os.environ.get("OMP_NUM_THREADS")
    text = f"{used} for {cores} cores" + (f" (OMP_NUM_THREADS={variable})" if variable else "")
    if used > cores:
        return Finding("threads", NOTE, f"{text}: they wait for each other; use `threads` {cores}")
    if variable and used < cores:
        return Finding("threads", NOTE, f"{text}: right for several searches side by side; else `threads` {cores}")
    return Finding("threads", OK, text)


def free_memory(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes that a new process may take without swapping; None if the system does not say."""
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    values = dict(line.split(":", 1) for line in lines if ":" in line)
    words = values.get("MemAvailable", "").split()
    return int(words[0]) * 1024 if words else None


def disk(folder: Path) -> Finding:
    """Space for runs."""
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK):
        return Finding("disk", NOTE, f"{folder} cannot be written to; give `out` elsewhere")
    little = free < _LITTLE_DISK
    return Finding("disk", NOTE if little else OK, f"{_size(free)} free here" + ("; runs need more" if little else ""))


def embedded_model() -> Finding:
    """Whether the base of the demo is installed."""
    from pyswarmopt_llm.models.quantised.embedded import MODELS, PREFIX

    (name, model), *_ = MODELS.items()
    if importlib.util.find_spec(model.module) is None:
        without = f"{PREFIX}{name} is not installed, without which the demo downloads {model.name}: {model.install}"
        return Finding("model files", NOTE, without)
    return Finding("model files", OK, f"{PREFIX}{name} is installed")


def base_model(spec: str, free: int | None) -> Finding:
    """Whether a base can be read and fits into `free` bytes of memory, if known."""
    from pyswarmopt_llm.models.base import resolve_base

    try:
        base = resolve_base(spec)
    except UserError as error:
        return Finding("base", PROBLEM, error.text)
    size = sum(file.stat().st_size for file in base.weight_files)
    text = f"{spec}: {_size(size)} of weights in {base.path}"
    if base.packing:
        text += f", quantised ({base.packing}): candidates are mixed at run time"
    if free is not None and size > free and not base.scheme:  # packed on loading: a quarter or a half
        return Finding("base", PROBLEM, f"{text}, but {_size(free)} of memory are free; take a smaller one")
    return Finding("base", OK, text)


def _size(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
