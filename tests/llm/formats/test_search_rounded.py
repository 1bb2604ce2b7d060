"""`search --quantize`: what counts are the scores of the merged and rounded model, and the files hold it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import peft
import pytest
import torch
from engine_reference import load_tiny
from safetensors.torch import load_file
from search_helpers import MakeSearch, ends_as, history, stopped, swarm_llm

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.formats import find_format
from pyswarmopt_llm.formats.gguf_types import rounded
from pyswarmopt_llm.formats.packed import FILE
from pyswarmopt_llm.run.record import unpack
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks.load import load_task
from pyswarmopt_llm.searching.decide import make_plan
from pyswarmopt_llm.tools.export import export_model
from pyswarmopt_llm.use.config import EvalConfig
from pyswarmopt_llm.use.evaluate import evaluate
from pyswarmopt_llm.use.opening import with_run

F = "q4_0"


@pytest.fixture
def config(words_search: MakeSearch) -> SearchConfig:
    return words_search(
        12, 16, space="delta", quantize=F, dtype="float32", scoring="likelihood", max_iter=1
    )


def by_hand(base: str, adapter: Path) -> TransformersEngine:
    """peft's merged model, with the matrices in the file beside the adapter, and each other one as the format
    holds it.
    """
    model, tokenizer = load_tiny(Path(base))
    merged = peft.PeftModel.from_pretrained(model, adapter).merge_and_unload()
    form = find_format(F)
    chosen = load_file(adapter / FILE)
    with torch.no_grad():
        for weight, kind in form.layout(merged).items():
            parameter = merged.get_parameter(weight)
            if weight in chosen:
                of_file = gguf.GGMLQuantizationType[kind]
                values = torch.from_numpy(gguf.dequantize(chosen[weight].numpy(), of_file))
                assert not torch.equal(values, form.rounded(parameter, kind))
            else:
                values = form.rounded(parameter, kind)
            parameter.copy_(values)
    assert chosen
    return TransformersEngine(merged, tokenizer)


def answers(result: dict[str, Any], split: str) -> list[float]:
    (task,) = result["models"]["best"][split]["tasks"].values()
    return unpack(task["items"])


def test_the_scores_are_those_of_the_rounded_model_in_the_files(config: SearchConfig) -> None:
    found: Any = search(config).result
    assert found["quantize"] == F

    engine = by_hand(config.base, Path(config.out) / "best")
    task = load_task(config.tasks[0])
    for split in ("dev", "test"):
        expected = Accuracy(task.split(split), "likelihood", engine.chat, None)(engine)
        assert answers(found, split) == list(expected.per_item)
    card = (Path(config.out) / "best/README.md").read_text()
    assert "All scores are of the merged model as " in card
    assert f"as {F} holds it" in (Path(config.out) / "report.html").read_text()


def test_candidates_are_those_of_a_search_without_a_format(config: SearchConfig) -> None:
    plain = replace(config, quantize=None, out=f"{config.out}-plain")
    before: Any = search(plain).result
    found: Any = search(config).result
    assert found["coefficients"] == before["coefficients"]
    assert found["best_single"] == before["best_single"]
    rows, others = (
        [row for row in history(Path(out)) if row["phase"] == "search"]
        for out in (config.out, plain.out)
    )
    assert rows == others


def test_baselines_are_rounded_too(config: SearchConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Patch] = []
    load = TransformersEngine.load

    def recorded(engine: TransformersEngine, patch: Patch) -> None:
        loaded.append(patch)
        load(engine, patch)

    monkeypatch.setattr(TransformersEngine, "load", recorded)
    scored: dict[str, Patch] = {}

    def note(event: Event) -> None:
        if event.kind == "scoring":
            scored[event.data["model"]] = loaded[-1]

    search(config, on_event=note)
    assert scored.keys() == {"best", "best_single", "uniform", "base"}
    for patch in scored.values():
        assert patch.format is not None
        assert patch.format.name == F
        assert patch.rounded


@pytest.mark.parametrize("train", ["off", "on"])
def test_a_run_that_was_killed_ends_as_one_that_was_not(
    train: str, config: SearchConfig, tmp_path: Path
) -> None:
    """Stopped before so many models were scored after rounding."""
    config = replace(config, train=train)
    search(config)
    for number in (1, 4):
        run = stopped(replace(config, out=str(tmp_path / f"after-{number}")), number, "scoring")
        resume(run)
        ends_as(run, Path(config.out))


def test_trained_models_are_scored_and_shipped_rounded(config: SearchConfig) -> None:
    found: Any = search(replace(config, train="on")).result
    assert {"trained", "mixture", "base"} <= found["models"].keys()
    engine = by_hand(config.base, Path(config.out) / "best")
    expected = Accuracy(load_task(config.tasks[0]).test, "likelihood", engine.chat, None)(engine)
    assert answers(found, "test") == list(expected.per_item)


def test_eval_and_export_of_the_run_are_in_its_format(config: SearchConfig) -> None:
    found: Any = search(config).result
    filled = with_run(EvalConfig(run=config.out))
    assert filled.quantize == F
    assert evaluate(filled).score.value == found["best_test"]

    merged = Path(f"{config.out}-merged")
    export_model(config.out, merged)
    model, tokenizer = load_tiny(merged)
    before = by_hand(config.base, Path(config.out) / "best").model
    for name, kind in find_format(F).layout(model).items():
        value = model.get_parameter(name).detach()
        assert torch.equal(value, before.get_parameter(name)), name
        if kind == "F16":
            continue
        codes = gguf.quantize(value.numpy(), gguf.GGMLQuantizationType[kind])
        again = gguf.dequantize(codes, gguf.GGMLQuantizationType[kind])
        assert np.array_equal(again, value.numpy()), name
        assert torch.equal(rounded(value, kind), value)
    engine = TransformersEngine(model, tokenizer)
    task = load_task(config.tasks[0])
    scored = Accuracy(task.test, "likelihood", engine.chat, None)(engine)
    assert scored.value == found["best_test"]


def test_the_dry_run_counts_rounded_models(
    config: SearchConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["search", "--base", config.base, "--experts", *config.experts]
    words += ["--task", config.tasks[0], "--out", config.out, "--threads", 1, "--json", "--dry-run"]
    plain, planned = (
        json.loads(swarm_llm(capsys, *words, *more)[1]) for more in ((), ("--quantize", F))
    )
    assert {"rounded", "rounding"} <= planned["phases"].keys() - plain["phases"].keys()
    most = 4  # the result, the best expert, the uniform average and the base
    assert planned["passes"] == plain["passes"] + most * planned["examples"][0]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"quantize": "q9"}, "`quantize q9` is unknown; use one of: q4_0"),
        ({"space": "factor"}, "works only with `space` delta, not with factor"),
        ({"mix": "runtime"}, "rounds merged weights; remove it"),
    ],
)
def test_what_cannot_be_rounded_is_refused(
    settings: dict[str, Any], says: str, config: SearchConfig
) -> None:
    with pytest.raises(InvalidOption) as refused:
        make_plan(replace(config, **settings))
    assert says in refused.value.text
    assert not Path(config.out).exists()
