"""How far a model has moved from its base, against plain transformers and peft."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from scipy.special import rel_entr
from search_helpers import Json, Shell, louder, questions, small, write_task
from transformers import AutoModelForCausalLM, AutoTokenizer

from pyswarmopt_llm.api import search
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.use.evaluate import evaluate_model

TOLD = [f"Tell me of {word}." for word in "amber birch cedar delta ember fjord".split()]
FLOAT: Json = {"dtype": "float32", "threads": 1}


def distributions(model: Any, tokenizer: Any, prompts: list[str]) -> list[Any]:
    """The probabilities of the next token after each prompt, one forward pass each."""
    found = []
    for prompt in prompts:
        turn = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            found.append(model(ids).logits[0, -1].double().softmax(-1).numpy())
    return found


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    file = tmp_path / "kept.jsonl"
    rows = [{"prompt": t, "split": "test" if k % 2 else "dev"} for k, t in enumerate(TOLD)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_drift_is_the_divergence_that_transformers_gives(
    tiny_base: Path, tiny_experts: list[Path], kept: Path, tmp_path: Path
) -> None:
    adapter = louder(tiny_experts, tmp_path)[0]
    found = evaluate_model(str(tiny_base), str(adapter), f"prompts:{kept}", metric="drift", **FLOAT)
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).eval()
    base = distributions(model, tokenizer, TOLD[1::2])
    moved = distributions(PeftModel.from_pretrained(model, adapter).eval(), tokenizer, TOLD[1::2])
    expected = [-float(rel_entr(p, q).sum()) for p, q in zip(base, moved, strict=True)]
    assert min(map(abs, expected)) > 1e-4
    assert found.score.per_item == pytest.approx(expected, rel=1e-3, abs=1e-7)
    assert found.scoring == "likelihood"


def test_less_drift_is_better_in_words_and_in_json(
    tiny_base: Path, tiny_experts: list[Path], kept: Path, tmp_path: Path, shell: Shell
) -> None:
    adapter = louder(tiny_experts, tmp_path)[0]
    how = ("--base", tiny_base, "--task", f"prompts:{kept}", "--metric", "drift")
    how += ("--dtype", "float32", "--threads", "1")
    found = shell.json("eval", *how, "--adapter", adapter)
    assert 0 < found["interval"][0] < found["value"] < found["interval"][1]
    assert (found["better"], found["unit"]) == ("lower", "nats")
    said = shell("eval", *how, "--adapter", adapter)
    assert f"drift {found['value']:.3f} [" in said and "(nats, lower is better; 3" in said
    both = shell("eval", *how, "--adapter", adapter, "--against", "base")
    assert f": {found['value']:.3f} vs. 0.000 on 3 test examples, +{found['value']:.3f} [" in both


def test_the_base_has_not_moved(tiny_base: Path, kept: Path) -> None:
    found = evaluate_model(str(tiny_base), None, f"prompts:{kept}", metric="drift", **FLOAT)
    assert found.score.per_item == (0.0, 0.0, 0.0)


def test_a_search_keeps_to_the_base_beside_its_task(
    tiny_base: Path, tiny_experts: list[Path], kept: Path, tmp_path: Path
) -> None:
    """Of the files in `best/`, and of a task whose own metric is left as it is."""
    task = write_task(tmp_path / "t.json", questions(6, 1), questions(4, 2))
    how: Json = {"method": "scores", "particles": None, "max_iter": None, "proposals": 0, **FLOAT}
    how |= {"metrics": ("drift",), "keep": str(kept), "combine": "weighted:1,0.1"}
    experts = louder(tiny_experts, tmp_path)
    run = search(small(tiny_base, experts, [task], tmp_path / "run", **how))
    shown = run.result["tasks"]
    assert list(shown) == ["t", "drift"]
    assert (shown["drift"]["unit"], shown["drift"]["better"]) == ("nats", "lower")
    assert shown["drift"]["base_test"] == 0.0 < shown["drift"]["best_single_test"]
    best = str(run.run / "best")
    again = evaluate_model(str(tiny_base), best, f"prompts:{kept}", metric="drift", **FLOAT)
    assert -again.score.value == pytest.approx(shown["drift"]["best_test"], rel=1e-6)
    assert evaluate_model("", None, "", run=str(run.run), **FLOAT).task == "t"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"metrics": ("drift",)}, "drift needs prompts; set keep"),
        ({"keep": "kept.jsonl"}, "is read by one metric only; add metric drift"),
        ({"metrics": ("drift",), "keep": "gone.jsonl"}, "gone.jsonl"),
        ({"metrics": ("drift",), "keep": "kept.jsonl", "max_new_tokens": 3}, "only to free-form"),
    ],
)
def test_prompts_and_metric_belong_together(
    changes: Json, says: str, tiny_base: Path, tiny_experts: list[Path], kept: Path, tmp_path: Path
) -> None:
    task = write_task(tmp_path / "t.json", questions(6, 1), questions(4, 2))
    if "keep" in changes:
        changes = {**changes, "keep": str(tmp_path / changes["keep"])}
    config = small(tiny_base, tiny_experts, [task], tmp_path / "run", **changes)
    with pytest.raises(UserError, match=says):
        search(config)
    assert not (tmp_path / "run").exists()
