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

# name in the adapter, name of the base, whether they are one model, by model cards
NAMES = Path(__file__).with_name("base_names.jsonl").read_text(encoding="utf-8")
PAIRS = [json.loads(line) for line in NAMES.splitlines()]


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
