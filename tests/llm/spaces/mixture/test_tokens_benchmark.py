"""`token_fusion.py` on tiny members: one command for everything, which goes on where it was stopped."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from llm_fixtures import save_random_expert
from tokens_helpers import byte_level, save_member, sentence_piece

SCRIPT = Path(__file__).parents[4] / "benchmarks" / "tokens" / "token_fusion.py"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("token_fusion", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_goes_on_where_it_was_stopped(
    script: Any, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    for seed, name in enumerate(("kinship", "sentiment", "tables")):
        save_random_expert(tiny_base, tmp_path / "adapters" / name, seed)
    save_member(tmp_path / "models" / "gpt2", byte_level(), "gpt2", 1)
    save_member(tmp_path / "models" / "gemma3", sentence_piece([("t", "h")]), "qwen3", 2)
    words = f"--models {tmp_path / 'models'} --adapters {tmp_path / 'adapters'} --out {tmp_path / 'out'}"
    small = "--tasks builtin:sentiment:1 --dev 2 --test 3 --seeds 1 --items 1"
    file = tmp_path / "out" / "results.jsonl"

    def run(*more: str) -> str:
        monkeypatch.setattr(sys, "argv", ["token_fusion.py", *words.split(), *small.split(), *more])
        script.main()
        return capsys.readouterr().out

    shown = run()
    lines = file.read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 2 * (1 + 6)  # a search and six fusions for each pool
    refused = [row["key"]["fusion"] for row in rows if "refused" in row]
    assert refused == ["exact"]  # with three tokenizers
    assert all(len(row["token swarm"]) == 3 for row in rows if row["key"]["kind"] == "search")
    assert shown.count("| one |") + shown.count("| three |") == 13
    # A last line that is not whole, and one lost from the middle: made again, the others kept.
    kept = [line for k, line in enumerate(lines) if k not in (2, 13)]
    file.write_text("".join(f"{line}\n" for line in kept) + lines[13][:40])
    run()
    again = file.read_text().splitlines()
    assert again[:12] == kept
    assert [json.loads(line)["key"] for line in again[12:]] == [rows[2]["key"], rows[13]["key"]]
    with pytest.raises(SystemExit, match="choose another --out"):
        run("--test", "2")
    assert file.read_text().splitlines() == again
