"""`swarm-llm find`: the ranking against brute force, what is left out, hostile pools."""

from __future__ import annotations

import json
import math
import random
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from changed_copies import Edit, changed_copy, each
from huggingface_hub import HfApi, ModelInfo
from huggingface_hub.errors import HTTPError
from hypothesis import given
from hypothesis import strategies as st
from search_helpers import louder, questions, swarm_llm, write_task

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_llm.experts.adapter import read_adapter
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.mix.load import open_model
from pyswarmopt_llm.scores.tasks import load_task
from pyswarmopt_llm.searching.use.config import EvalConfig
from pyswarmopt_llm.searching.use.evaluate import evaluate_model
from pyswarmopt_llm.tools.find import (
    ItemAnswer,
    RankedAdapter,
    find,
    halved,
    halvings,
    held_together,
    passes,
    read_pool,
)

DEV = 20
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
Tensors = dict[str, torch.Tensor]


def shaken(seed: int) -> Edit:
    """Multiply B by random numbers."""
    generator = torch.Generator().manual_seed(seed)

    def edit(tensors: Tensors) -> None:
        for name, tensor in tensors.items():
            if "lora_B" in name:
                tensors[name] = tensor * torch.randn(tensor.shape, generator=generator)

    return edit


@pytest.fixture(scope="module")
def folder(tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of nine different adapters."""
    parent = tmp_path_factory.mktemp("pool")
    experts = louder(tiny_experts, parent / "adapters")
    for number in range(6):
        changed_copy(experts[number % 3], parent / "adapters" / f"more-{number}", shaken(number))
    return parent / "adapters"


@pytest.fixture(scope="module")
def config(tiny_base: Path, folder: Path) -> EvalConfig:
    task = write_task(folder.parent / "words.json", questions(DEV, 1), questions(6, 2))
    settings = {"scoring": "likelihood", "dtype": "float32", "threads": 1}
    return EvalConfig(str(tiny_base), str(task), split="dev", **settings)


def pool(folder: Path) -> list[str]:
    """The adapters in a folder, as a shell's ``folder/*``."""
    return [str(child) for child in sorted(folder.iterdir())]


# The ranking


def probability(config: EvalConfig, adapter: Path) -> float:
    """The mean probability of the right option, in the terms of log-likelihoods, by hand."""
    engine = open_model(config.base, str(adapter), "float32", "cpu", 1)
    total = 0.0
    for item in load_task(config.task).dev:
        prompt = engine.chat(f"Question: {item.question}")
        lengths = {letter: len(text) for letter, text in item.choices.items()}
        pairs = [(prompt, text) for text in item.choices.values()]
        sums = dict(zip(item.choices, engine.loglikelihood(pairs), strict=True))
        mean = sum(lengths.values()) / len(lengths)
        weights = {x: math.exp(sums[x] / lengths[x] * mean) for x in sums}
        total += weights[item.answer] / sum(weights.values())
    return total / DEV


def test_on_all_items_it_is_brute_force(config: EvalConfig, folder: Path) -> None:
    result = find(pool(folder), config, top=9)
    expected = {child.name: probability(config, child) for child in folder.iterdir()}
    assert {a.name: a.probability for a in result.ranking} == pytest.approx(expected, abs=1e-5)
    assert [a.name for a in result.ranking] == sorted(expected, key=lambda name: -expected[name])
    assert result.passes == 10 * DEV
    best = result.ranking[0]
    alone = evaluate_model(config.base, best.path, config.task, "dev", scoring="likelihood")
    assert best.score == alone.score.value
    low, high = best.interval  # of the first of nine
    assert low < alone.interval[0] and high > alone.interval[1]


def test_the_interval_of_the_first_holds_although_its_items_made_it_the_first() -> None:
    """20 equal adapters on 40 items; at 95% each the first one's would hold in 75%."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(200):
        right = (rng.random((20, 40)) < 0.5).astype(float).tolist()
        ranking = halved(
            halvings(20, 40, top=4),
            lambda k, places, right=right: [ItemAnswer(right[k][i], right[k][i]) for i in places],  # type: ignore[misc]
        )
        first = [answer.value for answer in next(iter(ranking.values()))]
        low, high = interval(first, held_together(20))
        held += low <= 0.5 <= high
    assert held >= 185


@pytest.mark.parametrize("right", [0.02, 0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("items", [10, 40, 200])
def test_the_interval_of_the_first_of_a_hundred_holds_in_95_percent(
    right: float, items: int
) -> None:
    """Computed exactly: the most right answers among 100 equal adapters, and each one's interval."""
    counts = np.arange(items + 1)
    at_most = scipy.stats.binom.cdf(counts, items, right) ** 100
    first = np.diff(at_most, prepend=0.0)
    ends = [interval([1.0] * k + [0.0] * (items - k), held_together(100)) for k in counts]
    assert (
        sum(p for p, (low, high) in zip(first, ends, strict=True) if low <= right <= high) >= 0.95
    )


def test_the_top_is_scored_on_all_items_and_the_others_on_the_first(
    config: EvalConfig, folder: Path
) -> None:
    result = find(pool(folder), config, top=2)
    assert [len(adapter.answers) for adapter in result.ranking] == [20] * 3 + [16] * 2 + [8] * 4
    assert len(result.base.answers) == DEV
    assert result.passes == DEV + 9 * 8 + 5 * 8 + 3 * 4
    whole = {a.name: a.answers for a in find(pool(folder), config, top=9).ranking}
    for adapter in result.ranking:
        first = whole[adapter.name][: len(adapter.answers)]
        assert [a.value for a in adapter.answers] == [a.value for a in first]


@given(st.integers(1, 300), st.integers(1, 120), st.integers(1, 12))
def test_rounds_end_with_the_top_on_all_items(adapters: int, items: int, top: int) -> None:
    rounds = halvings(adapters, items, top)
    assert rounds[0][0] == adapters and rounds[-1][1] == items
    assert rounds[-1][0] >= min(top, adapters)
    assert all(after[0] < before[0] and after[1] > before[1] for before, after in pairwise(rounds))


@given(st.integers(1, 100), st.integers(0, 2**32))
def test_halving_finds_the_best_of_adapters_that_every_item_ranks_alike(
    adapters: int, seed: int
) -> None:
    skills = random.Random(seed).sample(range(1000), adapters)
    scored: list[int] = []

    def answers(number: int, items: range) -> list[ItemAnswer]:
        scored.append(len(items))
        return [ItemAnswer(0.0, skills[number])] * len(items)

    ranking = halved(halvings(adapters, 50, top=4), answers)
    assert list(ranking) == sorted(range(adapters), key=lambda number: -skills[number])
    assert sum(scored) == passes(halvings(adapters, 50, top=4))


# What is left out


def test_the_damaged_are_named_and_the_same_weights_ranked_once(
    config: EvalConfig, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(folder, mixed)

    def not_finite(tensors: Tensors) -> None:
        next(iter(tensors.values()))[0] = torch.nan

    shutil.copytree(folder / "ant", mixed / "zz-again")
    changed_copy(folder / "bee", mixed / "nan", not_finite)
    for name in ("short", "text", "gone"):
        shutil.copytree(folder / "cat", mixed / name)
    (mixed / "short" / WEIGHTS).write_bytes((folder / "cat" / WEIGHTS).read_bytes()[:999])
    (mixed / "text" / CONFIG).write_text("{")
    (mixed / "gone" / WEIGHTS).unlink()
    result = find([*pool(mixed), "nowhere/at-all/x"], config)
    assert result.left_out["zz-again"] == "has the same weights as ant"
    assert set(result.left_out) == {"nan", "short", "text", "gone", "zz-again", "x"}
    plain = find(pool(folder), config)
    assert [a.name for a in result.ranking] == [a.name for a in plain.ranking]
    words = ["--base", config.base, "--task", config.task, "--scoring", "likelihood"]
    code, out, err = swarm_llm(capsys, "find", *pool(mixed), *words, "--top", 2, "--threads", 1)
    assert code == 0
    for name in ("nan", "short", "text", "gone", "zz-again"):
        assert sum(line.startswith(f"left out: {name}: ") for line in err.splitlines()) == 1
    best = " ".join(adapter.path for adapter in find(pool(mixed), config, top=2).ranking[:2])
    assert f"--experts {best} --task {config.task}" in out.splitlines()[-1]


def test_another_base_is_refused(tiny_base: Path, folder: Path, tmp_path: Path) -> None:
    def doubled(name: str, tensor: torch.Tensor) -> torch.Tensor:
        return torch.cat([tensor, tensor]) if "k_proj" in name or "v_proj" in name else tensor

    other = changed_copy(tiny_base, tmp_path / "other", each(doubled), num_key_value_heads=4)
    with pytest.raises(UserError, match="can be used; ant: "):
        read_pool(pool(folder), resolve_base(str(other)))


def test_a_missing_name_in_a_folder_that_is_here_is_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    (tmp_path / "adapters").mkdir()

    def offline(*args: object, **more: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(
        UserError, match=r"^adapters/lwa: no such directory; check path and folder$"
    ):
        read_adapter("adapters/lwa")
    with pytest.raises(UserError, match=r"^org/lwa: no such directory, and not available from the"):
        read_adapter("org/lwa")


def test_a_ranking_has_the_interval_of_the_scale_of_its_metric() -> None:
    """Twenty ratings of 9 on a scale from 1 to 10 leave room for a 1."""
    answers = (ItemAnswer(9.0, 9.0),) * 20
    assert RankedAdapter("a", "a", answers, (1.0, 10.0)).interval == pytest.approx(
        (7.92, 9.45), abs=0.005
    )


def test_the_adapters_of_a_base_on_the_hub_are_ranked(
    folder: Path,
    tiny_base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The hub's answer is written here: it names folders of this machine."""
    task = write_task(tmp_path / "t.json", questions(8, 1), questions(6, 2))
    asked: list[dict[str, Any]] = []
    names = pool(folder)[:4]
    failures: list[type[Exception]] = []

    def list_models(self: HfApi, **question: Any) -> list[ModelInfo]:
        asked.append(question)
        for kind in failures:
            raise kind("gone")
        return [ModelInfo(id=name) for name in names[: question["limit"]]]

    monkeypatch.setattr(HfApi, "list_models", list_models)
    words = ["find", "--base", tiny_base, "--task", task, "--threads", 1, "--json"]
    code, out, _ = swarm_llm(capsys, *words, "--hub", "org/base", "--limit", 3)
    ranked = {row["path"] for row in json.loads(out)["ranking"]}
    assert code == 0 and ranked == set(names[:3])
    assert asked[0]["filter"] == ("base_model:adapter:org/base", "peft")
    assert asked[0]["sort"] == "downloads"
    names.clear()
    code, _, err = swarm_llm(capsys, *words, "--hub", "org/base")
    assert code == 2 and "no PEFT adapter" in err
    # the client's own errors are no OSError
    for kind in (ConnectionError, HTTPError):
        failures[:] = [kind]
        code, _, err = swarm_llm(capsys, *words, "--hub", "org/base")
        assert code == 2 and f"({kind.__name__}: gone)" in err
    assert swarm_llm(capsys, *words)[0] == 2
