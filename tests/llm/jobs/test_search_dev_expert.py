"""`search --dev-expert`: an expert trained on dev, scored on what it has not seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from search_helpers import ends_as, history, louder, questions, small, swarm_llm, write_task

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.jobs.search.loop import resume, search
from pyswarmopt_llm.jobs.search.prepare import prepare
from pyswarmopt_llm.metrics.accuracy import Accuracy
from pyswarmopt_llm.models.adapters.adapter import Adapter, load_adapter, load_factors, read_adapter
from pyswarmopt_llm.models.training.folds import folds
from pyswarmopt_llm.reporting.summary import score_rows


@pytest.fixture
def config(tiny_base: Path, tiny_experts: list[Path], tmp_path: Path) -> SearchConfig:
    experts = louder(tiny_experts, tmp_path / "experts")
    task = write_task(tmp_path / "words.json", questions(16, 1), questions(12, 2))
    more: dict[str, Any] = {"space": "delta", "screen": 0.05, "dev_expert": "on", "dtype": "float32"}
    return small(tiny_base, experts, [task], tmp_path / "run", **more)


def dense(experts: list[Adapter], weights: list[float], lora: Any) -> dict[str, torch.Tensor]:
    """The weighted sum of the experts plus a LoRA, as matrices."""
    found = {name: change.dense() for name, change in lora.items()}
    for expert, weight in zip(experts, weights, strict=True):
        for module, part in expert.factors.items():
            found[f"{module}.weight"] = found[f"{module}.weight"] + weight * part.scale * part.b @ part.a
    return found


def test_the_pool_has_one_more_expert_and_its_files_are_what_is_scored(config: SearchConfig) -> None:
    events: list[Any] = []
    found: Any = search(config, events.append).result
    assert list(found["coefficients"]) == ["ant", "bee", "cat", "trained-on-dev"]
    assert found["passes"] == found["item_evaluations"] + 4 * 2.5 * (12 + 4 * 13 + 16)
    (planned,) = (event.data["evaluations_planned"] for event in events if event.kind == "start")
    assert found["evaluations"] <= planned == 5 * 4 + 10 + 3  # rounds, proposals, even sums
    assert any("one more expert on the 16 dev items, starting from" in event.data.get("text", "") for event in events)
    shares = [event.data["share"] for event in events if event.kind == "training"]
    done, total = 0, 4 * (12 + 4 * 13 + 16)  # four epochs without each of the five folds, and on all
    for share, items in zip(shares, [n for n in (12, 13, 13, 13, 13, 16) for _ in range(4)], strict=True):
        done += items
        assert share == done / total
    rows = history(Path(config.out))
    first = [row for row in rows if row["phase"] == "search"][:7]
    experts, sums, trained = torch.eye(4)[:3], [[0] * 4, [1 / 3] * 3 + [0], [1, 1, 1, 0]], [0, 0, 0, 1]
    assert [row["coefficients"] for row in first] == [*experts.tolist(), *sums, trained]
    # The value on test is that of the files, by themselves.
    job = prepare(replace(config, out="unused"))
    job.engine.load(Patch(low_rank=load_factors(read_adapter(Path(config.out) / "best"))))
    (utility,) = job.utilities("test", {"words": "likelihood"}).values()
    assert utility(job.engine).value == found["best_test"]


def test_the_result_has_what_training_alone_gives_and_compares_with_the_experts_that_were_given(
    config: SearchConfig,
) -> None:
    found: Any = search(config).result
    assert found["best_single"] in {"ant", "bee", "cat"}
    rows = history(Path(config.out))
    (alone,) = [row for row in rows if row["phase"] == "search" and row["coefficients"] == [0, 0, 0, 1]]
    assert found["dev_expert_dev"] == alone["value"]
    job = prepare(replace(config, out="unused", dev_expert="off"))
    (utility,) = job.utilities("test", {"words": "likelihood"}).values()
    job.engine.load(Patch(low_rank=load_factors(read_adapter(Path(config.out) / "dev-expert" / "whole"))))
    assert utility(job.engine).value == found["dev_expert_test"]
    job.engine.load(job.space.realise(torch.full((3,), 1 / 3)))
    assert utility(job.engine).value == found["uniform_test"]
    weights = (*found["trained_from"].values(),)
    start = {(1.0,): "{}", (1.0, 1.0, 1.0): "the experts' sum"}.get(weights, "the experts' average")
    assert [row.label for row in score_rows(found)] == [
        *(f"best single expert: {found['best_single']}", "uniform average"),
        *(f"{start.format(*found['trained_from'])}, trained on dev", "swarm"),
    ]


def test_on_dev_each_fold_is_scored_by_what_was_trained_without_it(config: SearchConfig) -> None:
    search(config)
    run = Path(config.out)
    job = prepare(replace(config, out="unused"))
    (utility,) = job.utilities("dev", {"words": "likelihood"}).values()
    assert isinstance(utility, Accuracy)
    seen = folds(utility.choices(), config.seed)
    assert [len(fold) for fold in seen] == [4, 3, 3, 3, 3] and len(frozenset().union(*seen)) == 16
    first = [row for row in history(run) if row["phase"] == "search"][:6]
    first = [*first[3:], *first[:3]]  # the base, the experts' average and sum come before an expert that is no better
    contexts = [item.pairs[0][0] for item in utility.choices()]
    mixtures, names = json.loads((run / "dev-expert" / "mixtures.json").read_text()), ("ant", "bee", "cat")
    experts = [load_adapter(read_adapter(Path(path))) for path in config.experts]
    values = []
    for k in range(5):
        # What is trained further is what is best on the items of the other folds.
        kept = [i for i, context in enumerate(contexts) if context not in seen[k]]
        totals = [sum(row["items"]["words"][i] == "1" for i in kept) for row in first]
        weights = first[totals.index(max(totals))]["coefficients"][:3]
        assert mixtures[f"without-{k + 1}"] == {n: w for n, w in zip(names, weights, strict=True) if w}
        lora = load_factors(read_adapter(run / "dev-expert" / f"without-{k + 1}"))
        job.engine.load(Patch(full_rank=dense(experts, weights, lora)))
        values.append(utility(job.engine).per_item)
    (alone,) = [row for row in history(run) if row["phase"] == "search" and row["coefficients"] == [0, 0, 0, 1]]
    places = [next(k for k, fold in enumerate(seen) if c in fold) for c in contexts]
    expected = [values[k][i] for i, k in enumerate(places)]
    assert alone["value"] == pytest.approx(sum(expected) / 16)
    shifted = [values[(k + 1) % 5][i] for i, k in enumerate(places)]
    assert sum(shifted) != sum(expected)


def test_the_result_says_how_the_experts_stand_and_what_training_gained(config: SearchConfig) -> None:
    found: Any = search(config).result
    first = [row for row in history(Path(config.out)) if row["phase"] == "search"][:3]
    values = [row["value"] for row in first]
    assert found["experts"]["dev"] == dict(zip(("ant", "bee", "cat"), values, strict=True))
    columns = zip(*(row["items"]["words"] for row in first), strict=True)
    assert found["experts"]["differ"] == sum(len(set(column)) > 1 for column in columns) / 16
    ahead = sorted(values)[-1] - sorted(values)[-2]
    assert found["experts"]["ahead"]["difference"] == pytest.approx(ahead)
    for split in ("dev", "test"):
        trained, against = found[f"dev_expert_{split}"], found["paired_dev_expert"]
        gained, more = trained - found[f"best_single_{split}"], found[f"best_{split}"] - trained
        assert against["single"]["words"][split]["difference"] == pytest.approx(gained)
        assert against["swarm"]["words"][split]["difference"] == pytest.approx(more)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(config: SearchConfig, tmp_path: Path) -> None:
    def stop(event: Any) -> None:
        if event.kind == "iteration":
            raise KeyboardInterrupt

    search(config)
    Path(config.out).rename(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        search(config, stop)
    before = (Path(config.out) / "dev-expert" / "without-1" / "adapter_model.safetensors").read_bytes()
    resume(config.out)
    assert (Path(config.out) / "dev-expert" / "without-1" / "adapter_model.safetensors").read_bytes() == before
    ends_as(Path(config.out), tmp_path / "whole")
    (Path(config.out) / "result.json").unlink()
    (Path(config.out) / "dev-expert" / "mixtures.json").unlink()  # as a run of an earlier version
    with pytest.raises(UserError, match=r"mixtures\.json: No such file .*begin a new search"):
        resume(config.out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"space": "factor", "screen": None}, "goes with space delta only"),
        ({"workers": "2"}, "one worker"),
        ({"metrics": ("f1",), "screen": None}, "is trained on the scores of options, words is scored by f1"),
        ({"dev": 6}, "6 dev items are too few"),
    ],
)
def test_what_it_does_not_go_with_is_said_before_anything_is_written(
    config: SearchConfig, words: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        search(replace(config, **words))
    assert not Path(config.out).exists()


def test_report_and_card_describe_it(config: SearchConfig, capsys: pytest.CaptureFixture[str]) -> None:
    search(config)
    assert "One of them was trained on the dev items." in (Path(config.out) / "best" / "README.md").read_text()
    assert swarm_llm(capsys, "report", config.out)[0] == 0
    assert "trained-on-dev" in (Path(config.out) / "report.html").read_text()


def test_a_budget_that_pays_for_no_round_of_the_swarm_is_left_to_the_proposals(config: SearchConfig) -> None:
    """Ten candidates: four experts, three sums, and two are kept for proposals; a round may cost four."""
    found: Any = search(replace(config, particles=4, max_iter=9, budget_items=10 * 16)).result
    later = [row for row in history(Path(config.out)) if row["phase"] == "search" and row["iteration"] > 0]
    assert len(later) == 3 and all(row["particle"] >= 4 for row in later) and found["item_evaluations"] == 10 * 16
