"""Patterns in an adapter's configuration, checked to match in reasonable time.

An adapter may come from anywhere, and `re` can take years for ``(a+)+$``: a separate process
matches the patterns first, and is killed if necessary.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError

SECONDS = 10.0  # for all patterns of one adapter; real ones take milliseconds
_MATCH = """
import json, re, sys
checks, names = json.load(sys.stdin)
for how, pattern in checks:
    for name in names:
        getattr(re, how)(pattern, name)
"""


def prove_patterns(file: Path, settings: Mapping[str, Any], modules: Collection[str]) -> None:
    """Match all patterns with all names.

    Args:
        file: adapter_config.json, for messages.
        settings: PEFT's settings.
        modules: names to match.

    Raises:
        UserError: a pattern is malformed or takes too long.
    """
    try:
        subprocess.run(
            [sys.executable, "-I", "-c", _MATCH],
            input=json.dumps([[*_patterns(settings)], sorted(modules)]),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        why = "takes too long to match"
        raise UserError(f"{file}: a pattern {why}; write it more simply") from error
    except subprocess.CalledProcessError as error:
        why = error.stderr.strip().rpartition("\n")[2].replace("`", "'")
        raise UserError(f"{file}: a pattern cannot be matched ({why})") from error


def _patterns(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The `re` function and the pattern for each setting, framed as in PEFT."""
    for option in ("target_modules", "exclude_modules"):
        if isinstance(settings.get(option), str):
            yield "fullmatch", settings[option]
    layers = settings.get("layers_pattern") or []
    for text in [layers] if isinstance(layers, str) else layers:
        yield "match", rf"(?:^|.*?\.){text}\.(?P<idx>\d+)\."
    for option in ("rank_pattern", "alpha_pattern"):
        for text in settings.get(option) or {}:
            yield "match", rf"(.*\.)?({text})$"
