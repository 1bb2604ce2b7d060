"""eval, generate, merge and train-expert: what they pass on and what they print."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from search_helpers import exit_code, swarm_llm

from pyswarmopt_llm.use.evaluate import evaluate_model


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_eval_prints_score_interval_and_how_the_items_were_drawn(
    quiet: list[str],
    tiny_base: Path,
    tiny_experts: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    task = tmp_path / "mood.csv"
    task.write_text("text,label\n" + "".join(f"message {i},{'ab'[i % 2]}\n" for i in range(40)))
    words = ["--base", tiny_base, "--adapter", tiny_experts[0], "--task", task, "--split", "dev"]
    code, out, err = swarm_llm(
        capsys, "eval", *words, "--dev", 9, "--scoring", "letter", "--threads", 1, *quiet
    )
    asked = {"dev": 9, "scoring": "letter", "threads": 1}
    found = evaluate_model(str(tiny_base), str(tiny_experts[0]), str(task), "dev", **asked)
    numbers = [f"{number:.3f}" for number in (found.score.value, *found.interval)]
    for word in ("mood dev", *numbers, "9 examples", "letter"):
        assert word in out
    assert code == 0 and ("no split" in err) != bool(quiet)


def merge_words(tiny_base: Path, experts: list[Path], out: Path, *more: str) -> list[str]:
    names = map(str, experts)
    return ["merge", "--base", str(tiny_base), "--experts", *names, "--out", str(out), *more]


def test_a_merge_is_an_adapter_with_a_card_that_makes_it_again(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = merge_words(
        tiny_base, tiny_experts, tmp_path / "one", "--method", "della", "--rank", "3", "--seed", "5"
    )
    assert exit_code(*first) == 0
    told = capsys.readouterr().out
    assert f"wrote {tmp_path / 'one'}: della of 3 experts (delta space), rank 3" in told
    assert "truncation lost " in told
    card = (tmp_path / "one" / "README.md").read_text()
    assert told.split("; ")[1].split(" (most")[0] in card
    for words in (
        "arXiv 2406.11617",
        "delta space",
        "density 0.5",
        "seed 5",
        "| ant | 1 |",
        "| cat | 1 |",
    ):
        assert words in card
    command = shlex.split(
        next(line for line in card.splitlines() if line.startswith("    swarm-llm"))
    )
    again = [str(tmp_path / "two") if word == "ADAPTER" else word for word in command[1:]]
    assert exit_code(*again) == 0
    weights = [
        (tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("one", "two")
    ]
    assert weights[0] == weights[1]


def test_train_expert_takes_so_many_examples_of_each_source(
    tiny_base: Path, tmp_path: Path
) -> None:
    line = json.dumps(
        {"messages": [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "ba"}]}
    )
    for name in ("one", "two"):
        (tmp_path / f"{name}.jsonl").write_text(f"{line}\n" * 6)
    words = (
        f"train-expert --base {tiny_base} --data {tmp_path / 'one.jsonl'} --data "
        f"{tmp_path / 'two.jsonl'}"
    )
    words += f" --examples 5 --rank 2 --epochs 1 --threads 1 --quiet --out {tmp_path / 'out'}"
    assert exit_code(*words.split()) == 0
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"{tmp_path / 'one.jsonl'}, 5 examples; {tmp_path / 'two.jsonl'}, 5 examples" in card
    assert "8 training examples, 2" in card  # a fifth of the ten
