"""Whole models as experts, coefficients per block or module, and what is kept in memory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from engine_reference import load_tiny
from search_helpers import louder, questions, search_words, small, swarm_llm, write_task

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.jobs.search.loop import resume, search
from pyswarmopt_llm.models.adapters.adapter import Adapter, AdapterFile, load_adapter, read_adapter
from pyswarmopt_llm.models.adapters.safetensors_file import StoredTensors
from pyswarmopt_llm.models.base import resolve_base
from pyswarmopt_llm.models.engines.transformers import TransformersEngine
from pyswarmopt_llm.models.full_model import inspect_models
from pyswarmopt_llm.spaces import build_space
from pyswarmopt_llm.spaces.full import FullSpace

Tensors = dict[str, torch.Tensor]


def fine_tune(base: Path, out: Path, seed: int) -> Path:
    """A full fine-tune: a few steps of SGD on random tokens, all weights, embeddings and norms included."""
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
    return [fine_tune(tiny_base, folder / name, seed) for seed, name in enumerate(("one", "two", "three"), 1)]


def weights_of(path: Path, dtype: torch.dtype = torch.bfloat16) -> Tensors:
    return {name: p.detach().clone() for name, p in load_tiny(path, dtype)[0].named_parameters()}


def full_space(base: Path, models: list[Path], granularity: str = "model") -> FullSpace:
    found = resolve_base(str(base))
    return FullSpace(found, inspect_models([str(m) for m in models], found), weights_of(base), granularity)


def test_fine_tunes_change_embeddings_and_norms(tiny_base: Path, models: list[Path]) -> None:
    base, tuned = weights_of(tiny_base), weights_of(models[0])
    assert len(list(models[1].glob("*.safetensors"))) > 1  # one of them is in shards
    for name in ("model.embed_tokens.weight", "model.norm.weight", "model.layers.0.input_layernorm.weight"):
        assert not torch.equal(base[name], tuned[name])


def test_a_candidate_is_the_weighted_sum_and_comes_out_again(tiny_base: Path, models: list[Path]) -> None:
    space, experts = full_space(tiny_base, models), [weights_of(m, torch.float32) for m in models]
    model, tokenizer = load_tiny(tiny_base, torch.bfloat16)
    before = weights_of(tiny_base)
    engine = TransformersEngine(model, tokenizer, stored=StoredTensors(resolve_base(str(tiny_base)).weight_files))
    for c in ([0.5, 0.2, 0.3], [1.4, -0.4, 0.0], [0.0, 1.0, 0.0]):
        engine.load(space.realise(torch.tensor(c).double()))
        for name, found in model.named_parameters():
            expected = sum(k * e[name].double() for k, e in zip(c, experts, strict=True))
            torch.testing.assert_close(found.double(), expected, rtol=2**-8, atol=1e-6)
    assert all(torch.equal(w, weights_of(models[1])[name]) for name, w in model.named_parameters())
    assert not engine._weights._copies  # the base was in memory once all the time
    engine.load(Patch())
    assert all(torch.equal(w, before[name]) for name, w in model.named_parameters())


def test_a_stored_value_that_is_not_the_resident_one_is_not_used(tiny_base: Path, tiny_experts: list[Path]) -> None:
    model, tokenizer = load_tiny(tiny_base, torch.bfloat16)
    stored = dict(StoredTensors(resolve_base(str(tiny_base)).weight_files))
    name = "model.layers.0.self_attn.q_proj.weight"
    stored[name] = stored[name] + 1
    engine = TransformersEngine(model, tokenizer, stored=stored)
    space = build_space("delta", [AdapterFile(read_adapter(p)) for p in tiny_experts])
    before = weights_of(tiny_base)
    engine.load(space.realise(torch.tensor([0.5, 0.5, 0.0])))
    assert set(engine._weights._copies) == {name}
    engine.load(Patch())
    assert all(torch.equal(w, before[n]) for n, w in model.named_parameters())


def test_saved_candidates_load_as_models_and_read_back_to_the_bit(
    tiny_base: Path, models: list[Path], tmp_path: Path
) -> None:
    for base in (tiny_base, models[1]):  # one file, and shards
        space = full_space(base, models)
        position = torch.tensor([0.6, -0.1, 0.5]).double()
        out = tmp_path / base.name
        space.save(position, out)
        realised, read, loaded = space.realise(position).dense, space.read(out).dense, weights_of(out)
        assert realised.keys() == read.keys() == loaded.keys()
        for name in realised:
            assert torch.equal(realised[name], read[name]) and torch.equal(read[name], loaded[name])
        with pytest.raises(UserError, match="exists already"):
            space.save(position, out)


def test_stored_tensors_are_those_of_safetensors(models: list[Path]) -> None:
    files = sorted(models[1].glob("*.safetensors"))
    expected = {name: t for file in files for name, t in safetensors.torch.load_file(file).items()}
    stored = StoredTensors(files)
    assert dict(stored).keys() == expected.keys() and len(files) > 1
    assert all(torch.equal(stored[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("granularity", ["model", "block"])
def test_a_search_over_whole_models(granularity: str, tiny_base: Path, models: list[Path], tmp_path: Path) -> None:
    task = write_task(tmp_path / "words.json", questions(16, 1), questions(16, 2))
    config = small(tiny_base, models, [task], tmp_path / "r", space="full", granularity=granularity, max_iter=2)
    found = search(config)
    rows = [json.loads(line) for line in (found.run / "history.jsonl").read_text().splitlines()]
    assert len({row["value"] for row in rows}) > 1
    assert found.result["best_dev"] == max(row["value"] for row in rows)
    engine = TransformersEngine(*load_tiny(found.run / "best", torch.bfloat16))
    from pyswarmopt_llm.metrics import Accuracy
    from pyswarmopt_llm.tasks import load_task

    for split in ("dev", "test"):
        score = Accuracy(load_task(str(task)).split(split), "likelihood", engine.chat)(engine)
        assert score.value == found.result[f"best_{split}"]
    (found.run / "result.json").unlink()
    assert resume(found.run).result["best_test"] == found.result["best_test"]


def test_models_that_do_not_fit_are_one_clear_line(
    tiny_base: Path, models: list[Path], tiny_experts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = write_task(tmp_path / "words.json", questions(4, 1), questions(4, 2))
    odd = tmp_path / "odd"
    shutil.copytree(models[0], odd)
    tensors = safetensors.torch.load_file(odd / "model.safetensors")
    tensors["model.norm.weight"] = tensors["model.norm.weight"][:16].clone()
    safetensors.torch.save_file(tensors, odd / "model.safetensors", metadata={"format": "pt"})
    other = tmp_path / "other"
    shutil.copytree(models[0], other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    for expert, message in (
        (odd, "odd: the base has model.norm.weight of shape 32, this model has it as 16"),
        (other, "other: is a gpt2 model"),
        (tiny_experts[0], "ant: is an adapter, not a whole model; use --space factor or delta"),
        (tmp_path / "nowhere", "no such directory"),
    ):
        words = search_words(small(tiny_base, [models[0], expert], [task], tmp_path / "r"))
        code, _, err = swarm_llm(capsys, *words, "--space", "full")
        assert code == 2 and message in err and err.count("\n") == 1
    assert not (tmp_path / "r").exists()


# Granularity


@pytest.fixture(scope="module")
def adapters(tiny_experts: list[Path]) -> list[Adapter]:
    return [load_adapter(read_adapter(path)) for path in tiny_experts]


KINDS: dict[str, Callable[[str], str]] = {
    "model": lambda name: "",
    "block": lambda name: name.split(".")[2],
    "module": lambda name: name.split(".")[-2],
}


@pytest.mark.parametrize("name", ["factor", "delta"])
@pytest.mark.parametrize("granularity", KINDS)
def test_each_group_has_its_own_coefficients(name: str, granularity: str, adapters: list[Adapter]) -> None:
    space: Any = build_space(name, adapters, granularity=granularity)
    kind, groups = KINDS[granularity], {"model": 1, "block": 2, "module": 4}[granularity]
    assert len(space.group_names) == groups and space.size == 3 * groups
    for vertex, adapter in zip(space.vertices(), adapters, strict=True):
        for module, factors in adapter.factors.items():
            change = space.realise(vertex).low_rank[f"{module}.weight"].dense()
            torch.testing.assert_close(change, factors.scale * factors.b @ factors.a)
    position = torch.randn(space.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights: dict[str, torch.Tensor] = {}
    for change_name, change in space.realise(position).low_rank.items():
        module = change_name.removesuffix(".weight")
        parts = [adapter.factors[module] for adapter in adapters]
        # Which coefficients were used follows from the change itself: it is linear in them (delta).
        if name == "delta":
            basis = torch.stack([(p.scale * p.b @ p.a).flatten().double() for p in parts], 1)
            c = torch.linalg.lstsq(basis, change.dense().flatten().double()).solution
            torch.testing.assert_close(basis @ c, change.dense().flatten().double(), rtol=1e-4, atol=1e-5)
        else:
            c = torch.linalg.lstsq(
                torch.stack([p.a.flatten().double() for p in parts], 1), change.a.flatten().double()
            ).solution
        torch.testing.assert_close(weights.setdefault(kind(change_name), c), c, rtol=1e-3, atol=1e-4)
    assert len(weights) == groups
    found = torch.stack(list(weights.values()))
    assert torch.unique(found.round(decimals=3), dim=0).shape[0] == groups
    torch.testing.assert_close(space.coefficients(position), found.mean(0), rtol=1e-3, atol=1e-3)


def test_starting_points_differ_between_groups_and_are_mixtures(adapters: list[Adapter]) -> None:
    space: Any = build_space("delta", adapters, granularity="block")
    starts = space.starts(20, seed=3)
    assert torch.equal(starts[:3], space.vertices()) and len(starts) == 20
    rows = starts.view(20, 2, 3)
    np.testing.assert_allclose(rows.sum(-1), 1.0)
    assert ((rows >= 0).all() and (rows[3:] > 0).sum(-1) == 2).all()
    assert (rows[3:, 0] - rows[3:, 1]).abs().max(-1).values.min() > 0
    assert torch.linalg.matrix_rank(starts - starts[0]) == 4  # beyond the experts' own hull, of dimension 2
    assert torch.equal(starts, space.starts(20, seed=3)) and not torch.equal(starts, space.starts(20, seed=4))
    model: Any = build_space("delta", adapters)
    assert torch.equal(model.starts(20, seed=3), model.vertices())


def test_experts_are_read_one_at_a_time(tiny_experts: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from pyswarmopt_llm.models.adapters import adapter as room

    files = [AdapterFile(read_adapter(path)) for path in tiny_experts]
    reads: list[str] = []
    load = room.load_adapter
    monkeypatch.setattr(room, "load_adapter", lambda info: reads.append(info.name) or load(info))
    for name in ("factor", "delta"):
        build_space(name, files)
        assert reads == ["ant", "bee", "cat"]
        reads.clear()


# What a search does with them


def test_a_result_of_limited_rank_is_scored_as_it_is(tiny_base: Path, tiny_experts: list[Path], tmp_path: Path) -> None:
    experts = louder(tiny_experts, tmp_path / "loud")
    task = write_task(tmp_path / "words.json", questions(16, 1), questions(16, 2))
    options = {"space": "delta", "max_iter": 2, "granularity": "module"}
    whole = search(small(tiny_base, experts, [task], tmp_path / "w", **options)).result
    found = search(small(tiny_base, experts, [task], tmp_path / "r", output_rank=2, **options))
    cut = load_adapter(read_adapter(found.run / "best"))
    assert {shape.rank for shape in cut.info.modules.values()} == {2}
    assert set(whole["coefficients_by_group"]) == {"q_proj", "k_proj", "v_proj", "o_proj"}
    assert found.result["truncation"]["dev_before"] == whole["best_dev"]
    lost = total = 0.0
    infos = [load_adapter(read_adapter(e)) for e in experts]
    for module, factors in cut.factors.items():
        by_group = whole["coefficients_by_group"][module.rsplit(".", 1)[-1]]
        parts = [(by_group[a.info.name], a.factors[module]) for a in infos]
        full = sum(c * f.scale * f.b.double() @ f.a.double() for c, f in parts)
        values = torch.linalg.svdvals(full)  # type: ignore[arg-type]
        error = torch.linalg.matrix_norm(full - factors.scale * factors.b.double() @ factors.a.double())
        assert float(error) == pytest.approx(float(values[2:].square().sum().sqrt()), rel=1e-3)
        lost, total = lost + float(error) ** 2, total + float(values.square().sum())
    assert found.result["truncation"]["relative_error"] == pytest.approx((lost / total) ** 0.5, rel=1e-3)


def test_settings_that_do_not_go_together(tiny_base: Path, tmp_path: Path, tiny_experts: list[Path]) -> None:
    task = write_task(tmp_path / "words.json", questions(4, 1), questions(4, 2))
    for options, message in (
        ({"output_rank": 2}, "output_rank 2: goes with space delta"),
        ({"granularity": "blok"}, "--granularity blok: unknown; did you mean block"),
        ({"granularity": "block", "exact_flat": True}, "exact_flat: has no coefficients"),
        ({"space": "fulll"}, "did you mean full"),
    ):
        with pytest.raises(UserError, match=message):
            search(small(tiny_base, tiny_experts, [task], tmp_path / "r", **options))


def test_of_a_swarm_on_flat_weights_a_digest_is_kept(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyswarmopt_llm.evaluation.run_directory._SAVED_NUMBERS", 1000)
    task = write_task(tmp_path / "words.json", questions(6, 1), questions(4, 2))
    found = search(small(tiny_base, tiny_experts, [task], tmp_path / "r", exact_flat=True, max_iter=2))
    assert [p.name for p in (found.run / "checkpoint").iterdir()] == ["swarm.json"]
    (found.run / "result.json").unlink()
    assert resume(found.run).result["best_dev"] == found.result["best_dev"]
    (found.run / "result.json").unlink()
    witness = found.run / "checkpoint" / "swarm.json"
    witness.write_text(json.dumps({**json.loads(witness.read_text()), "digest": "0"}))
    with pytest.raises(UserError, match="iteration 2 is not what it was"):
        resume(found.run)


def test_a_calibration_becomes_part_of_the_run(
    tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyswarmopt_llm.models.engines.calibration._LARGEST", 256)
    task = write_task(tmp_path / "words.json", questions(6, 1), questions(4, 2))
    threads = torch.get_num_threads()
    try:
        found = search(small(tiny_base, tiny_experts, [task], tmp_path / "r", max_iter=1, calibrate=True, threads=None))
    finally:
        torch.set_num_threads(threads)
    about = json.loads((found.run / "run.json").read_text())
    trial, config = about["calibration"], about["config"]
    assert trial.keys() == {"dtype", "threads", "batch_tokens"}
    assert trial["dtype"][config["dtype"]] == min(trial["dtype"].values())
    assert trial["threads"][str(config["threads"])] == min(trial["threads"].values())
    speeds = trial["batch_tokens"]
    assert speeds[str(config["batch_tokens"])] <= 1.05 * min(speeds.values())
    (found.run / "result.json").unlink()
    assert resume(found.run).result["best_test"] == found.result["best_test"]
