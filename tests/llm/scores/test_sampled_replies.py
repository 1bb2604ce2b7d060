"""``temperature`` and ``samples``: the value of an item is the mean score of sampled replies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from changed_copies import stopped_copy
from engine_reference import load_tiny
from search_helpers import DEFAULT, ends_as, history

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.engine.generation import Draw
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.scores.metrics.metric import Sampling, Written
from pyswarmopt_llm.scores.tasks import Item
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.searching.search import resume, search
from pyswarmopt_llm.searching.use.config import EvalConfig
from pyswarmopt_llm.searching.use.evaluate import evaluate
from pyswarmopt_llm.searching.use.opening import with_run

ITEMS = [Item(str(i), f"Question {i}?", None, "") for i in range(3)]
SAMPLING = Sampling(temperature=1.5, samples=4, seed=7)


def letters(items: Any, texts: Sequence[str]) -> list[float]:
    return [float(len(set(text))) for text in texts]


@pytest.fixture
def engine(tiny_base: Path) -> TransformersEngine:
    return TransformersEngine(*load_tiny(tiny_base))


KINDS = """
def kinds(reply):
    return float(len(set(reply)))
"""


@pytest.fixture
def config(words_search: Callable[..., SearchConfig], tmp_path: Path) -> SearchConfig:
    metric = tmp_path / "kinds.py"
    metric.write_text(KINDS)
    more: dict[str, Any] = {"scoring": "auto", "dtype": "float32", "max_iter": 1, "space": "delta"}
    more |= {"metrics": (f"{metric}:kinds",), "max_new_tokens": 6}
    return words_search(8, 6, temperature=1.0, samples=3, seed=3, **more)


def test_the_value_of_an_item_is_the_mean_of_its_samples_each_drawn_alone(
    engine: TransformersEngine,
) -> None:
    utility = Written(ITEMS, letters, engine.chat, None, 6, sampling=SAMPLING)
    expected = []
    for _, prompt, most in utility.texts():
        values = []
        for sample in range(SAMPLING.samples):
            (seed,) = SAMPLING.seeds([prompt], sample)
            values += letters(
                None, engine.generate([prompt], most, Draw(SAMPLING.temperature, (seed,)))
            )
        expected.append(fmean(values))
    score = utility(engine)
    assert score.per_item == tuple(expected) and len({*expected}) > 1
    assert score.value == pytest.approx(fmean(expected))
    greedy = Written(ITEMS, letters, engine.chat, None, 6)(engine)
    assert greedy.per_item == tuple(letters(None, utility.answers(engine))) != score.per_item


def test_a_search_a_resumed_one_and_its_evaluation_draw_the_same_replies(
    config: SearchConfig, tmp_path: Path
) -> None:
    result = search(config).result
    job = prepare(replace(config, out="unused"))
    (utility,) = job.utilities("dev", {"words": "generate"}).values()
    rows = history(Path(config.out))
    for row, vertex in zip(rows, job.pool.space.vertices(), strict=False):
        job.engine.load(job.pool.space.realise(vertex))
        assert row["value"] == pytest.approx(utility(job.engine).value)
    run = stopped_copy(Path(config.out), tmp_path / "stopped", rows=4)
    resume(run, allowed=config.metrics)
    ends_as(run, Path(config.out))
    again = evaluate(with_run(EvalConfig(run=str(run), metric=config.metrics[0])))
    assert again.score.value == pytest.approx(result["best_test"])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_model_of_sampled_scores_does_not_interpolate(
    temperature: float, config: SearchConfig, noises: list[bool]
) -> None:
    proposing = replace(config, **{**DEFAULT, "method": "scores", "max_iter": None, "proposals": 1})
    search(replace(proposing, temperature=temperature, samples=1))
    assert {*noises} == {temperature > 0}
