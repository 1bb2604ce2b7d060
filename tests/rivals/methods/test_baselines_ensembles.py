"""Ensembles of experts, against the same sums in NumPy."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from search_helpers import louder, questions, write_task

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import load_adapter, read_adapter
from pyswarmopt_llm.experts.base import load_model, resolve_base
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import Item, load_task
from pyswarmopt_rivals.bench import as_patch
from pyswarmopt_rivals.methods import ENSEMBLES
from pyswarmopt_rivals.methods.ensembles import cbtm, few_shot, votes
from pyswarmopt_rivals.methods.ensembles.pack import as_users_words
from pyswarmopt_rivals.methods.method import Settings
from pyswarmopt_rivals.panel import Panel

PAIRS = [("red one", " two three"), ("red one", " four"), ("red fish", " five six")]


@pytest.fixture(scope="module")
def panel(
    tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Panel:
    engine = TransformersEngine(*load_model(resolve_base(str(tiny_base)), torch.float32))
    loud = louder(tiny_experts, tmp_path_factory.mktemp("loud"))
    experts = [as_patch(load_adapter(read_adapter(path))) for path in loud]
    return Panel(engine, experts)


@pytest.fixture(scope="module")
def dev(panel: Panel, tmp_path_factory: pytest.TempPathFactory) -> Accuracy:
    file = tmp_path_factory.mktemp("task") / "t.json"
    task = load_task(str(write_task(file, questions(12, 1), questions(3, 2))))
    return Accuracy(task.dev, "likelihood", panel.engine.chat)


def settings(seed: int = 0, **bench: object) -> Settings:
    """What an ensemble is made with: a trial on a bench of these parts."""
    trial = SimpleNamespace(bench=SimpleNamespace(**bench))
    return Settings("delta", torch.ones(3), seed=seed, trial=trial)


def distributions(
    panel: Panel, patch: Patch, context: str, continuation: str
) -> tuple[np.ndarray, list[int]]:
    """Probabilities along a continuation, (T, V), by one plain forward pass."""
    panel.engine.load(patch)
    head = panel.engine.tokenizer(context, add_special_tokens=False)["input_ids"]
    whole = panel.engine.tokenizer(context + continuation, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = panel.engine.model(input_ids=torch.tensor([whole])).logits[0].double()
    return logits.softmax(-1).numpy()[len(head) - 1 : -1], whole[len(head) :]


def summed_logits(panel: Panel, weights: np.ndarray, context: str, continuation: str) -> float:
    """The log-likelihood of a continuation by the experts' logits, summed with these weights."""
    fused = 0.0
    for w, patch in zip(weights, panel.experts, strict=True):
        p, ids = distributions(panel, patch, context, continuation)
        fused = fused + w * np.log(p)
    rows = zip(fused, ids, strict=True)
    return float(sum(row[i] - np.log(np.exp(row).sum()) for row, i in rows))


def test_a_users_words_follow_the_header_of_the_template(panel: Panel) -> None:
    turn = panel.engine.chat("birch cedar")
    ((context, words),) = as_users_words(panel.engine, [turn])
    assert context == turn.partition("birch")[0] and context + words == turn
    assert as_users_words(panel.engine, ["no template"]) == [("no", " template")]


@pytest.mark.parametrize("name", ["pack-sim", "pack-opt"])
def test_pack_weighs_by_the_prompts_perplexity_and_adds_logits(name: str, panel: Panel) -> None:
    found = ENSEMBLES[name].execute([], settings(panel=panel)).loglikelihood(PAIRS)
    for value, (context, continuation) in zip(found, PAIRS, strict=True):
        prompt = as_users_words(panel.engine, [context])[0]
        rows, (ids, *_) = zip(
            *(distributions(panel, patch, *prompt) for patch in panel.experts), strict=True
        )
        logprobs, tokens = np.log(np.array(rows)), np.array(ids)
        if name == "pack-sim":  # softmax(-ln PPL)
            weights = np.array([1 / perplexity(one, logprobs, tokens) for one in np.eye(3)])
            weights /= weights.sum()
        else:
            weights = greedy_by_perplexity(logprobs, tokens)
        expected = summed_logits(panel, weights, context, continuation)
        assert value == pytest.approx(expected, rel=1e-3)


def perplexity(weights: np.ndarray, logprobs: np.ndarray, tokens: np.ndarray) -> float:
    fused = np.tensordot(weights, logprobs, 1)
    fused = fused - np.log(np.exp(fused).sum(-1, keepdims=True))
    return float(np.exp(-fused[np.arange(len(tokens)), tokens].mean()))


def greedy_by_perplexity(logprobs: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """The weights of three experts: the best first, then each other one at the best of 21 shares."""
    alone = [perplexity(one, logprobs, tokens) for one in np.eye(3)]
    first, *others = np.argsort(alone)
    weights = np.eye(3)[first]
    for k in others:
        weights = min(
            (t * weights + (1 - t) * np.eye(3)[k] for t in np.linspace(0, 1, 21)),
            key=lambda w: perplexity(w, logprobs, tokens),
        )
    return weights


# cBTM


def test_cbtm_mixes_probabilities_by_the_questions_cluster(
    panel: Panel, dev: Accuracy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a temperature at which all clusters count."""
    monkeypatch.setattr(cbtm, "TEMPERATURE", 3.0)
    found = cbtm.fit(settings(panel=panel, labelled=dev)).answers(dev)
    asked = [item.question for item in dev.items]
    clusters = cbtm.Clusters(asked, 3, 0)
    keys = np.array([item.answer for item in dev.items])
    chosen = cbtm.experts_of(clusters.labels, np.array(panel.answers(dev)) == keys)
    shares, patches = clusters.probabilities(asked), panel.experts
    for letter, item, share in zip(found, dev.items, shares, strict=True):
        context, values = panel.engine.chat(f"Question: {item.question}"), []
        for text in item.choices.values():
            mixed = 0.0
            for weight, expert in zip(share, chosen, strict=True):
                p, ids = distributions(panel, patches[expert], context, text)
                mixed = mixed + weight * p[range(len(ids)), ids]
            values.append(np.log(mixed).sum() / len(text.encode()))
        assert letter == list(item.choices)[int(np.argmax(values))]


# Votes and items


# The best experts


def shares(panel: Panel, expert: int, asked: Accuracy) -> np.ndarray:
    """Softmax over options of log-likelihoods per byte by plain forward passes, (items,
    options).
    """
    rows = []
    for item in asked.items:
        context, values = panel.engine.chat(f"Question: {item.question}"), []
        for text in item.choices.values():
            p, ids = distributions(panel, panel.experts[expert], context, text)
            values.append(np.log(p[range(len(ids)), ids]).sum() / len(text.encode()))
        rows.append(np.exp(values) / np.exp(values).sum())
    return np.array(rows)


def test_top_k_averages_the_best_experts_and_takes_the_best_k(panel: Panel, dev: Accuracy) -> None:
    options = [shares(panel, i, dev) for i in range(3)]
    right = np.array(["ABCD".index(item.answer) for item in dev.items])

    def accuracy(experts: list[int]) -> float:
        return float((np.mean([options[i] for i in experts], 0).argmax(1) == right).mean())

    ranked = sorted(range(3), key=lambda i: -accuracy([i]))
    best = max((ranked[:k] for k in (1, 2, 3)), key=accuracy)
    found = votes.top_k(settings(panel=panel, labelled=dev))
    assert found.answers(dev) == votes.by_mean(panel, best, dev) and found.models == len(best)
    for chosen in ([0], [2, 1], [0, 1, 2]):
        letters = np.array(list("ABCD"))[np.mean([options[i] for i in chosen], 0).argmax(1)]
        assert votes.by_mean(panel, chosen, dev) == letters.tolist()


# Examples


def shown_to(panel: Panel, examples: list[Item], item: Item) -> str:
    """The prompt, by the tokenizer's own template."""
    turns = []
    for one in (*examples, item):
        turns.append({"role": "user", "content": f"Question: {one.question}"})
        turns.append({"role": "assistant", "content": one.choices[one.answer]})
    template = panel.engine.tokenizer.apply_chat_template
    return str(template(turns[:-1], tokenize=False, add_generation_prompt=True))


def test_the_base_answers_after_the_examples(panel: Panel, dev: Accuracy) -> None:
    """Prompts and answers against the template and plain forward passes."""
    examples, rest = list(dev.items[:2]), Accuracy(dev.items[1:7], "likelihood", panel.engine.chat)
    few = few_shot.FewShot(panel.engine, examples, dev)
    found = few.answers(rest)
    for item, letter, prompt in zip(rest.items, found, few.shown(rest).prompts, strict=True):
        others = [example for example in examples if example is not item]
        assert prompt == shown_to(panel, others, item)
        values = []
        for text in item.choices.values():
            p, ids = distributions(panel, Patch(), prompt, text)
            values.append(np.log(p[range(len(ids)), ids]).sum() / len(text.encode()))
        assert letter == "ABCD"[int(np.argmax(values))]
    assert few.models == 1


@pytest.mark.parametrize(
    ("question", "options", "shown"),
    [
        ("IT’S  2 − 1?", "BA", False),  # other typography and order
        ("It's 2 - 1?", "AX", False),  # another wrong option
        ("It's 2 - 1?", "XY", True),
        ("1 - 2?", "AB", True),
    ],
)
def test_no_twin_of_an_item_is_shown_before_it(
    question: str, options: str, shown: bool, panel: Panel
) -> None:
    asked = [Item("1", "It's 2 - 1?", {"A": "A", "B": "B"}, "A")]
    other = Item("2", question, dict(enumerate(options)), "")
    like = Accuracy(asked, "letter", panel.engine.chat)
    few = few_shot.FewShot(panel.engine, [other], like)
    assert (few.shown(like).prompts == like.prompts) != shown


def test_clusters_are_found_and_new_texts_go_to_the_nearest() -> None:
    texts = ["apple pear plum", "pear apple", "plum pear", "road car bus", "bus car", "car road"]
    clusters = cbtm.Clusters(texts, 2, seed=0)
    assert len(set(clusters.labels[:3])) == len(set(clusters.labels[3:])) == 1
    assert clusters.labels[0] != clusters.labels[3]
    fruit, traffic = clusters.labels[0], clusters.labels[3]
    p = clusters.probabilities(["plum apple", "bus road", "nothing known"])
    assert p.sum(1) == pytest.approx(np.ones(3)) and p[0, fruit] > 0.9 and p[1, traffic] > 0.9
