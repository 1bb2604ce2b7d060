"""Task files, adapters and bases that no exporter writes: one line that names the file, whatever
they hold.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pyswarmopt_llm.cli.options import read_config as read_options
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files import json_types
from pyswarmopt_llm.common.files.json_types import DEEPEST, parse_json
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.experts.adapter import read_adapter
from pyswarmopt_llm.experts.base import load_tokenizer, resolve_base
from pyswarmopt_llm.experts.config import read_config
from pyswarmopt_llm.experts.files import read_json
from pyswarmopt_llm.experts.safetensors_file import read_header
from pyswarmopt_llm.published.rows import read_rows
from pyswarmopt_llm.scores.tasks import load_task
from pyswarmopt_llm.searching.training.examples import read_examples

ITEM = '{"question": "q?", "choices": ["a", "b"], "answer": "A"}'
# what the parser cannot read, what it reads and others cannot walk over, one too many
DEEP = [50_000, 900, DEEPEST]


def nested(levels: int) -> str:
    return levels * "[" + levels * "]"


def header_file(path: Path, text: str) -> Path:
    content = text.encode()
    path.write_bytes(len(content).to_bytes(8, "little") + content)
    return path


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "task": (
        f'{{"dev": [{ITEM}], "test": [{ITEM}], "more": X}}',
        lambda path: load_task(str(path)),
    ),
    "item": (
        '{"dev": [{"question": "q", "answer": "a", "more": X}], "test": []}',
        lambda path: load_task(str(path)),
    ),
    "adapter": ('{"peft_type": "LORA", "r": X}', read_config),
    "name": ('{"peft_type": "LORA", "base_model_name_or_path": X}', read_config),
    "options": ('{"particles": X}', read_options),
    "rows": ('[{"question": X}]', read_rows),
    "examples": ('{"messages": X}', read_examples),
    "any": ('{"a": X}', read_json),
}


@pytest.mark.parametrize("levels", DEEP)
@pytest.mark.parametrize("kind", READERS)
def test_deep_nesting_is_one_line(kind: str, levels: int, tmp_path: Path) -> None:
    text, reader = READERS[kind]
    path = tmp_path / "file.json"
    path.write_text(text.replace("X", nested(levels)))
    with pytest.raises(UserError, match=re.escape(str(path))) as raised:
        reader(path)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("levels", DEEP)
def test_deep_nesting_in_a_header_is_one_line(levels: int, tmp_path: Path) -> None:
    path = header_file(tmp_path / "a.safetensors", f'{{"x": {{"dtype": {nested(levels)}}}}}')
    with pytest.raises(UserError, match="header is not valid JSON"):
        read_header(path)


def test_what_people_nest_is_read() -> None:
    assert parse_json(nested(DEEPEST)) is not None
    with pytest.raises(ValueError, match="nested too"):
        parse_json(nested(DEEPEST + 1))


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json", "config.json"])
def test_a_base_with_a_deeply_nested_file_is_one_line(
    file: str, tiny_base: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    content = json.loads((base / file).read_text())
    (base / file).write_text(
        json.dumps({**content, "more": None}).replace("null}", nested(50_000) + "}")
    )
    with pytest.raises(UserError, match=str(base)):
        load_tokenizer(resolve_base(str(base)))


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_pipe_or_device_in_an_adapter_is_not_read(
    name: str, tiny_experts: list[Path], tmp_path: Path
) -> None:
    for number, make in enumerate((os.mkfifo, lambda path: os.symlink("/dev/zero", path))):
        expert = tmp_path / str(number)
        shutil.copytree(tiny_experts[0], expert)
        (expert / name).unlink()
        make(expert / name)
        with pytest.raises(UserError, match=f"{name}: not a regular file"):
            read_adapter(expert)


def test_a_repeated_key_is_found_in_linear_time() -> None:
    """Counted, not timed: each key of 3,000 is compared with a handful of others, not with all."""
    compared = 0

    class Key(str):
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    pairs = [(Key(f"k{n}"), 0) for n in range(3000)] + [(Key("k2999"), 0)]
    with pytest.raises(ValueError, match='"k2999" is given twice'):
        json_types._unique(pairs)
    assert compared < 10 * len(pairs)


@pytest.mark.parametrize("key", ["dataset", "prompt", "icl_prompt", "metric"])
def test_half_a_unicode_pair_in_a_task_is_one_line(key: str, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(f'{{"{key}": "a\\ud800 {{question}}", "dev": [{ITEM}], "test": [{ITEM}]}}')
    with pytest.raises(UserError, match="an unpaired surrogate at character 1") as raised:
        load_task(str(path))
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    "spec", ["hub:", "hub:../..", "hub:.", "hub:/etc", "hub:a/b/c", "hub:-x", "hub:a b", "hub::c"]
)
def test_what_is_no_name_of_a_data_set_is_refused_before_the_network(
    spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(
        datasets, "load_dataset", lambda *args, **more: pytest.fail("asked the hub")
    )
    with pytest.raises(UserError, match="not the name of a data set"):
        load_task(spec)


@pytest.mark.parametrize("spec", ["~nouser", "a\0b", "x" * 5000])
def test_what_is_no_path_is_one_short_line(spec: str) -> None:
    for reader in (user_path, resolve_base, read_adapter):
        with pytest.raises(UserError, match=r"not a path|cannot be reached") as raised:
            reader(spec)
        assert len(str(raised.value)) < 300
