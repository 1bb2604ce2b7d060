"""Files of experts and bases: finding them, reading their JSON, writing directories atomically;
adapters in peft's format: adapter_config.json and adapter_model.safetensors. Imports no torch.
"""

from __future__ import annotations

import fcntl
import glob
import json
import logging
import os
import re
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyswarmopt.base.words import counted
from pyswarmopt_llm.common.errors import UserError, first_line
from pyswarmopt_llm.common.files import regular
from pyswarmopt_llm.common.files.regular import user_path

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)
EMBEDDED = "embedded:"  # prefix of a base name
GGUF = ".gguf"  # suffix of a base name
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")  # directories renamed by `atomic_directory`
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def local_directory(spec: str | Path, patterns: Sequence[str]) -> Path:
    """A directory, or the local copy of a hub repository.

    Args:
        spec: a directory, or a hub id such as ``org/name`` (downloaded to the hub's cache if
            needed).
        patterns: file name patterns to download; never pickles.

    Raises:
        UserError: neither a directory nor a reachable repository.
    """
    path = user_path(spec)
    if path.is_dir():
        return path
    if path.exists():
        raise UserError(f"{spec}: is a file; give its directory, or unpack it first")
    if not _HUB_ID.fullmatch(str(spec)) or str(spec).startswith("."):
        raise UserError(f"{spec}: no such directory; check path and folder")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(spec), allow_patterns=list(patterns)))
    except Exception as error:  # network, access, no such repository: all have the same remedy
        if path.parent.is_dir():  # a name in a local folder
            raise UserError(f"{spec}: no such directory; check path and folder") from error
        raise UserError(
            f"{spec}: no such directory, and not available from the hub "
            f"({type(error).__name__}: {first_line(error)}); "
            "check the name, or download it and give the directory"
        ) from error


def refuse_unmatched(specs: Sequence[str | Path]) -> None:
    """Refuse a pattern without matches, which a shell passes on unchanged.

    Raises:
        UserError: names it.

    Example:
        >>> refuse_unmatched(["none-here/*"])
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: none-here/* does not exist; check path and folder
    """
    for spec in specs:
        if any(letter in str(spec) for letter in "*?[") and not user_path(spec).exists():
            raise UserError(f"{spec} does not exist; check path and folder")


def inside(spec: str | Path, name: str) -> str:
    """A hint for the error message if `spec` is a folder of experts, not an expert; else "".

    Args:
        spec: path given by the user.
        name: name of a file that every expert has.
    """
    folder = user_path(spec)
    if not folder.is_dir() or (folder / name).exists():
        return ""
    n_folders = sum((child / name).is_file() for child in folder.iterdir())
    return (
        f"; did you mean the {counted(n_folders, 'folder')} in it, {str(spec).rstrip('/')}/*?"
        if n_folders
        else ""
    )


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`.

    Raises:
        UserError: the file is missing or is not a JSON object.
    """
    try:
        value = regular.read_json(path, regular.INPUT_LIMIT)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); check that the file is there"
        ) from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: is a JSON {type(value).__name__}, not an object; re-export it")
    return value


def check_free(out: Path) -> None:
    """Raise `UserError` if `out` already exists and is not an empty directory."""
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        raise UserError(
            f"{out}: exists already and is not overwritten; choose another name or remove it"
        )


@contextmanager
def atomic_directory(out: Path) -> Iterator[Path]:
    """A temporary directory that is renamed to `out` when the block succeeds and removed otherwise.

    It is locked by its writer: what a killed process left beside `out` is named and removed.

    Raises:
        UserError: `out` already exists or cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     with atomic_directory(Path(parent) / "made") as folder:
        ...         _ = (folder / "a.txt").write_text("a")
        ...     [p.name for p in Path(parent).rglob("*")]
        ['made', 'a.txt']
    """
    out = Path(os.path.abspath(out))
    check_free(out)
    folder = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
    with _writing(out, folder):
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(out)
        folder.mkdir()
    try:
        with _writing(out, folder), _locked(folder):
            yield folder
            check_free(out)
            os.replace(folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _writing(out: Path, folder: Path) -> Iterator[None]:
    """Name the directory in errors of writing it, such as of a full disk.

    Raises:
        UserError: it cannot be written.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        place = getattr(error, "filename", None)
        if place is not None and not Path(place).is_relative_to(folder):
            raise
        why = getattr(error, "strerror", None) or first_line(error)
        raise UserError(
            f"{out}: cannot be written ({why}); make room, or choose another place"
        ) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a directory; the system releases it when this process ends.

    Raises:
        BlockingIOError: another process has it.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _remove_leftovers(out: Path) -> None:
    """Remove what killed processes left of earlier attempts at writing `out`, and say so."""
    for path in out.parent.glob(f".{glob.escape(out.name)}.*"):
        if not _TEMPORARY.fullmatch(path.name) or not path.is_dir():
            continue
        with suppress(OSError), _locked(path):
            shutil.rmtree(path)
            log.warning("%s: removed, an interrupted command had left it", path)


def remove_abandoned(folder: Path) -> None:
    """Remove temporary directories that killed processes left below a folder without other writers.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     for name in (".best.0123abcd", ".best"):
        ...         (Path(parent) / name).mkdir()
        ...     remove_abandoned(Path(parent))
        ...     [p.name for p in Path(parent).iterdir()]
        ['.best']
    """
    for path in list(folder.rglob(".*")):
        if _TEMPORARY.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


PREFIX = "base_model.model."  # peft's prefix of module names in a causal language model


def write_adapter(
    out: Path,
    factors: Mapping[str, tuple[Tensor, Tensor]],
    *,
    base_model_name: str,
    target_modules: Iterable[str],
    alpha: float | None = None,
    card: str | None = None,
) -> None:
    """Write one LoRA adapter directory atomically; see `fill_adapter`.

    Args:
        out: the directory to create; it must not exist or be empty.
        card: text of README.md; default: no card.

    Raises:
        UserError: `out` already exists or cannot be created.
    """
    with atomic_directory(out) as folder:
        fill_adapter(
            folder,
            factors,
            base_model_name=base_model_name,
            target_modules=target_modules,
            alpha=alpha,
        )
        if card is not None:
            (folder / "README.md").write_text(card, encoding="utf-8")


def fill_adapter(
    folder: Path,
    factors: Mapping[str, tuple[Tensor, Tensor]],
    *,
    base_model_name: str,
    target_modules: Iterable[str],
    alpha: float | None = None,
) -> None:
    """Write the files of a LoRA adapter.

    Args:
        folder: an empty directory of ours.
        factors: module name (such as ``model.layers.0.self_attn.q_proj``) -> (b, a) with shapes
            (out, r) and (r, in), in the dtype to be stored. Ranks may differ between modules.
        base_model_name: the id or directory of the base model.
        target_modules: suffixes or full names that select these modules in the base.
        alpha: LoRA alpha; the default is each module's own rank, so that the scale alpha / r is 1.
    """
    ranks = {module: a.shape[0] for module, (_, a) in factors.items()}
    rank = Counter(ranks.values()).most_common(1)[0][0]
    other = {module: r for module, r in sorted(ranks.items()) if r != rank}
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model_name,
        "r": rank,
        "lora_alpha": rank if alpha is None else alpha,
        "rank_pattern": other,
        "alpha_pattern": other if alpha is None else {},
        "target_modules": sorted(target_modules),
        "lora_dropout": 0.0,
        "bias": "none",
        "use_rslora": False,
        "use_dora": False,
        "fan_in_fan_out": False,
        "inference_mode": True,
    }
    from safetensors.torch import save

    tensors = {}
    for module, (b, a) in factors.items():
        tensors[f"{PREFIX}{module}.lora_A.weight"] = a.contiguous()
        tensors[f"{PREFIX}{module}.lora_B.weight"] = b.contiguous()
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (folder / "adapter_config.json").write_text(text, encoding="utf-8")
    data = save(tensors, metadata={"format": "pt"})
    (folder / "adapter_model.safetensors").write_bytes(data)
