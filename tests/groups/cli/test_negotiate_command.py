"""`swarm-llm negotiate` and `distill` end to end on a tiny random base."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from member_helpers import Scripted, context_of
from search_helpers import questions, swarm_llm, write_task

from pyswarmopt_groups import distillation
from pyswarmopt_groups.config import DistillConfig
from pyswarmopt_groups.registry import NEGOTIATIONS, society_names

pytestmark = pytest.mark.usefixtures("short_texts")


@pytest.fixture
def given(tiny_base: Path, experts: list[Path], tmp_path: Path) -> list[str]:
    task = write_task(tmp_path / "words.json", questions(4, 1, 3), questions(4, 2, 3))
    words = ["--members", *map(str, experts[:2]), "--base", str(tiny_base), "--task", str(task)]
    return [*words, "--threads", "1", "--quiet", "--dtype", "float32"]


def test_all_negotiations_by_one_command(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    names = ",".join([*(set(NEGOTIATIONS) - {"societies"}), "societies:2:rounds=1"])
    words = ["--strategy", names, "--scoring", "likelihood", "--out", out]
    code, text, err = swarm_llm(capsys, "negotiate", *given, *words)
    assert (code, err) == (0, ""), err
    result = json.loads((out / "result.json").read_text())
    societies = society_names(2, 1)
    assert set(result["strategies"]) == (set(NEGOTIATIONS) - {"societies"}) | set(societies)
    assert len(societies) == 6 and all(name in text for name in societies)
    for name in societies:
        row = result["strategies"][name]
        assert len(row["consensus"]) == 2 and all(0 <= value <= 2 for value in row["consensus"])
        assert (row["conformity"] is None) == name.endswith(":r")
    for row in result["strategies"].values():
        assert 0 <= row["test"] <= 1 and row["tokens"] > 0
    # The first answers of societies of the same traits are asked once, whatever follows.
    verdicts = [json.loads(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
    debating, reflecting = (
        [v["notes"]["rounds"][0] for v in verdicts if v["strategy"] == name]
        for name in ("society:ce:d", "society:ce:r")
    )
    assert debating == reflecting


def test_replies_are_as_long_as_the_window_has_room_for_and_too_long_ones_are_refused(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is asked; the example's models have windows of 256 tokens."""
    out = tmp_path / "run"
    for length, said in ((1000, "--strategy refine needs a larger"), (5, "")):
        words = ["--strategy", "refine", "--max-new-tokens", length, "--out", out]
        code, _, err = swarm_llm(capsys, "negotiate", *given, *words)
        assert code == (2 if said else 0) and said in err
        assert out.exists() is not bool(said)


# Distillation


def test_a_student_learns_what_the_group_says(
    given: list[str], tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Taught many times on few questions, it answers as the group does; plain peft scores the files
    alike.
    """
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    task = json.loads(Path(given[given.index("--task") + 1]).read_text())
    same = write_task(tmp_path / "same.json", task["dev"], task["dev"])  # test what was taught
    words = [word if word != given[given.index("--task") + 1] else str(same) for word in given]
    options = "--strategy majority --scoring likelihood --set allow-overlap --epochs 60 --lr 0.02"
    words += [*options.split(), "--rank", "8", "--json", "--out", str(tmp_path / "student")]
    code, out, err = swarm_llm(capsys, "distill", *words)
    assert (code, err) == (0, ""), err
    printed = json.loads(out)
    assert printed["questions"] == 4
    assert printed["student"]["tokens"] == printed["group"]["tokens"] / 2
    assert printed["student"]["test"] == printed["group"]["test"]
    card = (tmp_path / "student" / "README.md").read_text()
    assert "2 members combined by majority" in card
    base = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, tmp_path / "student")
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    right = 0
    for item in task["dev"]:
        turn = [{"role": "user", "content": f"Question: {item['question']}"}]
        head = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        values = {}
        for letter, text in item["choices"].items():
            ids = torch.tensor([tokenizer(head + text, add_special_tokens=False)["input_ids"]])
            start = len(tokenizer(head, add_special_tokens=False)["input_ids"])
            with torch.no_grad():
                logprobs = model(ids).logits[0].log_softmax(-1)
            said = [float(logprobs[t - 1, ids[0, t]]) for t in range(start, ids.shape[1])]
            values[letter] = sum(said) / len(text)
        right += max(values, key=lambda letter: values[letter]) == item["answer"]
    assert printed["student"]["test"] == right / 4


def test_base_and_student_may_write_as_much_as_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = [Scripted(name, answers="AA") for name in ("base", "student")]
    monkeypatch.setattr(distillation, "open_members", lambda *_: pair)
    config = DistillConfig(("ann",), base="b", task="t", out="o", max_new_tokens=7)
    distillation._models(config, context_of({"ann": [[0.6, 0.4]] * 2}, "AB", dev=1))
    assert [member.reply_tokens for member in pair] == [7, 7]  # type: ignore[attr-defined]
