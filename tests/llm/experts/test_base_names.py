"""Names of bases: real adapters and bases, as unsloth, trl, the hub, its cache and people spell
them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from search_helpers import questions, small, swarm_llm, write_task

from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.base_names import same_model
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.searching.prepare import prepare

SAME, OTHER = True, False
HUB = "/home/anna/.cache/huggingface/hub"
# name in the adapter, name of the base, whether they are one model, by model cards
PAIRS = [
    ("unsloth/Meta-Llama-3.1-8B-bnb-4bit", "meta-llama/Llama-3.1-8B", SAME),
    ("unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit", "meta-llama/Llama-3.1-8B-Instruct", SAME),
    ("unsloth/Llama-3.2-1B-Instruct-unsloth-bnb-4bit", "meta-llama/Llama-3.2-1B-Instruct", SAME),
    ("unsloth/Llama-3.2-3B-bnb-4bit", "unsloth/Llama-3.2-3B", SAME),
    ("unsloth/llama-3-8b-bnb-4bit", "meta-llama/Meta-Llama-3-8B", SAME),
    ("unsloth/llama-3-8b-Instruct-bnb-4bit", "NousResearch/Meta-Llama-3-8B-Instruct", SAME),
    ("meta-llama/Meta-Llama-3.1-8B", "meta-llama/Llama-3.1-8B", SAME),
    ("unsloth/llama-2-7b-bnb-4bit", "meta-llama/Llama-2-7b-hf", SAME),
    ("meta-llama/Llama-2-7b-chat-hf", "TheBloke/Llama-2-7B-Chat-GPTQ", SAME),
    ("decapoda-research/llama-7b-hf", "huggyllama/llama-7b", SAME),
    ("unsloth/mistral-7b-bnb-4bit", "mistralai/Mistral-7B-v0.1", SAME),
    ("unsloth/mistral-7b-v0.3-bnb-4bit", "mistralai/Mistral-7B-v0.3", SAME),
    ("unsloth/mistral-7b-instruct-v0.2-bnb-4bit", "mistralai/Mistral-7B-Instruct-v0.2", SAME),
    ("TheBloke/Mistral-7B-Instruct-v0.2-AWQ", "mistralai/Mistral-7B-Instruct-v0.2", SAME),
    ("unsloth/Qwen2.5-7B-Instruct-bnb-4bit", "Qwen/Qwen2.5-7B-Instruct", SAME),
    ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "Qwen/Qwen2.5-7B-Instruct", SAME),
    ("unsloth/Qwen3-8B-unsloth-bnb-4bit", "Qwen/Qwen3-8B", SAME),
    ("mlx-community/Qwen2.5-7B-Instruct-4bit", "Qwen/Qwen2.5-7B-Instruct", SAME),
    ("unsloth/gemma-2-9b-it-bnb-4bit", "google/gemma-2-9b-it", SAME),
    ("unsloth/gemma-3-4b-pt-unsloth-bnb-4bit", "google/gemma-3-4b-pt", SAME),
    ("unsloth/Phi-3.5-mini-instruct-bnb-4bit", "microsoft/Phi-3.5-mini-instruct", SAME),
    ("unsloth/phi-4-unsloth-bnb-4bit", "microsoft/phi-4", SAME),
    ("hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4", "meta-llama/Llama-3.1-8B-Instruct",
     SAME),
    ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "meta-llama/Llama-3.1-8B-Instruct",
     SAME),
    (f"{HUB}/models--Qwen--Qwen2.5-7B-Instruct/snapshots/a09a35458c702b33eeacc393d103063234e8bc28",
     "Qwen/Qwen2.5-7B-Instruct", SAME),
    ("Qwen/Qwen3-8B", f"{HUB}/models--unsloth--qwen3-8b-unsloth-bnb-4bit/snapshots/1a2b", SAME),
    ("/root/.cache/modelscope/hub/models/Qwen/Qwen2___5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct",
     SAME),
    ("C:\\models\\Mistral-7B-v0.3", "mistralai/Mistral-7B-v0.3", SAME),
    ("/home/anna/models/llama3.1-8b/", "meta-llama/Llama-3.1-8B", SAME),
    ("unsloth/tinyllama-bnb-4bit", "TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T", SAME),
    ("meta-llama/Meta-Llama-3-8B-Instruct", "meta-llama/Meta-Llama-3-8B", OTHER),
    ("unsloth/Qwen2.5-7B-Instruct-bnb-4bit", "Qwen/Qwen2.5-7B", OTHER),
    ("unsloth/Qwen3-8B-Base-unsloth-bnb-4bit", "Qwen/Qwen3-8B", OTHER),
    ("google/gemma-3-4b-it", "google/gemma-3-4b-pt", OTHER),
    ("meta-llama/Llama-2-7b-chat-hf", "meta-llama/Llama-2-7b-hf", OTHER),
    ("mistralai/Mistral-Nemo-Instruct-2407", "mistralai/Mistral-Nemo-Base-2407", OTHER),
    ("meta-llama/Llama-3.1-8B", "meta-llama/Meta-Llama-3-8B", OTHER),
    ("Qwen/Qwen2.5-14B-Instruct", "Qwen/Qwen2.5-7B-Instruct", OTHER),
    ("unsloth/Qwen2.5-Coder-7B-bnb-4bit", "Qwen/Qwen2.5-7B", OTHER),
    ("mistralai/Mistral-7B-v0.3", "mistralai/Mistral-7B-v0.1", OTHER),
    ("microsoft/Phi-3-mini-4k-instruct", "microsoft/Phi-3-mini-128k-instruct", OTHER),
    ("google/gemma-2b-it", "google/gemma-2-2b-it", OTHER),
]  # fmt: skip


def test_real_pairs_of_names_are_judged_right() -> None:
    wrong = [pair for pair in PAIRS if same_model(pair[0], pair[1]) != pair[2]]
    assert wrong == [PAIRS[29]]  # unsloth's short name of one checkpoint of several
    assert wrong == [pair for pair in PAIRS if same_model(pair[1], pair[0]) != pair[2]]


def stating(expert: Path, folder: Path, name: str) -> Path:
    """A copy of an expert that states another base."""
    copy = Path(shutil.copytree(expert, folder))
    file = copy / "adapter_config.json"
    config = json.loads(file.read_text()) | {"base_model_name_or_path": name}
    file.write_text(json.dumps(config))
    return copy


@pytest.fixture
def named(tiny_base: Path, tmp_path: Path) -> Path:
    """The base in a directory with the name of a model."""
    return Path(shutil.copytree(tiny_base, tmp_path / "Tiny-Llama-3-8B-Instruct"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unsloth/tiny-llama-3-8b-instruct-unsloth-bnb-4bit", None),
        ("~/hub/models--anna--Tiny-Llama-3-8B-Instruct/snapshots/12fd25f7", None),
        ("anna/Tiny-Llama-3-8B", "its shapes fit, but it may do less here or add noise"),
    ],
)
def test_a_base_given_by_hand_takes_every_adapter_whose_shapes_fit(
    name: str, words: str | None, named: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    experts = [stating(tiny_experts[0], tmp_path / "one", name), tiny_experts[1]]
    report = inspect_experts(experts, resolve_base(str(named)))
    for space in ("factor", "delta"):
        report.require(space)
    found = [problem.text for problem in report.warnings if problem.expert == "one"]
    assert len(found) == (words is not None)
    for text in found:
        assert f"was trained on {name}, not on {named}: {words}" in text
        assert f"swarm-llm eval --base {named} --adapter {experts[0]} --against base" in text


def test_a_search_says_what_is_odd_about_its_experts(
    named: Path, tiny_experts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import safetensors.torch

    def scaled(expert: Path, name: str, factor: float) -> Path:
        copy = Path(shutil.copytree(expert, tmp_path / name))
        file = copy / "adapter_model.safetensors"
        tensors = safetensors.torch.load_file(file)
        for key in tensors:
            tensors[key] *= factor if "lora_B" in key else 1
        safetensors.torch.save_file(tensors, file)
        return copy

    experts = [
        *tiny_experts,
        stating(tiny_experts[0], tmp_path / "odd", "anna/Huge-Llama-3-8B"),
        scaled(tiny_experts[1], "zeros", 0),
        scaled(tiny_experts[2], "loud", 122),
    ]
    task = write_task(tmp_path / "t.json", questions(8, 1), questions(4, 2))
    notes = prepare(small(named, experts, [task], tmp_path / "run", space="delta")).notes.values()
    _, inspected, _ = swarm_llm(capsys, "inspect", *experts, "--base", named)
    _, checked, _ = swarm_llm(capsys, "check", *experts, "--base", named, "--threads", 1)
    for words in ("odd: was trained on", "zeros: changes nothing", "loud: changes model.layers"):
        (note,) = (note for note in notes if note.startswith(words))
        assert f"warning: {note}" in inspected
        if not note.startswith("zeros"):  # there it is more than a warning
            assert note.replace(": ", ": warning: ", 1) in checked
    assert "zeros: changes nothing, in PEFT neither" in checked and "bee: ok\n" in checked
