"""Whether what the numbers of a run depend on is as it was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.searching.scoring.run_directory import About, Run, digests


def check_fingerprints(run: Run, now: Mapping[str, Any]) -> None:
    """Refuse to go on if base, experts, data or metrics have changed.

    Args:
        run: the run, with the fingerprints of its beginning.
        now: present fingerprints, by kind.

    Raises:
        UserError: names what changed.
    """
    before: Mapping[str, Any] = run.about.fingerprints
    for kind, value in now.items():
        old = before.get(kind)
        if old == value or (kind == "metrics" and old is None):  # missing in earlier versions
            continue
        changed = kind
        if isinstance(value, dict) and isinstance(old, dict):
            names = [name for name in sorted({*value, *old}) if value.get(name) != old.get(name)]
            changed = f"{kind} {', '.join(names)}"
        raise UserError(
            f"{run.path}: {changed} changed since the run began; put it back, or begin a new run"
        )


def check_best(run: Path, about: About) -> None:
    """Refuse result files that the search did not write.

    Raises:
        UserError: names the first one.
    """
    before = about.fingerprints.get("best")
    now = digests(run / "best")
    if before is None:  # written by an earlier version
        return
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            raise UserError(
                f"{run / 'best' / name}: changed since the search; put it back, or copy the folder "
                "and use it as an adapter or a model of its own"
            )
