"""Whole models as experts, coefficients per block or module, and what is kept in memory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from engine_reference import load_tiny
from search_helpers import questions, small, write_task

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.mixing import PatchedWeights
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.full_model import inspect_models
from pyswarmopt_llm.experts.safetensors_file import StoredTensors
from pyswarmopt_llm.mix.full import FullSpace

Tensors = dict[str, torch.Tensor]


def fine_tune(base: Path, out: Path, seed: int) -> Path:
    """A full fine-tune: a few steps of SGD on random tokens, all weights, embeddings and norms
    included.
    """
    model, _ = load_tiny(base)
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    for _ in range(4):
        ids = torch.randint(0, 200, (4, 24), generator=generator)
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.to(torch.bfloat16).save_pretrained(out, max_shard_size="20KB" if seed == 2 else "1GB")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (base / name).exists():
            shutil.copy(base / name, out / name)
    return out


@pytest.fixture(scope="module")
def models(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    return [
        fine_tune(tiny_base, folder / name, seed)
        for seed, name in enumerate(("one", "two", "three"), 1)
    ]


def test_a_model_whose_tokens_have_other_numbers_is_refused(
    tiny_base: Path, models: list[Path], tmp_path: Path
) -> None:
    """All shapes are alike."""
    base = resolve_base(str(tiny_base))
    other = Path(shutil.copytree(models[0], tmp_path / "other"))
    content = json.loads((other / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    (other / "tokenizer.json").write_text(json.dumps(content))
    inspect_models([str(models[1])], base)
    with pytest.raises(UserError, match=r"other: its tokenizer gives '[ab]' the number \d+, but"):
        inspect_models([str(models[1]), str(other)], base)


def weights_of(path: Path, dtype: torch.dtype = torch.bfloat16) -> Tensors:
    return {name: p.detach().clone() for name, p in load_tiny(path, dtype)[0].named_parameters()}


def full_space(base: Path, models: list[Path]) -> FullSpace:
    model = resolve_base(str(base))
    return FullSpace(model, inspect_models([str(m) for m in models], model), weights_of(base))


def test_a_candidate_is_the_weighted_sum_and_comes_out_again(
    tiny_base: Path, models: list[Path]
) -> None:
    space, experts = full_space(tiny_base, models), [weights_of(m, torch.float32) for m in models]
    model, tokenizer = load_tiny(tiny_base, torch.bfloat16)
    before = weights_of(tiny_base)
    stored = StoredTensors(resolve_base(str(tiny_base)).weight_files)
    engine = TransformersEngine(model, tokenizer, mixing=PatchedWeights(model, stored))
    for c in ([0.5, 0.2, 0.3], [1.4, -0.4, 0.0], [0.0, 1.0, 0.0]):
        engine.load(space.realise(torch.tensor(c).double()))
        for name, weight in model.named_parameters():
            expected = sum(k * e[name].double() for k, e in zip(c, experts, strict=True))
            torch.testing.assert_close(weight.double(), expected, rtol=2**-8, atol=1e-6)
    assert all(torch.equal(w, weights_of(models[1])[name]) for name, w in model.named_parameters())
    engine.load(Patch())
    assert all(torch.equal(w, before[name]) for name, w in model.named_parameters())


def test_saved_candidates_load_as_models_and_read_back_to_the_bit(
    tiny_base: Path, models: list[Path], tmp_path: Path
) -> None:
    for base in (tiny_base, models[1]):  # one file, and shards
        space = full_space(base, models)
        position = torch.tensor([0.6, -0.1, 0.5]).double()
        out = tmp_path / base.name
        space.save(position, out)
        realised, read, loaded = (
            space.realise(position).dense,
            space.read(out).dense,
            weights_of(out),
        )
        assert realised.keys() == read.keys() == loaded.keys()
        for name in realised:
            assert torch.equal(realised[name], read[name]) and torch.equal(read[name], loaded[name])
        with pytest.raises(UserError, match="already exists"):
            space.save(position, out)


def test_a_search_over_whole_models(tiny_base: Path, models: list[Path], tmp_path: Path) -> None:
    task = write_task(tmp_path / "words.json", questions(16, 1), questions(16, 2))
    config = small(tiny_base, models, [task], tmp_path / "r", space="full", max_iter=2)
    outcome = search(config)
    rows = [json.loads(line) for line in (outcome.run / "history.jsonl").read_text().splitlines()]
    assert len({row["value"] for row in rows}) > 1
    assert outcome.result["best_dev"] == max(row["value"] for row in rows)
    engine = TransformersEngine(*load_tiny(outcome.run / "best", torch.bfloat16))
    from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
    from pyswarmopt_llm.scores.tasks import load_task

    for split in ("dev", "test"):
        score = Accuracy(load_task(str(task)).split(split), "likelihood", engine.chat)(engine)
        assert score.value == outcome.result[f"best_{split}"]
    (outcome.run / "result.json").unlink()
    assert resume(outcome.run).result["best_test"] == outcome.result["best_test"]


# Granularity
