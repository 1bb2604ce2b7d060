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
from search_helpers import WORDS, Json, history, lasting, louder, small, write_task

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.experts.adapter import load_adapter, load_factors, read_adapter
from pyswarmopt_llm.scores.tasks import Item, render_prompt
from pyswarmopt_llm.searching import train
from pyswarmopt_llm.searching.loop import resume, search
from pyswarmopt_llm.searching.prepare import Job, prepare
from pyswarmopt_llm.searching.training.choice_losses import folds
from pyswarmopt_llm.searching.training.lora import fit
from pyswarmopt_llm.searching.use.model import evaluate_model
from pyswarmopt_rivals.comparison import contestants
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.comparison.contest import compare

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
    tiny_base: Path,
    tiny_experts: list[Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[SearchConfig, Json]:
    """A search whose result is trained, and its ``result.json``."""
    folder = tmp_path_factory.mktemp("repeated")
    task = write_task(folder / "words.json", asking(request.param, 0), asking(request.param, 1))
    more: Options = {"space": "delta", "train": "on", "dtype": "float32"}
    experts = louder(tiny_experts, folder / "experts")
    config = small(tiny_base, experts, [task], folder / "run", max_iter=1, **more)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(train, "not_worse", lambda *_: True)
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
    start = train.start_name(*started(config))
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
    _, choices = job.training_items({"words": "likelihood"})
    found = folds(choices, config.seed)
    assert [len(fold) for fold in found] == [20, 20, 20]
    values = dict[int, float]()
    for number, fold in enumerate(found, start=1):
        rest = [choice for place, choice in enumerate(choices) if place not in fold]
        trained = fit(job.engine, start, rest, job.experts[0], config.seed)
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


def test_the_rivals_are_scored_as_they_are(done: tuple[SearchConfig, Json]) -> None:
    config, result = done
    job = opened(config)
    _, choices = job.training_items({"words": "likelihood"})
    single = job.space.expert_names.index(result["best_single"])
    expert = job.space.realise(job.space.vertices()[single])
    starts = {"base": None, "base_tuned": Patch(), "expert_tuned": expert}
    for name, start in starts.items():
        test = job.tasks["words"].test
        patches: list[Patch] = []
        if start is not None:
            patches = [start, fit(job.engine, start, choices, job.experts[0], config.seed)]
        assert result[f"{name}_test"] == fmean(plain(job, changed(config, *patches), test))


def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    done: tuple[SearchConfig, Json], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first fold, and with every score there but those of the end."""
    config, result = done
    monkeypatch.setattr(train, "not_worse", lambda *_: True)
    stopped = replace(config, out=str(tmp_path / "run"))
    for kind, share in (("training", 0.3), ("closing", 0.0)):

        def stop(event: Any, kind: str = kind, share: float = share) -> None:
            if event.kind == kind and event.data.get("share", 1.0) > share:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            search(stopped, stop)
        assert lasting(resume(stopped.out).result) == lasting(result)
        assert history(Path(stopped.out)) == history(Path(config.out))
        files = [Path(c.out) / "best" / "adapter_model.safetensors" for c in (stopped, config)]
        assert files[0].read_bytes() == files[1].read_bytes()
        Path(stopped.out).rename(tmp_path / kind)


def test_a_comparison_scores_what_it_trained_by_itself(
    done: tuple[SearchConfig, Json], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, _ = done
    trained: list[Patch] = []
    training = contestants._trained

    def noted(*args: Any) -> Any:
        patch, score = training(*args)
        trained.append(patch)
        return patch, score

    monkeypatch.setattr(contestants, "_trained", noted)
    monkeypatch.setattr(contestants, "not_worse", lambda *_: True)
    given: Options = {"methods": ("item-model+dev",), "seeds": 1, "budget_items": 6000}
    given |= {"scoring": "likelihood", "dtype": "float32", "threads": 1}
    tasks, out = (config.tasks[0],), str(tmp_path / "compared")
    result = compare(
        CompareConfig(base=config.base, experts=config.experts, tasks=tasks, out=out, **given)
    )
    job, row = opened(config), result["methods"]["item-model+dev"]
    values = {
        split: fmean(plain(job, changed(config, trained[0]), job.tasks["words"].split(split)))
        for split in ("dev", "test")
    }
    assert row["test"] == values["test"] and row["dev"] != values["dev"]
