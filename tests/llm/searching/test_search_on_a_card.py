"""A whole search, its surrogate and a worker, on a device that is not the CPU: the same candidates,
the same scores, and no more waiting than its batches make.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from card import OnCard, card, with_card
from search_helpers import DEFAULT, ONE_SWARM, MakeSearch, history
from torch import Tensor
from torch.nn.modules.module import register_module_forward_pre_hook

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.engine import transformers as load
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.searching.scoring.record import Row
from pyswarmopt_llm.searching.scoring.scorer import Questions, Request
from pyswarmopt_llm.searching.search import search
from pyswarmopt_llm.servers.workers.worker import Handler, Order

QUESTIONS = Questions("dev", (("words", "likelihood"),))


@pytest.fixture(scope="module")
def config(make_search: MakeSearch, tmp_path_factory: pytest.TempPathFactory) -> SearchConfig:
    """Three loud experts, and then candidates that a model of the items proposes."""
    proposing = {**DEFAULT, "max_iter": None, "particles": 3, "proposals": 3}
    return make_search(tmp_path_factory.mktemp("card"), 12, 4, dtype="float32", **proposing)


@pytest.fixture
def on_card(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """The device of a search that is given none is the card."""

    def pick(name: str) -> torch.device:
        return card() if name == "auto" else torch.device(name)

    with with_card() as waits:
        monkeypatch.setattr(load, "pick_device", pick)
        yield waits


def assert_alike(there: Path, here: Path) -> None:
    """The same candidates and answers but for rounding, which the surrogate's fit enlarges: of an
    item whose options are as likely another may be chosen.
    """
    for a, b in zip(history(there), history(here), strict=True):
        assert (a["phase"], a["iteration"]) == (b["phase"], b["iteration"])
        assert a["coefficients"] == pytest.approx(b["coefficients"], abs=0.01)
        pairs = zip(a["items"]["words"], b["items"]["words"], strict=True)
        assert sum(first != second for first, second in pairs) <= 1


def test_a_search_with_its_surrogate_is_that_of_the_cpu(
    config: SearchConfig, on_card: Counter[str]
) -> None:
    """Of merged weights; `test_another_device.py` shows what is added at run time, and training."""
    passes: list[str] = []

    def count(module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(module, torch.nn.Embedding):  # the base has one
            passes.append(inputs[0].device.type)

    counting = register_module_forward_pre_hook(count)
    there = search(replace(config, out=f"{config.out}-card"))
    counting.remove()
    assert {*passes} == {card().type}
    # two for each batch, the two with which a model is tried among them: whether its numbers are
    # defined, and the result
    assert sum(on_card.values()) <= 2 * len(passes)
    here = search(replace(config, device="cpu", out=f"{config.out}-cpu"))
    assert_alike(there.run, here.run)
    assert any(row["phase"] == "search" and row["iteration"] > 0 for row in history(here.run))
    assert there.result["best_dev"] == pytest.approx(here.result["best_dev"], abs=0.1)


def answered(
    config: SearchConfig, positions: list[Tensor], make: Callable[[SearchConfig], Handler]
) -> list[Row]:
    """The answers of a worker, as they come through its line."""
    handler, fingerprints = make(config), prepare(config).fingerprints
    orders = [Order(QUESTIONS, Request(x), fingerprints) for x in positions]
    return [pickle.loads(pickle.dumps(handler.answer(order))) for order in orders]


def test_a_worker_answers_from_the_card_as_from_the_cpu(
    config: SearchConfig, on_card: Counter[str]
) -> None:
    settings = replace(config, **ONE_SWARM, proposals=0, max_iter=1)
    positions = [torch.tensor([0.5, -0.2, 0.9]), torch.eye(3)[1], torch.zeros(3)]
    loaded: list[TransformersEngine] = []

    def make(config: SearchConfig) -> Handler:
        handler = Handler(prepare, config)
        loaded.append(handler._job.engine)  # type: ignore[union-attr]
        return handler

    there = answered(settings, positions, make)
    weight = next(loaded[0].model.parameters())
    assert isinstance(weight, OnCard) or weight.device.type == card().type
    here = answered(replace(settings, device="cpu"), positions, make)
    assert loaded[1].model.device.type == "cpu"
    for one, other in zip(there, here, strict=True):
        assert isinstance(one, Row) and one.value == other.value and one.items == other.items
        assert one.coefficients == other.coefficients
