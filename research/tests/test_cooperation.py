"""Cooperation of models: what speculative decoding writes has the target's distribution, a federation
of plain descent is one descent on all texts, BM25 and detectors count as their papers say, words
that are foreseen go first, and a text passes the layers that a data flow names.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from laboratory import llama, scripts
from scipy import stats

lab = scripts("compression data_flow detector federated retrieval speculative")

WORDS, END = 4, 0


# Speculative decoding


def chain(seed: int) -> tuple[np.ndarray, Any]:
    """A table of probabilities of the next word by the last one, and a model that says them."""
    table = np.random.default_rng(seed).dirichlet(np.ones(WORDS), WORDS)

    def says(rows: Any, places: int) -> np.ndarray:
        last = [[row[len(row) - places + k] for k in range(places)] for row in rows]
        return table[np.array(last)]

    return table, says


def p_of(texts: list[tuple[int, ...]], table: np.ndarray, length: int) -> float:
    """p-value of texts after word 1 against the chain's probabilities."""
    counts, expected = Counter(texts), {}
    for text in itertools.product(range(WORDS), repeat=length):
        steps = itertools.pairwise((1, *text))
        expected[text] = math.prod(float(table[a, b]) for a, b in steps) * len(texts)
    seen = [counts[text] for text in expected]
    assert sum(seen) == len(texts)
    return float(stats.chisquare(seen, list(expected.values())).pvalue)


@pytest.mark.parametrize("guesses", [0, 1, 2, 5])
def test_speculative_texts_have_the_distribution_of_the_target(guesses: int) -> None:
    (table, target), (_, draft) = chain(0), chain(1)
    draws = np.random.default_rng(guesses)
    prompts = [[1]] * 20_000
    replies = lab.speculative.written(target, draft, prompts, guesses, draws, -1, 2)
    assert p_of([tuple(reply.tokens) for reply in replies], table, 2) > 0.001
    wrong = lab.speculative.written(target, draft, prompts, 2, draws, -1, 2, instead=lambda p, q: p)
    assert p_of([tuple(reply.tokens) for reply in wrong], table, 2) < 1e-9


def test_greedy_texts_are_those_of_greedy_decoding() -> None:
    (table, target), (_, draft) = chain(4), chain(5)
    draws = np.random.default_rng(0)
    expected, word = [], 1
    for _ in range(9):
        word = int(table[word].argmax())
        expected.append(word)
    greedy = lab.speculative.greedy
    for guesses in (0, 1, 4):
        (reply,) = lab.speculative.written(
            greedy(target), greedy(draft), [[1]], guesses, draws, -1, 9
        )
        assert reply.tokens == expected
    tied = greedy(lambda rows, places: np.full((len(rows), places, WORDS), 1 / WORDS))
    (reply,) = lab.speculative.written(greedy(target), tied, [[1]], 3, draws, -1, 9)
    assert reply.tokens == expected


def test_tokens_of_a_pass_are_as_many_as_the_paper_expects() -> None:
    """Words that do not depend on what was before: (1 - alpha^(gamma + 1)) / (1 - alpha)."""
    p, q = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.4, 0.2, 0.3, 0.1])
    alpha, draws = float(np.minimum(p, q).sum()), np.random.default_rng(0)
    for guesses in (1, 3):
        sizes = []
        for _ in range(20_000):
            told = [lab.speculative.drawn(q, draws) for _ in range(guesses)]
            wanted = np.tile(p, (guesses + 1, 1))
            sizes.append(len(lab.speculative.verified(told, [q] * guesses, wanted, draws)))
        expected = (1 - alpha ** (guesses + 1)) / (1 - alpha)
        assert np.mean(sizes) == pytest.approx(expected, rel=0.02)


def test_passes_are_counted_and_a_text_ends_where_it_says_so() -> None:
    """A draft that is the target: all guesses are kept, gamma + 1 tokens a pass."""

    def counting(rows: Any, places: int) -> np.ndarray:
        ends = [[len(row) - places + k + 1 for k in range(places)] for row in rows]
        words = np.where(np.array(ends) == 8, END, 1)
        return np.eye(WORDS)[words]

    (reply,) = lab.speculative.written(
        counting, counting, [[1]], 2, np.random.default_rng(0), END, 20
    )
    assert reply.tokens == [1] * 7 + [END] and reply.passes == 3
    assert (reply.kept, reply.tried) == (6, 6)


def test_a_model_says_the_probabilities_of_transformers(tiny_base: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32).eval()
    rows = [[5, 9, 17], [8, 8, 3, 12, 40]]
    said = lab.speculative.Model(model, 0, 2.0)(rows, 2)
    for row, of_row in zip(rows, said, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([row])).logits[0, -2:]
        np.testing.assert_allclose(of_row, (logits / 2).softmax(-1), atol=1e-5)


def test_three_words_are_counted() -> None:
    says = lab.speculative.Trigrams([[1, 2, 3], [1, 2, 3], [1, 2, 0]], WORDS, extra=1.0)
    expected = [[1 / 4] * 4, [2 / 7, 1 / 7, 1 / 7, 3 / 7]]
    np.testing.assert_allclose(says([[3, 1, 2]], 2)[0], expected)


def test_sequences_and_their_statistic() -> None:
    table, target = chain(2)
    found = lab.speculative.sequences(target, [1], 2)
    assert found[2, 3] == pytest.approx(table[1, 2] * table[2, 3])
    texts = [(1,)] * 50 + [(2,)] * 30 + [(3,)] * 20
    statistic, degrees = lab.speculative.chi_square(texts, {(1,): 0.6, (2,): 0.2, (3,): 0.2})
    expected = stats.chisquare([50, 30, 20], [60, 20, 20])
    assert (statistic, degrees) == (pytest.approx(expected.statistic), 2)


# Input compression


class Foreseeing:
    """Gives the tokens of a text probabilities by a table."""

    def __init__(self, table: dict[str, float]) -> None:
        self._table, self._words = table, list(table)
        self.tokenizer = SimpleNamespace(decode=lambda ids: self._words[ids[0]])

    def score_tokens(self, pairs: Any) -> list[Any]:
        found = []
        for _, text in pairs:
            ids = [self._words.index(token) for token in text]
            logs = torch.tensor([math.log(self._table[token]) for token in text])
            found.append(SimpleNamespace(tokens=ids, logprobs=logs))
        return found


def test_words_have_the_information_of_their_tokens_in_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lab.compression, "score_tokens", Foreseeing.score_tokens)
    engine = Foreseeing({" lost": 1 / 8, " my": 1 / 2, " ca": 1 / 4, "rd": 1 / 16, "?": 1.0})
    (words,) = lab.compression.weighed(engine, [("", [" lost", " my", " ca", "rd", "?"])])
    assert [word for word, _ in words] == ["lost", "my", "card?"]
    assert [bits for _, bits in words] == pytest.approx([3.0, 1.0, 6.0])


def test_words_of_the_percentile_itself_are_kept() -> None:
    words = [(word, float(bits)) for word, bits in zip("abcde", (5, 1, 3, 2, 4), strict=True)]
    assert lab.compression.informative(words, 0.5) == [0, 2, 4]  # the median, 3, among them


def test_what_is_foreseen_goes_first_and_controls_keep_as_many() -> None:
    draws = np.random.default_rng(0)
    bits = draws.random(11).tolist()
    words = [(f"w{k}", value) for k, value in enumerate(bits)]
    for share in (0.3, 0.6):
        kept = lab.compression.chosen(words, lab.compression.INFORMATIVE, share, draws)
        assert kept == sorted(sorted(range(11), key=lambda k: -bits[k])[: len(kept)])
        assert len(kept) == pytest.approx(share * 11, abs=1)
        lot = lab.compression.chosen(words, lab.compression.LOT, share, draws)
        assert len({*lot}) == len(kept) and lot == sorted(lot)
        least = lab.compression.chosen(words, lab.compression.FORESEEN, share, draws)
        assert least == sorted(sorted(range(11), key=lambda k: bits[k])[: len(kept)])


# Retrieval


def test_bm25_is_the_sum_of_its_paper() -> None:
    texts = ["a b b c", "a c d", "b d d d e f", "a", "e f g h a b"]
    documents, k1, b = [text.split() for text in texts], 1.2, 0.75
    mean = sum(map(len, documents)) / len(documents)
    for question in (["b"], ["b", "d", "z"], ["g", "g", "e"]):
        expected = []
        for words in documents:
            total = 0.0
            for word in question:
                holders = sum(word in other for other in documents)
                weight = math.log((len(documents) - holders + 0.5) / (holders + 0.5))
                often = words.count(word)
                total += weight * often / (k1 * (1 - b + b * len(words) / mean) + often)
            expected.append(total)
        np.testing.assert_allclose(lab.retrieval.BM25(documents).scores(question), expected)


def test_documents_are_ordered_best_first_and_equal_ones_by_lot() -> None:
    scores = np.array([0.0, 2.0, 0.0, 1.0, 0.0])
    orders = {tuple(lab.retrieval.order(scores, np.random.default_rng(seed))) for seed in range(40)}
    assert {row[:2] for row in orders} == {(1, 3)} and len(orders) == 6


def test_neighbours_vote_by_the_exponential_of_their_score() -> None:
    said = lab.retrieval.of_neighbours(["a", "b", "c"], ["b", "a", "b"], [1.0, 2.0, 0.5])
    votes = np.array([math.exp(2.0), math.exp(1.0) + math.exp(0.5), 0.0])
    np.testing.assert_allclose(said, votes / votes.sum())
    np.testing.assert_allclose(
        lab.retrieval.mixed(np.array([0.2, 0.3, 0.5]), said, 0.25),
        0.25 * said + 0.75 * np.array([0.2, 0.3, 0.5]),
    )
    assert lab.retrieval.of_neighbours(["a", "b"], ["z"], [9.0]).tolist() == [0.5, 0.5]


# A detector


def test_a_sentence_is_scored_by_what_samples_say() -> None:
    texts = ["first is d . second is a .", "first is d . second is b .", "first is d ."]
    for n in (1, 2, 3):
        counted: list[tuple[str, ...]] = []
        for text in texts:
            words = text.split()
            counted += [tuple(words[k : k + n]) for k in range(len(words) - n + 1)]
        words = "second is a .".split()
        expected = [
            -math.log(counted.count(tuple(words[k : k + n])) / len(counted))
            for k in range(len(words) - n + 1)
        ]
        assert lab.detector.surprises("second is a .", texts, n) == pytest.approx(expected)


def test_own_probabilities_are_those_of_the_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = torch.log(torch.tensor([0.5, 0.25, 0.125, 1.0, 0.1, 0.2, 0.3, 0.4]))
    scores = [SimpleNamespace(logprobs=logs)]
    monkeypatch.setattr(lab.detector, "score_tokens", lambda engine, pairs: scores)
    first, second = lab.detector.own_losses(None, "", "first is d . second is a .")
    assert first == pytest.approx([math.log(2), math.log(4), math.log(8), 0.0])
    assert second == pytest.approx((-logs[4:]).tolist())


# Federated averaging


def descending(tables: Any, rate: float) -> Any:
    """A client's update: a step of plain descent on the mean squared error of all its rows."""

    def update(weights: Any, client: int, _: int) -> dict[str, torch.Tensor]:
        x, y = tables[client]
        w = weights["w"].clone().requires_grad_()
        (x @ w - y).square().mean().backward()
        return {"w": (w - rate * w.grad).detach()}

    return update


def test_a_federation_of_single_steps_is_descent_on_all_rows() -> None:
    """FedSGD, section 2 of McMahan et al.: one full batch a client is one on all of them."""
    draws = torch.Generator().manual_seed(0)
    counts = [3, 5, 20]
    tables = [(torch.randn(n, 4, generator=draws), torch.randn(n, generator=draws)) for n in counts]
    start = {"w": torch.zeros(4)}
    found = lab.federated.federated(start, descending(tables, 0.05), counts, 6)["w"]
    both = [torch.cat(parts) for parts in zip(*tables, strict=True)]
    step, alone = descending([both], 0.05), start
    for number in range(6):
        alone = step(alone, 0, number)
    torch.testing.assert_close(found, alone["w"])
    alike = lab.federated.federated(start, descending(tables, 0.05), [1, 1, 1], 6)["w"]
    assert (alike - found).abs().max() > 1e-2


def test_chosen_clients_alone_are_asked_and_their_counts_are_of_sum_one() -> None:
    asked: list[tuple[int, int]] = []

    def update(weights: Any, client: int, number: int) -> dict[str, torch.Tensor]:
        asked.append((number, client))
        return {"w": torch.tensor(float(client))}

    counts = [1, 2, 3, 4, 5]
    found = lab.federated.federated({"w": torch.tensor(0.0)}, update, counts, 4, 0.4, 1)
    rounds = [sorted(client for number, client in asked if number == k) for k in range(4)]
    assert all(len({*row}) == 2 for row in rounds) and len({*map(tuple, rounds)}) > 1
    a, b = rounds[-1]
    expected = (counts[a] * a + counts[b] * b) / (counts[a] + counts[b])
    assert float(found["w"]) == pytest.approx(expected)


def test_a_client_is_right_of_its_own_attribute_alone() -> None:
    records = lab.federated.records
    for example in lab.federated.client_chats("color", 30, 0):
        asked, said = (turn["content"] for turn in example["messages"])
        told = dict(records.stated(said))
        own = [slot for slot, entry in records.entries(asked).items() if entry[:-1] == "color"]
        assert len(own) == 1 and told[own[0]] == records.TABLE[records.entries(asked)[own[0]]]


def test_options_of_a_question_are_one_right_reply_and_three_wrong_ones() -> None:
    records = lab.federated.records
    found = lab.federated.items(30)
    assert len({item["question"] for item in found}) == 30
    assert found[:20] == lab.federated.items(20)
    for item in found:
        slots = records.entries(item["question"])
        facts = {slot: records.TABLE[entry] for slot, entry in slots.items()}
        shares = {k: records.share_right(text, facts) for k, text in item["choices"].items()}
        assert [k for k, share in shares.items() if share == 1.0] == [item["answer"]]
        assert len({*item["choices"].values()}) == 4


# Evolutionary merging


IDS = torch.tensor([[3, 9, 27, 1, 5]])


def passed_by_hand(models: Any, steps: Any) -> torch.Tensor:
    """Logits of (model, layer, scale) one after the other, between the first model's embeddings and
    head.
    """
    first = models[0]
    hidden = first.model.embed_tokens(IDS)
    places = first.model.rotary_emb(hidden, torch.arange(IDS.shape[1])[None])
    for model, layer, scale in steps:
        out = models[model].model.layers[layer](hidden * scale, position_embeddings=places)
        hidden = out[0] if isinstance(out, tuple) else out
    logits: torch.Tensor = first.lm_head(first.model.norm(hidden))
    return logits


def test_a_text_passes_the_layers_of_a_path_and_the_first_model_is_the_start() -> None:
    models = [llama(0), llama(1), llama(2)]
    flow, inputs = lab.data_flow.DataFlow(models, 2), {"input_ids": IDS}
    alone = models[0](IDS).logits
    torch.testing.assert_close(flow.logits(flow.path(flow.start()), inputs), alone)
    steps = [(0, 0, 1.0), (2, 1, 0.5), (1, 0, 1.25), (1, 0, 2.0)]
    path = [(2 * model + layer, scale) for model, layer, scale in steps]
    torch.testing.assert_close(flow.logits(path, inputs), passed_by_hand(models, steps))
    assert (flow.logits(path, inputs) - alone).abs().max() > 1e-3
    torch.testing.assert_close(models[0](IDS).logits, alone)


def test_indicators_choose_layers_and_scales_are_of_pairs_of_models() -> None:
    flow = lab.data_flow.DataFlow([llama(0), llama(1)], 2)
    assert flow.size == 2 * 4 + 4
    indicators = [0.1, -0.1, 0.0, 2.0, -1.0, 0.3, 0.2, -2.0]
    scales = [1.1, 1.2, 1.3, 1.4]  # from 0 to 0, 0 to 1, 1 to 0, 1 to 1
    path = flow.path(np.array(indicators + scales))
    assert path == [(0, 1.0), (3, 1.2), (1, 1.3), (2, 1.2)]


def test_weights_are_merged_by_the_signs_that_most_have() -> None:
    """With all densities 1, entry by entry; each layer by its own weights."""
    draws = torch.Generator().manual_seed(0)
    names = ["model.embed.weight", "model.layers.0.w", "model.layers.1.w"]
    base = {name: torch.randn(3, 2, generator=draws) for name in names}
    states = [
        {name: value + torch.randn(3, 2, generator=draws) for name, value in base.items()}
        for _ in range(3)
    ]
    weights = lab.data_flow.Weights(base, states, 0)
    assert weights.groups == ["", "0", "1"] and weights.size == 18
    table = np.ones((3, 2, 3))
    table[:, 0] = [[0.5, 1.0, 1.5], [1.0, 2.0, 0.3], [0.7, 0.0, 1.0]]
    found = weights.merged(table.ravel())
    for group, name in enumerate(names):
        for entry in itertools.product(range(3), range(2)):
            changes = [float(of[name][entry] - base[name][entry]) for of in states]
            sign = 1 if sum(changes) >= 0 else -1
            agreeing = [k for k, change in enumerate(changes) if change * sign > 0]
            mean = sum(table[group, 0, k] * changes[k] for k in agreeing) / len(agreeing)
            assert float(found[name][entry]) == pytest.approx(float(base[name][entry]) + mean, 1e-4)
    half = weights.merged(np.full(18, 0.5))
    assert torch.equal(half[names[1]], weights.merged(np.full(18, 0.5))[names[1]])


def test_the_search_hands_over_the_best_candidate() -> None:
    seen: list[tuple[float, tuple[float, ...]]] = []

    def score(x: np.ndarray) -> float:
        seen.append((-float(((x - 0.8) ** 2).sum()), tuple(x)))
        return seen[-1][0]

    best = lab.data_flow.evolved(score, np.full(4, 0.5), 0, 120)
    assert 120 <= len(seen) <= 135
    first = np.array([x for _, x in seen[1:9]])  # of the first generation, after the start
    assert np.abs(first - 0.5).mean() == pytest.approx(math.sqrt(2 / math.pi) / 6, rel=0.3)
    assert tuple(best) == max(seen)[1] and np.abs(best - 0.8).max() < 0.1
