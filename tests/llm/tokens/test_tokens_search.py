"""A search in the space of token mixtures as its user sees it: files, scores, resume, generate, and
wrong input.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from search_helpers import louder, questions, search_words, small, swarm_llm, write_task
from tokens_helpers import MERGES, byte_level, letters, model_for, save_member, sentence_piece

from pyswarmopt_llm.api import search
from pyswarmopt_llm.run.directory import RunDirectory


@pytest.fixture(scope="module")
def mixed(
    tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Two adapters of a Llama, a GPT-2 and a Qwen, three tokenizers."""
    folder = tmp_path_factory.mktemp("mixed")
    return [
        *louder(tiny_experts[:2], folder),
        save_member(folder / "gpt2", byte_level(), "gpt2", 1),
        save_member(folder / "qwen", sentence_piece([("t", "h")]), "qwen3", 2),
    ]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_task(
        tmp_path_factory.mktemp("task") / "words.json", questions(12, 1), questions(10, 2)
    )


@pytest.fixture(scope="module")
def done(mixed: list[Path], task: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search over all of them, without --base: the adapters name it."""
    out = tmp_path_factory.mktemp("runs") / "run"
    search(small_token(mixed, task, out))
    return out


def small_token(experts: list[Path], task: Path, out: Path, **more: Any) -> Any:
    return small("", experts, [task], out, space="token", **more)


def test_what_a_run_holds(done: Path, mixed: list[Path]) -> None:
    result = json.loads((done / "result.json").read_text())
    content = json.loads((done / "best" / "mixture.json").read_text())
    assert [row["name"] for row in content["members"]] == [path.name for path in mixed]
    weights = [row["weight"] for row in content["members"]]
    assert sum(weights) == pytest.approx(1.0)
    assert min(weights) >= 0.0
    assert weights == list(result["coefficients"].values())
    assert result["best_dev"] == max(row.value for row in RunDirectory(done).rows)
    card = (done / "best" / "README.md").read_text()
    assert "# A model found by swarm-llm" in card
    assert "swarm-llm search --experts" in card
    assert "the base model" not in (done / "report.html").read_text()


def test_the_files_in_best_score_what_the_result_says(
    done: Path,
    task: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    here: Path,
) -> None:
    result = json.loads((done / "result.json").read_text())
    for split in ("dev", "test"):
        words = (
            f"eval --base {done / 'best'} --task {task} --split {split} --scoring likelihood --json"
        )
        code, out, _ = swarm_llm(capsys, *words.split())
        assert code == 0
        assert json.loads(out)["value"] == result[f"best_{split}"]


# Wrong input: one line, nothing written


def refused(capsys: pytest.CaptureFixture[str], config: Any) -> str:
    words = search_words(config)
    at = words.index("--base")
    words = words[:at] + words[at + 2 :] + ["--space", config.space]
    code, out, err = swarm_llm(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not Path(config.out).exists()
    return err


def test_members_that_cannot_be_mixed(
    mixed: list[Path], task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = letters("abcdefghijk\n", [])
    few.chat_template = byte_level().chat_template
    broken = model_for(byte_level(), "gpt2")
    with torch.no_grad():
        broken.transformer.ln_f.weight[3] = math.nan
    broken.save_pretrained(tmp_path / "broken")
    byte_level().save_pretrained(tmp_path / "broken")
    save_member(tmp_path / "few", few, "gpt2", 3)
    save_member(tmp_path / "bare", byte_level(MERGES[:1], template=None), "gpt2", 3)
    for name, said in (
        ("bare", "bare has no chat template, but other members do"),
        ("few", "few: its tokenizer has no token for"),
        ("broken", "broken: the log-probabilities are not finite"),
    ):
        config = small_token([mixed[2], tmp_path / name], task, tmp_path / "run")
        assert said in refused(capsys, config)


def test_a_mixture_whose_member_has_changed(
    done: Path, task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((done / "best" / "mixture.json").read_text())
    content["members"][2]["fingerprint"] = "0" * 64
    (tmp_path / "mixture.json").write_text(json.dumps(content))
    code, _, err = swarm_llm(capsys, "eval", "--base", tmp_path, "--task", task)
    assert (code, "gpt2" in err, "has changed since" in err) == (2, True, True)
    (tmp_path / "mixture.json").write_text('{"members": [{}]}')
    code, _, err = swarm_llm(capsys, "eval", "--base", tmp_path, "--task", task)
    assert (code, "damaged" in err) == (2, True)
