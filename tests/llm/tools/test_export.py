"""Results in the formats of other programs, read back by transformers, peft, safetensors and the
gguf package.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from changed_copies import changed_copy, edited
from engine_reference import load_tiny
from search_helpers import Shell, files, louder, questions, small, swarm_llm, write_task

from pyswarmopt_llm.api import search
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.tools.export import _check_logits, export_model, logits_of, scoring_command

Q = "model.layers.0.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def expert(tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter that changes many answers."""
    return louder(tiny_experts, tmp_path_factory.mktemp("loud"))[0]


def merged_by_peft(
    base: Path, adapter: Path, dtype: torch.dtype = torch.float32
) -> dict[str, torch.Tensor]:
    model = peft.PeftModel.from_pretrained(load_tiny(base, dtype)[0], adapter).merge_and_unload()
    return dict(model.named_parameters())


# A merged model


def test_the_merged_model_is_the_one_that_peft_merges(
    tiny_base: Path, expert: Path, tmp_path: Path
) -> None:
    export_model(str(expert), tmp_path / "out", base=str(tiny_base))
    found = dict(load_tiny(tmp_path / "out", torch.bfloat16)[0].named_parameters())
    expected = merged_by_peft(tiny_base, expert)
    assert found.keys() == expected.keys()
    assert all(
        torch.equal(found[name], value.to(torch.bfloat16)) for name, value in expected.items()
    )
    assert not torch.equal(found[Q], load_tiny(tiny_base, torch.bfloat16)[0].state_dict()[Q])
    kept = {"config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
    assert kept <= {file.name for file in (tmp_path / "out").iterdir()}


def test_links_out_of_the_base_are_not_copied_into_a_merged_model(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    secret = tmp_path / "id_rsa"
    secret.write_text("PRIVATE KEY")
    base = Path(shutil.copytree(tiny_base, tmp_path / "strange"))
    (base / "merges.txt").symlink_to(secret)
    with pytest.raises(UserError, match=r"merges\.txt is a link to a file outside"):
        export_model(str(tiny_experts[0]), tmp_path / "out", base=str(base))
    assert not (tmp_path / "out").exists()


def test_named_chat_templates_stay_with_a_merged_model(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    base = Path(shutil.copytree(tiny_base, tmp_path / "named"))
    tokenizer = AutoTokenizer.from_pretrained(base)
    templates = {"default": tokenizer.chat_template, "tool_use": "tools"}
    tokenizer.chat_template = dict(templates)
    tokenizer.save_pretrained(base)
    export_model(str(tiny_experts[0]), tmp_path / "out", base=str(base))
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template == templates


def test_a_merged_model_that_overflows_is_not_written(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    base = Path(shutil.copytree(tiny_base, tmp_path / "half"))
    load_tiny(tiny_base, torch.float16)[0].save_pretrained(base)
    big = changed_copy(tiny_experts[0], tmp_path / "big", lora_alpha=1e8)
    with pytest.raises(UserError, match=r"big merged into .*float16.* are NaN or infinite"):
        export_model(str(big), tmp_path / "out", base=str(base))
    assert not (tmp_path / "out").exists()


def test_a_model_that_transformers_cannot_save_is_refused_with_a_remedy(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import PreTrainedModel

    def fails(*_: Any, **__: Any) -> None:
        raise ValueError("shared\ntensors")

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", fails)
    with pytest.raises(UserError, match=r"cannot save .* \(shared\); set form to peft"):
        export_model(str(tiny_experts[0]), tmp_path / "out", base=str(tiny_base))
    assert not (tmp_path / "out").exists()


# Runs, and a smaller rank


@pytest.fixture(scope="module")
def run(
    tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("export")
    task = write_task(folder / "words.json", questions(8, 1), questions(30, 2))
    experts = louder(tiny_experts, folder / "loud")
    search(small(tiny_base, experts, [task], folder / "run", space="delta", max_iter=1))
    return folder / "run"


def test_a_run_is_exported_with_the_base_it_names_and_its_card(
    run: Path, tiny_base: Path, tmp_path: Path
) -> None:
    from huggingface_hub import ModelCard

    export_model(str(run), tmp_path / "out")
    export_model(str(run / "best"), tmp_path / "again", base=str(tiny_base))
    one, again = files(tmp_path / "out"), files(tmp_path / "again")
    assert one.keys() - again.keys() == {"README.md"} and all(
        one[name] == again[name] for name in again
    )
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.library_name == "transformers"
    assert card.data.base_model is None  # a folder is no id of the hub
    assert "by `swarm-llm export`" in card.text


def nearest(change: torch.Tensor, found: torch.Tensor, rank: int) -> tuple[float, float]:
    """What is lost of a weight's change, and the whole, both squared: by numpy's SVD."""
    full, kept = (part.detach().double().numpy() for part in (change, found))
    u, s, vt = np.linalg.svd(np.atleast_2d(full), full_matrices=False)
    np.testing.assert_allclose(np.atleast_2d(kept), (u[:, :rank] * s[:rank]) @ vt[:rank], atol=2e-4)
    return float((s[rank:] ** 2).sum()), float((s**2).sum())


def share_of(lost: Iterable[tuple[float, float]]) -> float:
    """The relative error of several weights."""
    parts, whole = (sum(numbers) for numbers in zip(*lost, strict=True))
    return float((parts / whole) ** 0.5)


def test_a_truncated_adapter_is_the_nearest_of_its_rank(
    run: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = swarm_llm(
        capsys, "export", run, "--format", "peft", "--rank", 3, "--out", tmp_path / "out", "--json"
    )
    assert code == 0
    record = json.loads(out)
    whole, cut = (
        merged_by_peft(tiny_base, run / "best"),
        merged_by_peft(tiny_base, tmp_path / "out"),
    )
    bare = dict(load_tiny(tiny_base)[0].named_parameters())
    lost = [nearest(whole[name] - base, cut[name] - base, 3) for name, base in bare.items()]
    assert record["relative_error"] == pytest.approx(share_of(lost), rel=1e-3)


def test_the_printed_command_scores_a_truncated_adapter_against_the_run(
    run: Path, tmp_path: Path, shell: Shell
) -> None:
    out = tmp_path / "out"
    said = shell("export", run, "--format", "peft", "--rank", 1, "--out", out)
    (line,) = [line for line in said.splitlines() if line.startswith("To score it: ")]
    _, *words = shlex.split(line.removeprefix("To score it: "))
    found = shell.json(*words, "--threads", 1)
    result = json.loads((run / "result.json").read_text())
    assert found["against"]["value"] == result["best_test"] and found["adapter"] == str(out)


def test_the_printed_command_chooses_one_of_several_scores(run: Path, tmp_path: Path) -> None:
    about = json.loads((run / "run.json").read_text())
    about["config"]["metrics"] = ["words=f1", "words=tokens"]
    (tmp_path / "run.json").write_text(json.dumps(about))
    said = scoring_command(str(tmp_path), "out")
    assert shlex.split(said)[-2:] == ["--metric", "f1"]
    about["config"]["metrics"] = ["f1"]
    (tmp_path / "run.json").write_text(json.dumps(about))
    assert "--metric" not in scoring_command(str(tmp_path), "out")


def test_a_mixture_of_models_is_no_file_but_says_what_runs_it(tmp_path: Path, shell: Shell) -> None:
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "mixture.json").write_text("{}")
    mixed = tmp_path / "mixed"
    said = shell.refused("export", mixed, "--base", mixed, "--out", tmp_path / "out")
    assert "mixture of several models" in said
    assert f"swarm-llm generate 'YOUR QUESTION' --base {mixed}" in said


def test_after_a_search_on_4_bits_only_merging_is_refused(
    tiny_base: Path, expert: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = f"nf4:{tiny_base}"
    export_model(str(expert), tmp_path / "peft", "peft", base=packed)
    export_model(str(expert), tmp_path / "plain", "peft", base=str(tiny_base))
    assert files(tmp_path / "peft") == files(tmp_path / "plain")
    code, _, said = swarm_llm(
        capsys, "export", expert, "--base", packed, "--out", tmp_path / "merged"
    )
    assert code == 2 and "quantised weights" in said


# Kinds that are no plain LoRA


def other_kind(base: Path, folder: Path, config: Any) -> Path:
    """An adapter with random weights, saved by peft."""
    with warnings.catch_warnings(action="ignore"), torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = peft.get_peft_model(load_tiny(base)[0], config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn(parameter.shape) * 0.1)
        model.save_pretrained(folder, save_embedding_layers=False)
    return folder


LORA = {"r": 3, "target_modules": ["q_proj", "down_proj"], "task_type": "CAUSAL_LM"}
KINDS: dict[str, Any] = {
    "dora": peft.LoraConfig(**LORA, use_dora=True),
    "saved module": peft.LoraConfig(**LORA, modules_to_save=["o_proj"]),
    "pissa": peft.LoraConfig(**LORA, init_lora_weights="pissa"),
    "olora": peft.LoraConfig(**LORA, init_lora_weights="olora"),
    "loha": peft.LoHaConfig(**LORA),
    "ia3": peft.IA3Config(
        target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"],
        task_type="CAUSAL_LM",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_search_refuses_is_flattened_to_the_nearest_lora(
    kind: str, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against the SVD by numpy of what peft merges, minus the base."""
    adapter = other_kind(tiny_base, tmp_path / "adapter", KINDS[kind])
    code, out, _ = swarm_llm(capsys, "inspect", adapter, "--base", tiny_base, "--json")
    assert code == 2
    (problem,) = json.loads(out)["problems"]
    assert f"swarm-llm export {adapter} --base B --format peft --rank 16" in problem["text"]
    words = ["export", adapter, "--base", tiny_base, "--format", "peft", "--rank", 4]
    code, out, err = swarm_llm(capsys, *words, "--out", tmp_path / "flat", "--json")
    assert code == 0, err
    record = json.loads(out)
    bare = dict(load_tiny(tiny_base)[0].named_parameters())
    whole = merged_by_peft(tiny_base, adapter)
    flat = merged_by_peft(tiny_base, tmp_path / "flat")
    lost = {name: nearest(whole[name] - base, flat[name] - base, 4) for name, base in bare.items()}
    assert record["relative_error"] == pytest.approx(share_of(lost.values()), rel=2e-3, abs=1e-4)
    assert swarm_llm(capsys, "inspect", tmp_path / "flat", "--base", tiny_base)[0] == 0
    edited(adapter, dict.popitem)  # peft would draw this tensor at random
    refused(capsys, tmp_path / "out", *words[1:])


def test_an_adapter_of_another_kind_that_is_not_finite_is_refused(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = other_kind(tiny_base, tmp_path / "adapter", KINDS["dora"])
    edited(adapter, lambda tensors: tensors[min(tensors)].view(-1)[3:4].fill_(torch.nan))
    words = [adapter, "--base", tiny_base, "--format", "peft", "--rank", 4]
    said = refused(capsys, tmp_path / "flat", *words)
    assert "layers.0" in said and "are NaN or infinite" in said


def test_changes_that_add_up_in_a_shared_weight_are_not_flattened(tiny_base: Path) -> None:
    """peft changes the outputs of both layers; its merged weight has both changes."""

    def shared() -> Any:
        model = load_tiny(tiny_base)[0]
        first, second = (layer.self_attn for layer in model.model.layers)
        second.q_proj.weight = first.q_proj.weight
        return model

    config = peft.LoraConfig(
        r=4, target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False
    )
    for layers, fits in (([0], True), ([0, 1], False)):
        config.layers_to_transform = layers
        with torch.no_grad():
            adapted = peft.get_peft_model(shared(), config).eval()
            expected = logits_of(adapted)
            merged = adapted.merge_and_unload()
            if fits:
                _check_logits("ant", shared(), merged, [Q], expected)
                continue
            with pytest.raises(UserError, match="layers share a weight"):
                _check_logits("ant", shared(), merged, [Q], expected)


def test_a_changed_embedding_is_not_dropped_silently(
    tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = peft.LoraConfig(**{**LORA, "target_modules": ["v_proj", "embed_tokens"]})
    words = other_kind(tiny_base, tmp_path / "adapter", config), "--base", tiny_base
    said = refused(capsys, tmp_path / "flat", *words, "--format", "peft", "--rank", 4)
    assert "also changes model.embed_tokens.weight" in said


# What is refused


def refused(capsys: pytest.CaptureFixture[str], out: Path, *words: object) -> str:
    before = files(out.parent)
    code, _, said = swarm_llm(capsys, "export", *words, "--out", out)
    assert code == 2 and said.count("\n") == 1
    assert files(out.parent) == before and not list(out.parent.glob(".*"))
    return said


def test_a_base_that_changed_since_the_run_is_refused(
    run: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    about = json.loads((copy / "run.json").read_text())
    about["fingerprints"]["base"] = "0" * 64
    (copy / "run.json").write_text(json.dumps(about))
    (tmp_path / "made").mkdir()
    assert "base changed since the run began" in refused(capsys, tmp_path / "made" / "out", copy)


@pytest.mark.parametrize("command", ["export", "merge", "check", "analyse"])
def test_wrong_arguments_are_refused_before_torch_is_loaded(
    command: str, tiny_base: Path, tiny_experts: list[Path], tmp_path: Path
) -> None:
    ant, missing = tiny_experts[0], tmp_path / "missing"
    there = Path(shutil.copytree(ant, tmp_path / "there"))
    out = tmp_path / "out"
    wrong: dict[str, list[list[object]]] = {
        "export": [
            [missing, "--base", tiny_base, "--out", out],
            [ant, "--base", missing, "--out", out],
            [ant, "--base", tiny_base, "--out", there],
            [ant, "--base", tiny_base, "--out", out, "--rank", 2],
            [ant, "--out", out],
        ],
        "merge": [
            ["--base", missing, "--experts", ant, "--out", out],
            ["--base", tiny_base, "--experts", missing, "--out", out],
            ["--base", tiny_base, "--experts", ant, "--out", there],
        ],
        "check": [[missing, "--base", tiny_base], [ant, "--base", missing]],
        "analyse": [[missing]],
    }
    code = (
        "import json, sys; from pyswarmopt_llm.cli.app import main\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    try: main(words)\n"
        "    except SystemExit as end: print(end.code, 'torch' in sys.modules)\n"
    )
    lines = [[command, *map(str, words)] for words in wrong[command]]
    process = subprocess.run(
        [sys.executable, "-c", code, json.dumps(lines)], capture_output=True, text=True, check=True
    )
    assert process.stdout.splitlines() == ["2 False"] * len(lines), process.stderr
    assert process.stderr.count("\n") == len(lines) and not out.exists()
