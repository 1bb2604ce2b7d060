"""`benchmarks/token_fusion.py` on tiny members: one command for everything, which goes on where it was stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from conftest import save_random_expert
from tokens_helpers import byte_level, save_member, sentence_piece

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "token_fusion.py"


def test_it_goes_on_where_it_was_stopped(tiny_base: Path, tmp_path: Path) -> None:
    for seed, name in enumerate(("kinship", "sentiment", "tables")):
        save_random_expert(tiny_base, tmp_path / "adapters" / name, seed)
    save_member(tmp_path / "models" / "gpt2", byte_level(), "gpt2", 1)
    save_member(tmp_path / "models" / "gemma3", sentence_piece([("t", "h")]), "qwen3", 2)
    words = f"--models {tmp_path / 'models'} --adapters {tmp_path / 'adapters'} --out {tmp_path / 'out'}"
    small = "--tasks builtin:sentiment:1 --dev 2 --test 3 --seeds 1 --items 1"
    command = [sys.executable, str(SCRIPT), *words.split(), *small.split()]
    file = tmp_path / "out" / "results.jsonl"

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *more], capture_output=True, text=True, check=False)

    first = run()
    assert first.returncode == 0, first.stderr
    lines = file.read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 2 * (1 + 6)  # a search and six fusions for each pool
    refused = [row["key"]["fusion"] for row in rows if "refused" in row]
    assert refused == ["exact"]  # with three tokenizers
    assert all(len(row["token swarm"]) == 3 for row in rows if row["key"]["kind"] == "search")
    assert first.stdout.count("| one |") + first.stdout.count("| three |") == 13
    # A last line that is not whole, and one lost from the middle: made again, the others kept.
    file.write_text("".join(f"{line}\n" for k, line in enumerate(lines) if k not in (2, 13)) + lines[13][:40])
    assert run().returncode == 0
    again = file.read_text().splitlines()
    assert again[:12] == [line for k, line in enumerate(lines) if k not in (2, 13)]
    assert [json.loads(line)["key"] for line in again[12:]] == [rows[2]["key"], rows[13]["key"]]
    other = run("--test", "2")
    assert other.returncode == 1 and "choose another --out" in other.stderr
    assert file.read_text().splitlines() == again
