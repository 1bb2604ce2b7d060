"""Items that ask the same question with other options: an item is not known by its question.

Each score of a search is held against transformers' own forward pass over one option after the
other, with the change of the weights added as matrices.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from engine_reference import load_tiny, naive_loglikelihood, plain_ids
from peft import PeftModel
from search_helpers import WORDS, Json, MakeSearch, history, keep_trained, write_task

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.experts.adapter import load_adapter, load_factors, read_adapter
from pyswarmopt_llm.scores.tasks import Item, render_prompt
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.search import search
from pyswarmopt_llm.searching.training.trainer import fit, folds
from pyswarmopt_llm.searching.use.evaluate import evaluate_model
from pyswarmopt_llm.tools.analyse import start_name

N = 60
Options = dict[str, Any]


def asking(questions: int, split: int) -> list[Json]:
    """`N` different items of a split over so many questions, which are those of the other split."""
    pairs = random.Random(1).sample([(a, b) for a in WORDS for b in WORDS if a < b], 2 * N)
    return [
        {
            "id": str(i),
            "question": f"Which of these is right, case {i % questions}?",
            "choices": dict(zip("AB", pair, strict=True)),
            "answer": "AB"[pair[0] > "h"],
        }
        for i, pair in enumerate(pairs[split * N : (split + 1) * N])
    ]


@pytest.fixture(scope="module", params=[1, 20], ids=["one question", "twenty questions"])
def done(
    request: pytest.FixtureRequest,
    make_search: MakeSearch,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[SearchConfig, Json]:
    """A search whose result is trained, and its ``result.json``."""
    more: Options = {"space": "delta", "train": "on", "dtype": "float32", "max_iter": 1}
    more["no_rivals"] = True
    config = make_search(tmp_path_factory.mktemp("repeated"), 1, 1, **more)
    write_task(Path(*config.tasks), asking(request.param, 0), asking(request.param, 1))
    with pytest.MonkeyPatch.context() as patched:
        keep_trained(patched)
        return config, dict(search(config).result)


def opened(config: SearchConfig) -> Job:
    return prepare(replace(config, out="unused"))


def plain(job: Job, model: Any, items: Sequence[Item]) -> list[float]:
    """1 for each item whose right option is the likeliest per byte by transformers, else 0."""
    ids = plain_ids(job.engine.tokenizer)  # type: ignore[attr-defined]
    values = []
    for item in items:
        prompt = ids(job.engine.chat(render_prompt(item, "likelihood", None)))
        scores = {
            letter: naive_loglikelihood(model, prompt, ids(text)) / len(text.encode())
            for letter, text in (item.choices or {}).items()
        }
        values.append(float(max(scores, key=scores.__getitem__) == item.answer))
    return values


def changed(config: SearchConfig, *patches: Patch) -> Any:
    """The base with these changes added, as transformers loads it."""
    model, _ = load_tiny(Path(config.base))
    with torch.no_grad():
        for patch in patches:
            for name, change in patch.low_rank.items():
                model.get_parameter(name).add_(change.b @ change.a)
    return model


def mixture(config: SearchConfig, result: Json) -> Patch:
    """What was trained further: the experts, weighted."""
    patch = Patch()
    for path, weight in zip(config.experts, result["coefficients"].values(), strict=True):
        for name, part in load_adapter(read_adapter(Path(path))).factors.items():
            change = LowRank(b=weight * part.scale * part.b, a=part.a)
            patch = patch.with_low_rank({f"{name}.weight": change})
    return patch


def lora(config: SearchConfig, name: str) -> Patch:
    start = start_name(*started(config))
    return Patch(low_rank=load_factors(read_adapter(Path(config.out) / "trained" / start / name)))


def started(config: SearchConfig) -> tuple[Any, str]:
    """The result's coefficients, and its best expert."""
    result = json.loads((Path(config.out) / "result.json").read_text())
    return result["coefficients"], result["best_single"]


def test_on_test_the_score_is_that_of_the_files_read_by_peft(
    done: tuple[SearchConfig, Json],
) -> None:
    config, result = done
    job, best = opened(config), Path(config.out) / "best"
    model = PeftModel.from_pretrained(load_tiny(Path(config.base))[0], best).merge_and_unload()
    values = plain(job, model, job.tasks["words"].test)
    assert result["trained"] and result["best_test"] == fmean(values)
    assert result["models"]["best"]["test"]["tasks"]["words"]["items"] == "".join(
        str(int(value)) for value in values
    )
    options: Options = {"scoring": "likelihood", "dtype": "float32", "threads": 1}
    again = evaluate_model(config.base, str(best), config.tasks[0], "test", **options).score
    assert again.value == result["best_test"] and list(again.per_item) == values


def test_on_dev_each_item_is_scored_by_what_was_trained_without_it(
    done: tuple[SearchConfig, Json],
) -> None:
    config, result = done
    job = opened(config)
    items, start = job.tasks["words"].dev, mixture(config, result)
    choices = job.choices({"words": "likelihood"})
    found = folds(choices, config.seed)
    assert [len(fold) for fold in found] == [20, 20, 20]
    values = dict[int, float]()
    for number, fold in enumerate(found, start=1):
        rest = [choice for place, choice in enumerate(choices) if place not in fold]
        trained = fit(job.engine, start, rest, job.pool.experts[0], config.seed)
        for name, change in lora(config, f"without-{number}").low_rank.items():
            assert torch.allclose(change.dense(), trained.low_rank[name].dense(), atol=1e-4)
        model = changed(config, start, trained)
        values |= zip(fold, plain(job, model, [items[place] for place in fold]), strict=True)
    assert result["trained_dev"] == result["best_dev"] == fmean(values.values())
    own = [*result["coefficients"].values(), 1.0]
    (row,) = (row for row in history(Path(config.out)) if row["coefficients"] == own)
    assert row["items"]["words"] == "".join(str(int(values[place])) for place in range(N))
    assert [margins[0] > 0 for margins in row["margins"]["words"]] == [
        values[place] > 0 for place in range(N)
    ]
