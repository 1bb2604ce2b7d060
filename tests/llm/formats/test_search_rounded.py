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
from search_helpers import MakeSearch, ends_as, history, stopped, swarm_llm

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.formats import find_format
from pyswarmopt_llm.formats.gguf_types import rounded
from pyswarmopt_llm.run.record import unpack
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks.load import load_task
from pyswarmopt_llm.searching.decide import make_plan
from pyswarmopt_llm.searching.plan import STRENGTHS
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
    """peft's merged model, each matrix as the format holds it."""
    model, tokenizer = load_tiny(Path(base))
    merged = peft.PeftModel.from_pretrained(model, adapter).merge_and_unload()
    form = find_format(F)
    with torch.no_grad():
        for weight, kind in form.layout(merged).items():
            parameter = merged.get_parameter(weight)
            parameter.copy_(form.rounded(parameter, kind))
    return TransformersEngine(merged, tokenizer)


def answers(result: dict[str, Any], split: str) -> list[float]:
    (task,) = result["models"]["best"][split]["tasks"].values()
    return unpack(task["items"])


def test_the_scores_are_those_of_the_rounded_model_in_the_files(config: SearchConfig) -> None:
    found: Any = search(config).result
    assert found["quantize"] == F
    assert found["models"]["best"]["strength"] in STRENGTHS
    assert any("the dev score is optimistic" in note for note in found["notes"])

    engine = by_hand(config.base, Path(config.out) / "best")
    task = load_task(config.tasks[0])
    for split in ("dev", "test"):
        expected = Accuracy(task.split(split), "likelihood", engine.chat, None)(engine)
        assert answers(found, split) == list(expected.per_item)
    card = (Path(config.out) / "best/README.md").read_text()
    assert "All scores are of the merged model as " in card
    assert f"as {F} holds it" in (Path(config.out) / "report.html").read_text()


def test_the_best_rounded_model_is_returned(config: SearchConfig) -> None:
    plain = replace(config, quantize=None, out=f"{config.out}-plain")
    mixture = np.array(list(search(plain).result["coefficients"].values()))
    found: Any = search(config).result
    rows = history(Path(config.out))
    late = [row for row in rows if row["phase"] == "rounded"]
    assert [row["coefficients"] for row in late[:3]] == np.eye(3).tolist()
    at = {tuple(row["coefficients"]): row["value"] for row in late}
    assert at.keys() <= {*map(tuple, np.eye(3)), *(tuple(mixture * s) for s in STRENGTHS)}
    # of equal ones the least strength
    stronger = [tuple(mixture * strength) for strength in STRENGTHS]
    best = max([*stronger, *map(tuple, np.eye(3))], key=at.__getitem__)
    assert found["best_dev"] == at[best]
    assert tuple(found["coefficients"].values()) == best
    # candidates are proposed before rounding: those of a search without a format
    before = [row for row in history(Path(plain.out)) if row["phase"] == "search"]
    assert [row for row in rows if row["phase"] == "search"] == before


def test_the_best_expert_is_the_best_after_rounding(words_search: MakeSearch) -> None:
    """Before rounding it is another one, on the machine that this was written on."""
    how: dict[str, Any] = {"space": "delta", "quantize": "q4_1", "dtype": "float32"}
    found: Any = search(words_search(23, 16, scoring="likelihood", max_iter=0, **how)).result
    experts = {name: model["dev"]["value"] for name, model in found["experts"].items()}
    assert experts[found["best_single"]] == max(experts.values()) == found["best_single_dev"]


def test_baselines_are_rounded_too(config: SearchConfig) -> None:
    found: Any = search(config).result
    model, tokenizer = load_tiny(Path(config.base))
    form = find_format(F)
    with torch.no_grad():
        for weight, kind in form.layout(model).items():
            model.get_parameter(weight).copy_(form.rounded(model.get_parameter(weight), kind))
    engine = TransformersEngine(model, tokenizer)
    items = load_task(config.tasks[0]).test
    expected = Accuracy(items, "likelihood", engine.chat, None)(engine)
    assert found["base_test"] == expected.value


@pytest.mark.parametrize("train", ["off", "on"])
def test_a_run_that_was_killed_ends_as_one_that_was_not(
    train: str, config: SearchConfig, tmp_path: Path
) -> None:
    """Stopped after so many rounded models."""
    config = replace(config, train=train)
    search(config)
    for number in (1, 4):
        run = stopped(replace(config, out=str(tmp_path / f"after-{number}")), number, "trial")
        resume(run)
        ends_as(run, Path(config.out))


def test_trained_models_are_scored_and_shipped_rounded(config: SearchConfig) -> None:
    found: Any = search(replace(config, train="on")).result
    models = found["models"]
    assert {"trained", "mixture", "base"} <= models.keys()
    assert models["trained"]["strength"] in STRENGTHS
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
    most = len(STRENGTHS) + len(config.experts)
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
