"""Whether a search fits: a dry run for the device that is there, and for a named one, from shapes
alone.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from search_helpers import MakeSearch, Shell, search_words

import pyswarmopt_llm.engine.memory as memory
import pyswarmopt_llm.engine.transformers as load
from pyswarmopt_llm.common.events import duration
from pyswarmopt_llm.engine.memory import decide, token_bytes
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.searching.dry_run import dry_run_search
from pyswarmopt_llm.searching.prepare import prepare

# Numbers of the published configurations: hidden, inner, vocabulary; layers, heads, key-value heads
SIZES = "hidden_size intermediate_size vocab_size num_hidden_layers num_attention_heads".split()
SIZES += ["num_key_value_heads"]
QWEN_7B = dict(zip(SIZES, (3584, 18944, 152064, 28, 28, 4), strict=True), model_type="qwen2")
QWEN_7B["tie_word_embeddings"] = False
GB = 1e9


def linear(config: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Module -> (out, in) of the linear layers of Qwen 2 and Llama, written out."""
    h, inner = config["hidden_size"], config["intermediate_size"]
    keys = h // config["num_attention_heads"] * config["num_key_value_heads"]
    of_layer = {
        **{
            "self_attn.q_proj": (h, h),
            "self_attn.k_proj": (keys, h),
            "self_attn.v_proj": (keys, h),
        },
        **{"self_attn.o_proj": (h, h), "mlp.gate_proj": (inner, h), "mlp.up_proj": (inner, h)},
        "mlp.down_proj": (h, inner),
    }
    return {
        f"model.layers.{k}.{name}": shape
        for k in range(config["num_hidden_layers"])
        for name, shape in of_layer.items()
    }


@pytest.fixture
def shapes(tmp_path: Path) -> Callable[..., list[object]]:
    """A configuration without weights, two adapters of rank 1 on all its linear layers: the words
    of a dry run.
    """

    def make(config: dict[str, Any], spec: str = "") -> list[object]:
        base = tmp_path / "base"
        base.mkdir()
        (base / "config.json").write_text(json.dumps(config))
        for name in "ab":
            (tmp_path / name).mkdir()
            tensors = {}
            for module, (out, into) in linear(config).items():
                key = f"base_model.model.{module}.lora_"
                tensors[f"{key}A.weight"] = torch.zeros(1, into, dtype=torch.bfloat16)
                tensors[f"{key}B.weight"] = torch.zeros(out, 1, dtype=torch.bfloat16)
            safetensors.torch.save_file(tensors, tmp_path / name / "adapter_model.safetensors")
            targets = sorted({module.rsplit(".", 1)[-1] for module in linear(config)})
            settings = {"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": targets}
            (tmp_path / name / "adapter_config.json").write_text(json.dumps(settings))
        experts = [tmp_path / "a", tmp_path / "b"]
        words = ["search", "--base", f"{spec}{base}", "--experts", *experts, "--task", "none.json"]
        return [*words, "--out", tmp_path / "run", "--dry-run"]

    return make


def test_the_weights_of_7b_in_bf16_fit_a_card_of_24_gb_and_none_of_12(
    shapes: Callable[..., list[object]], shell: Shell
) -> None:
    words = shapes(QWEN_7B)
    fit = shell.json(*words, "--memory", "25.77GB")
    assert fit["fits"] and fit["weights"] / GB == pytest.approx(15.2, abs=0.1)
    assert not shell.json(*words, "--memory", "12GB")["fits"]
    assert shell(*words, "--memory", "25.77GB").startswith("a GPU with 25.77GB, 24.7 GB free: ")


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Say how much memory a device has left."""
    return lambda size: monkeypatch.setattr(memory, "free_memory", lambda device: size)


def test_a_dry_run_asks_what_is_free_and_refuses_before_it_loads(
    words_search: MakeSearch, shell: Shell, free: Callable[[int], None]
) -> None:
    config = words_search(12, 4)
    words = [*search_words(config), "--dry-run", "--device", "cpu"]
    assert "GB free: the weights take" in shell(*words)
    free(10_000)
    assert "does not fit" in shell.refused(*words) and not Path(config.out).exists()


def test_a_pass_holds_what_the_parts_of_a_layer_give_the_residual_and_the_logits(
    tiny_base: Path,
) -> None:
    """Its feed-forward part is twice as wide as the residual, and counts as four times."""
    model, _ = load.load_model(resolve_base(str(tiny_base)), torch.float32)
    held: list[int] = []
    for part in model.model.layers[0].modules():
        if not list(part.children()):
            part.register_forward_hook(lambda module, inputs, given: held.append(given.numel()))
    logits = model(torch.zeros(1, 1, dtype=torch.long)).logits
    numbers = sum(held) + 3 * 64 + model.config.hidden_size + logits.numel()
    assert token_bytes(model) == 4 * numbers


@pytest.mark.parametrize("spare", [1, -1])
def test_auto_adds_at_run_time_where_copies_exceed_what_is_free(
    tiny_base: Path, free: Callable[[int], None], spare: int
) -> None:
    """On a device that is not the CPU, one byte decides."""
    model, _ = load.load_model(resolve_base(str(tiny_base)), torch.float32)
    changed = {"model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.up_proj.weight"}
    kept = 4 * (32 * 32 + 64 * 32)
    needed = kept + 2 * 4 * 64 * 32 + 1024 * token_bytes(model)
    free(needed + min(spare, 0))
    decided, why = decide(model, "auto", changed, 1024)
    assert decided["mix"] == ("merged" if spare > 0 else "runtime")
    assert bool(why) == (spare < 0)
    # What is told stays, and so it is when a run goes on with less memory.
    free(0)
    assert decide(model, "merged", changed, 2048)[0] == {"mix": "merged", "batch_tokens": 2048}


def test_a_plan_has_the_time_of_the_test_split(
    words_search: MakeSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second an item: only what is scored takes time, test with as much as it has."""

    monkeypatch.setattr("pyswarmopt_llm.searching.dry_run.seconds_per_pass", lambda job: 1.0)
    plans = [dry_run_search(words_search(12, test)) for test in (10, 30)]
    none = dry_run_search(replace(words_search(12, 30), test=0))
    assert none.seconds < plans[0].seconds < plans[1].seconds
    assert sum(none.phases.values()) == pytest.approx(none.seconds, abs=0.3)
    assert (plans[1].seconds - plans[0].seconds) % 20 == 0


def test_a_plan_tells_what_workers_would_save(
    words_search: MakeSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the default search, one candidate at a time after the starting points; a second an item."""
    monkeypatch.setattr("pyswarmopt_llm.searching.dry_run.seconds_per_pass", lambda job: 1.0)
    swarm = {"particles": None, "max_iter": None}
    config = words_search(12, 10, method="scores", proposals=6, batch=2, **swarm)
    plan = dry_run_search(config)
    job = prepare(config)
    starts, proposals = job.config.population, job.config.proposals or 0
    one = plan.phases["search"] / (starts + proposals)  # of a candidate
    (line,) = (note for note in plan.notes if "search alone" in note)
    told = [duration(one * (starts + proposals))]
    for workers in (2, 4, 8):
        told.append(duration(one * (math.ceil(starts / workers) + proposals / 2)))
    assert re.findall(r"([\d:]+) with (\d) worker", line) == [*zip(told, "1248", strict=True)]
    monkeypatch.setattr("pyswarmopt_llm.searching.dry_run.seconds_per_pass", lambda job: 1e-4)
    assert "search alone" not in " ".join(dry_run_search(config).notes)
    assert "search alone" in " ".join(dry_run_search(replace(config, workers="2")).notes)
