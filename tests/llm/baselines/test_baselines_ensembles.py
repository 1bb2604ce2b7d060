"""Ensembles of experts, against the same sums in NumPy."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from search_helpers import louder, questions, write_task

from pyswarmopt_llm.baselines import ENSEMBLES
from pyswarmopt_llm.baselines.changes import as_patch
from pyswarmopt_llm.baselines.ensembles import cbtm, pack
from pyswarmopt_llm.baselines.ensembles.panel import Panel
from pyswarmopt_llm.baselines.ensembles.prediction_merge import Vote
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.metrics.accuracy import Accuracy
from pyswarmopt_llm.models.adapters.adapter import load_adapter, read_adapter
from pyswarmopt_llm.models.base import load_model, resolve_base
from pyswarmopt_llm.models.engines.transformers import TransformersEngine
from pyswarmopt_llm.tasks import load_task

PAIRS = [("red one", " two three"), ("red one", " four"), ("red fish", " five six")]


@pytest.fixture(scope="module")
def panel(tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Panel:
    engine = TransformersEngine(*load_model(resolve_base(str(tiny_base)), torch.float32))
    loud = louder(tiny_experts, tmp_path_factory.mktemp("loud"))
    return Panel(engine, {path.name: as_patch(load_adapter(read_adapter(path))) for path in loud})


class Sheet(SimpleNamespace):
    """Items with what is answered to them, as an `Accuracy` has them."""

    __hash__ = object.__hash__


def distributions(panel: Panel, patch: Patch, context: str, continuation: str) -> tuple[np.ndarray, list[int]]:
    """Probabilities along a continuation, (T, V), by one plain forward pass."""
    panel.engine.load(patch)
    head = panel.engine.tokenizer(context, add_special_tokens=False)["input_ids"]
    whole = panel.engine.tokenizer(context + continuation, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = panel.engine.model(input_ids=torch.tensor([whole])).logits[0].double()
    return logits.softmax(-1).numpy()[len(head) - 1 : -1], whole[len(head) :]


def test_the_panel_reads_what_plain_forward_passes_give(panel: Panel) -> None:
    logprobs = panel.token_logprobs(PAIRS)
    for k, (pair, (rows, tokens)) in enumerate(zip(PAIRS, panel.distributions(PAIRS), strict=True)):
        for i, patch in enumerate(panel._patches):
            p, ids = distributions(panel, patch, *pair)
            assert tokens.tolist() == ids
            np.testing.assert_allclose(rows[i].exp().numpy(), p, rtol=1e-3, atol=1e-6)
            np.testing.assert_allclose(logprobs[k][i].exp().numpy(), p[range(len(ids)), ids], rtol=1e-3, atol=1e-7)


def test_distributions_come_in_groups_that_fit_the_memory(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(panel.distributions(PAIRS))
    monkeypatch.setattr("pyswarmopt_llm.baselines.ensembles.panel._ROOM", 1)
    for (rows, tokens), (again, same) in zip(whole, panel.distributions(PAIRS), strict=True):
        assert torch.equal(tokens, same)
        torch.testing.assert_close(rows, again, rtol=1e-4, atol=1e-5)


def test_what_is_asked_of_a_prompt_is_all_behind_the_template(panel: Panel) -> None:
    text = panel.engine.chat("What is red?")
    ((head, tail),) = panel.questions([text])
    assert head + tail == text and tail.startswith("What is red?") and "user" in head
    assert panel.questions(["no template here"]) == [("no", " template here")]


def test_pack_sim_weighs_by_perplexity_and_adds_logits(panel: Panel) -> None:
    found = ENSEMBLES["pack-sim"].fit(panel, None, 0).loglikelihood(PAIRS)
    for value, (context, continuation) in zip(found, PAIRS, strict=True):
        head, tail = panel.questions([context])[0]
        perplexities, fused = [], 0.0
        for patch in panel._patches:
            p, ids = distributions(panel, patch, head, tail)
            perplexities.append(np.exp(-np.log(p[range(len(ids)), ids]).mean()))
        weights = (1 / np.array(perplexities)) / (1 / np.array(perplexities)).sum()  # softmax(-ln PPL)
        for w, patch in zip(weights, panel._patches, strict=True):
            p, ids = distributions(panel, patch, context, continuation)
            fused = fused + w * np.log(p)
        expected = sum(row[i] - np.log(np.exp(row).sum()) for row, i in zip(fused, ids, strict=True))
        assert value == pytest.approx(expected, rel=1e-3)


def perplexity(weights: np.ndarray, logprobs: np.ndarray, tokens: np.ndarray) -> float:
    fused = np.tensordot(weights, logprobs, 1)
    fused = fused - np.log(np.exp(fused).sum(-1, keepdims=True))
    return float(np.exp(-fused[np.arange(len(tokens)), tokens].mean()))


@pytest.mark.parametrize("seed", range(3))
def test_pack_opt_of_two_is_the_best_of_the_grid_and_of_three_is_greedy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(3, 7, 11)) * 2
    logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    tokens = rng.integers(11, size=7)
    grid = np.linspace(0, 1, 21)
    two = pack.greedy_weights(torch.from_numpy(logprobs[:2]).float(), torch.from_numpy(tokens)).double().numpy()
    best = min(perplexity(np.array([t, 1 - t]), logprobs[:2], tokens) for t in grid)
    assert perplexity(two, logprobs[:2], tokens) == pytest.approx(best, rel=1e-5) and two.sum() == pytest.approx(1)

    alone = [perplexity(np.eye(3)[i], logprobs, tokens) for i in range(3)]
    order = np.argsort(alone)
    weights = np.eye(3)[order[0]]
    for k in order[1:]:
        weights = min(
            (t * weights + (1 - t) * np.eye(3)[k] for t in grid), key=lambda w: perplexity(w, logprobs, tokens)
        )
    three = pack.greedy_weights(torch.from_numpy(logprobs).float(), torch.from_numpy(tokens)).double().numpy()
    assert perplexity(three, logprobs, tokens) == pytest.approx(perplexity(weights, logprobs, tokens), rel=1e-5)


def test_an_expert_alone_speaks_for_itself(panel: Panel) -> None:
    one = Panel(panel.engine, {"ant": panel._patches[0]})
    asked = Sheet(items=[SimpleNamespace(question="red one", answer="A")], answers=lambda engine: ["A"])
    panel.engine.load(panel._patches[0])
    expected = panel.engine.loglikelihood(PAIRS)
    for name in ("pack-sim", "pack-opt", "cbtm"):
        found = ENSEMBLES[name].fit(one, asked, 0).loglikelihood(PAIRS)
        assert found == pytest.approx(expected, rel=1e-4), name


def test_pack_sim_of_equal_experts_weighs_them_equally() -> None:
    rows = torch.rand(1, 5).log().repeat(4, 1)
    torch.testing.assert_close(pack.similarity_weights(rows), torch.full((4,), 0.25))


# cBTM


def test_each_cluster_has_the_expert_that_is_best_on_it() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2])
    right = np.array([[1, 1, 0, 0, 0, 1], [0, 0, 0, 1, 1, 1], [1, 1, 0, 0, 0, 0]], dtype=float)
    # Cluster 0: first and third expert tie, the first is better on all; cluster 2: first and second tie at 3 each.
    assert cbtm.experts_of(labels, right) == [0, 1, 0]


def test_clusters_are_found_and_new_texts_go_to_the_nearest() -> None:
    texts = ["apple pear plum", "pear apple", "plum pear", "road car bus", "bus car", "car road"]
    clusters = cbtm.Clusters(texts, 2, seed=0)
    assert (
        len(set(clusters.labels[:3])) == len(set(clusters.labels[3:])) == 1 and clusters.labels[0] != clusters.labels[3]
    )
    fruit, traffic = clusters.labels[0], clusters.labels[3]
    p = clusters.probabilities(["plum apple", "bus road", "nothing known"])
    assert p.sum(1) == pytest.approx(np.ones(3)) and p[0, fruit] > 0.9 and p[1, traffic] > 0.9


def test_cbtm_mixes_probabilities_by_the_inputs_cluster(panel: Panel) -> None:
    items = [
        SimpleNamespace(question=q, answer=a) for q, a in [("red one", "A"), ("red fish", "B"), ("red one two", "A")]
    ]
    sheets = iter([["A", "C", "A"], ["C", "B", "C"], ["C", "C", "C"]])
    asked = Sheet(items=items, answers=lambda engine: next(sheets))
    voice = cbtm.fit(panel, asked, 0)
    clusters = cbtm.Clusters([item.question for item in items], 3, 0)
    chosen = cbtm.experts_of(clusters.labels, np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]], dtype=float))
    for value, (context, continuation) in zip(voice.loglikelihood(PAIRS), PAIRS, strict=True):
        shares = clusters.probabilities([panel.questions([context])[0][1]])[0]
        mixed = 0.0
        for share, expert in zip(shares, chosen, strict=True):
            p, ids = distributions(panel, panel._patches[expert], context, continuation)
            mixed = mixed + share * p[range(len(ids)), ids]
        assert value == pytest.approx(float(np.log(mixed).sum()), rel=1e-3)


# Votes and items


def test_the_plurality_wins_and_ties_go_to_the_first() -> None:
    fake = SimpleNamespace(answers=lambda asked: [["A", "B", "C", ""], ["B", "B", "A", ""], ["B", "C", "B", ""]])
    assert Vote(fake).answers(None) == ["B", "B", "C", ""]  # type: ignore[arg-type]


def test_fused_options_are_chosen_as_a_model_chooses(panel: Panel, tmp_path: Path) -> None:
    """The option with the highest fused likelihood per byte."""
    task = load_task(str(write_task(tmp_path / "t.json", questions(5, 1), questions(3, 2))))
    asked = Accuracy(task.dev, "likelihood", panel.engine.chat)
    voice = ENSEMBLES["pack-sim"].fit(panel, asked, 0)
    chosen = voice.answers(asked)
    for item, letter in zip(task.dev, chosen, strict=True):
        context = panel.engine.chat(f"Question: {item.question}")
        pairs = [(context, text) for text in item.choices.values()]
        values = [v / len(t.encode()) for v, (_, t) in zip(voice.loglikelihood(pairs), pairs, strict=True)]
        assert letter == list(item.choices)[int(np.argmax(values))]


def test_open_questions_are_for_votes_only(panel: Panel) -> None:
    asked = SimpleNamespace(
        scoring="generate", items=[SimpleNamespace(question="?", answer="x")], answers=lambda e: ["y"]
    )
    assert [name for name in ENSEMBLES if ENSEMBLES[name].open_questions] == ["prediction-merge"]
    with pytest.raises(UserError, match="items with choices"):
        ENSEMBLES["pack-opt"].fit(panel, asked, 0).answers(asked)
