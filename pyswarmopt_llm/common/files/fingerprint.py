"""Fingerprints and versions, by which a resumed run knows the files and packages it began with."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_BLOCKS, _BLOCK_BYTES = 64, 65_536
_PACKAGES = ("pyswarmopt", "torch", "numpy", "transformers", "peft", "safetensors")


def sample_digest(path: Path) -> str:
    """SHA-256 (hex) of a file's size and up to 4 MiB of it: start, end and evenly spaced blocks.

    Cheap for files of any size, and sure to change with any retraining, requantisation or
    truncation; a change of a few single weights between the blocks goes unseen. Files up to 4 MiB
    are hashed whole.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= _BLOCKS * _BLOCK_BYTES:
            digest.update(file.read())
        else:
            for block in range(_BLOCKS):
                file.seek(block * (size - _BLOCK_BYTES) // (_BLOCKS - 1))
                digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()


def canonical(value: Any) -> bytes:
    """JSON of `value` with sorted keys and no spaces, so that equal values give equal bytes.

    Example:
        >>> canonical({"b": 1, "a": [2]})
        b'{"a":[2],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest(value: Any) -> str:
    """SHA-256 (hex) of a value's canonical JSON.

    Example:
        >>> digest({"b": 1, "a": [2]}) == digest({"a": [2], "b": 1})
        True
    """
    return hashlib.sha256(canonical(value)).hexdigest()


def versions() -> dict[str, str]:
    """Versions of the packages that a result depends on.

    Example:
        >>> "torch" in versions()
        True
    """
    installed = {}
    for package in _PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed
