"""Results in the formats of other programs, read back by transformers, peft, safetensors and the
gguf package.
"""

from __future__ import annotations

import json
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import peft
import pytest
import safetensors.torch
import torch
from engine_reference import load_tiny
from search_helpers import files, louder, questions, search_words, small, swarm_llm, write_task

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.jobs.export.export import export_model
from pyswarmopt_llm.jobs.search.loop import search
from pyswarmopt_llm.models.full_model import write_tensors

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


def read_gguf(folder: Path, file: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(folder, gguf_file=file)


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


def test_files_of_tensors_are_those_of_the_library_and_hold_one_in_memory_at_a_time(
    tmp_path: Path,
) -> None:
    generator = torch.Generator().manual_seed(0)
    dtypes = {
        "b": torch.bfloat16,
        "é": torch.float32,
        "a": torch.bfloat16,
        "h": torch.float16,
        "s": torch.float64,
    }
    shapes = {"b": (3, 5), "é": (4,), "a": (2, 2, 2), "h": (7, 3), "s": ()}
    tensors = {
        name: torch.randn(shapes[name], generator=generator).to(dtype)
        for name, dtype in dtypes.items()
    }
    alive: list[weakref.ref[torch.Tensor]] = []

    class Counted(dict[str, torch.Tensor]):
        def __getitem__(self, name: str) -> torch.Tensor:
            assert sum(one() is not None for one in alive) <= 1
            value = tensors[name].clone()
            alive.append(weakref.ref(value))
            return value

    write_tensors(tmp_path / "ours", shapes, dtypes, Counted())
    safetensors.torch.save_file(tensors, tmp_path / "theirs", metadata={"format": "pt"})
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert len(alive) == len(tensors)


# GGUF


def test_an_adapter_as_gguf_adds_what_peft_adds(
    tiny_base: Path, make_expert: Callable[..., Path], tmp_path: Path
) -> None:
    adapter = make_expert(
        "mixed", 5, rank=4, alpha=12, rank_pattern={"k_proj": 2}, alpha_pattern={"v_proj": 3}
    )
    export_model(str(adapter), tmp_path / "out", "gguf", base=str(tiny_base))
    reader = gguf.GGUFReader(tmp_path / "out" / "adapter.gguf")
    stored = {tensor.name: torch.from_numpy(tensor.data.copy()) for tensor in reader.tensors}
    alpha = reader.get_field("adapter.lora.alpha").contents()
    assert reader.get_field("general.type").contents() == "adapter"
    bare = dict(load_tiny(tiny_base)[0].named_parameters())
    merged = merged_by_peft(tiny_base, adapter)
    assert len(stored) == 2 * 2 * 4
    for layer in (0, 1):
        for module, name, heads in (
            ("q", "attn_q", 4),
            ("k", "attn_k", 2),
            ("v", "attn_v", 0),
            ("o", "attn_output", 0),
        ):
            a, b = (stored[f"blk.{layer}.{name}.weight.lora_{factor}"] for factor in "ab")
            change = alpha / a.shape[0] * b @ a  # as llama.cpp applies it
            weight = f"model.layers.{layer}.self_attn.{module}_proj.weight"
            expected = merged[weight] - bare[weight]
            if heads:  # row i of a head stands at 2 i, row i + d/2 beside it
                d = expected.shape[0] // heads
                order = [
                    h * d + i + half * d // 2
                    for h in range(heads)
                    for i in range(d // 2)
                    for half in (0, 1)
                ]
                expected = expected[order]
            torch.testing.assert_close(change, expected, rtol=1e-4, atol=1e-5)


def test_an_adapter_names_its_base_in_the_modelfile(
    tiny_base: Path, expert: Path, tmp_path: Path
) -> None:
    export_model(str(expert), tmp_path / "out", "gguf", base=str(tiny_base))
    text = (tmp_path / "out" / "Modelfile").read_text()
    assert text.startswith("FROM ./base.gguf\nADAPTER ./adapter.gguf\n")


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
    assert (
        card.data.library_name == "transformers"
        and card.data.to_dict()["base_model_relation"] == "merge"
    )
    assert "The adapter is merged into the base." in card.text


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
    lost = total = 0.0
    for name, base in bare.items():
        full, found = ((w[name] - base).detach().double().numpy() for w in (whole, cut))
        if full.ndim == 2 and full.any():
            u, s, vt = np.linalg.svd(full)
            np.testing.assert_allclose(found, (u[:, :3] * s[:3]) @ vt[:3], atol=1e-4)
            lost, total = lost + float((s[3:] ** 2).sum()), total + float((s**2).sum())
    assert record["relative_error"] == pytest.approx((lost / total) ** 0.5, rel=1e-3)
    assert f"by {record['relative_error']:.1%}" in (tmp_path / "out" / "README.md").read_text()


# What is refused


def refused(capsys: pytest.CaptureFixture[str], out: Path, *words: object) -> str:
    before = files(out.parent)
    code, _, said = swarm_llm(capsys, "export", *words, "--out", out)
    assert code == 2 and said.count("\n") == 1
    assert files(out.parent) == before and not list(out.parent.glob(".*"))
    return said


def test_wrong_input_is_one_line_and_leaves_nothing(
    run: Path, tiny_base: Path, expert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made" / "out"
    out.parent.mkdir()
    for words, expected in (
        ([expert], "--base: missing; name the model"),
        ([tmp_path / "nowhere", "--base", tiny_base], "no such directory"),
        ([run, "--base", tiny_base], "names its own base; remove it"),
        ([tiny_base, "--base", tiny_base], "is a whole model"),
        ([tiny_base, "--format", "gguf"], "not an adapter; use --format merged"),
        ([expert, "--base", tiny_base, "--rank", 2], "--rank 2: goes with --format peft or gguf"),
        ([expert, "--base", tiny_base, "--format", "peft"], "add --rank"),
        ([expert, "--base", tiny_base, "--format", "onnx"], "use merged, gguf or peft"),
    ):
        assert expected in refused(capsys, out, *words)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("mine")
    assert (
        swarm_llm(capsys, "export", expert, "--base", tiny_base, "--out", tmp_path / "there")[0]
        == 2
    )
    assert files(tmp_path / "there") == {"file": b"mine"}


def test_other_architectures_are_sent_to_the_converter_of_llama_cpp(
    tiny_base: Path, expert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, adapter = (
        Path(shutil.copytree(source, tmp_path / source.name)) for source in (tiny_base, expert)
    )
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(
        json.dumps({**config, "model_type": "mistral", "architectures": None})
    )
    trained_on = json.loads((adapter / "adapter_config.json").read_text()) | {
        "base_model_name_or_path": str(other)
    }
    (adapter / "adapter_config.json").write_text(json.dumps(trained_on))
    (tmp_path / "made").mkdir()
    said = refused(capsys, tmp_path / "made" / "out", adapter, "--base", other, "--format", "gguf")
    assert "mistral is not among" in said and "convert_lora_to_gguf.py" in said


def test_a_base_that_changed_since_the_run_is_refused(
    run: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    about = json.loads((copy / "run.json").read_text())
    about["fingerprints"]["base"] = "0" * 64
    (copy / "run.json").write_text(json.dumps(about))
    (tmp_path / "made").mkdir()
    assert "not the one of the run any more" in refused(capsys, tmp_path / "made" / "out", copy)


def test_several_models_have_no_single_file(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = write_task(tmp_path / "words.json", questions(8, 1), questions(4, 2))
    config = small(tiny_base, tiny_experts[:2], [task], tmp_path / "run", space="token", max_iter=0)
    assert swarm_llm(capsys, *search_words(config), "--space", "token")[0] == 0
    (tmp_path / "made").mkdir()
    assert "is several models (space token)" in refused(
        capsys, tmp_path / "made" / "out", tmp_path / "run"
    )


def test_a_disk_that_fails_leaves_nothing(
    tiny_base: Path, expert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0

    def fails(self: Any, tensor: Any, *more: Any) -> None:
        nonlocal written
        written += 1
        if written == 3:
            raise OSError(28, "No space left on device")
        write(self, tensor, *more)

    write = gguf.GGUFWriter.write_tensor_data
    monkeypatch.setattr(gguf.GGUFWriter, "write_tensor_data", fails)
    with pytest.raises(UserError, match="cannot be written \\(No space left on device\\)"):
        export_model(str(expert), tmp_path / "made" / "out", "gguf", base=str(tiny_base))
    assert not list((tmp_path / "made").iterdir())
