"""`research/benchmarks/tokens/log_contrast.py` against the formulas of its papers, written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from laboratory import script

log_contrast = script("log_contrast")


def test_contrast_is_the_objective_of_li_et_al() -> None:
    expert, amateur = torch.rand(2, 5, 9, generator=torch.Generator().manual_seed(0)).double()
    expert, amateur = expert**4, amateur**4
    expert, amateur = expert / expert.sum(-1, keepdim=True), amateur / amateur.sum(-1, keepdim=True)
    scores = log_contrast.contrast(expert.log(), amateur.log()).numpy()
    for row, (p, q) in enumerate(zip(expert.tolist(), amateur.tolist(), strict=True)):
        for token in range(9):
            if p[token] >= 0.1 * max(p):
                assert scores[row, token] == pytest.approx(np.log(p[token] / q[token]))
            else:
                assert scores[row, token] == -np.inf
    assert np.isinf(scores).any()
    assert not log_contrast.contrast(expert.log(), amateur.log(), 0.0).isinf().any()


def test_proxy_is_the_sum_of_logits_of_liu_et_al() -> None:
    main, expert, anti = torch.randn(3, 4, 7, generator=torch.Generator().manual_seed(1)).double()
    wanted = (main + (expert - anti)).softmax(-1)
    logs = (logits.log_softmax(-1) for logits in (main, expert, anti))
    assert torch.allclose(log_contrast.proxy(*logs).softmax(-1), wanted)


class Speller:
    """Expects the letters of a word one after the other, then the end."""

    def __init__(self, word: str) -> None:
        self.word, self.tokenizer, self.calls = word, self, 0

    def chat(self, turn: str) -> str:
        return turn

    def decode(self, tokens: list[int]) -> str:
        return "abc"[tokens[0]]

    def distributions(self, pairs: list[tuple[str, str]]) -> list[Any]:
        self.calls += 1
        rows = []
        for context, _ in pairs:
            place = context.split().count("a") + context.split().count("b")
            token = "abc.".index((self.word + ".")[place])
            rows.append((torch.eye(4)[token : token + 1].mul(9).log_softmax(-1), None))
        return rows


def test_a_text_grows_by_what_the_rule_prefers_and_other_models_stay_unread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_contrast, "distributions", Speller.distributions)
    models = {"base": Speller("ab"), "expert": Speller("ba")}
    texts = log_contrast.write(models, log_contrast.RULES["base"], ["say", "tell"], 3)
    assert texts == ["a b", "a b"] and models["expert"].calls == 0


def test_rules_are_of_the_models_that_they_name() -> None:
    """By hand, in shares: the expert finds the third token below a tenth of its likeliest."""
    shares = {
        "base": [0.7, 0.29, 0.01],
        "expert": [0.8, 0.19, 0.01],
        "main": [0.2, 0.3, 0.5],
    }
    logs = {name: torch.tensor([row]).double().log() for name, row in shares.items()}
    expected = {
        "base": shares["base"],
        "expert": shares["expert"],
        "fine-tune": shares["main"],
        "contrast": [0.8 / 0.7, 0.19 / 0.29, 0.0],
        "contrast without the cut": [0.8 / 0.7, 0.19 / 0.29, 1.0],
        "proxy": [0.2 * 0.8 / 0.7, 0.3 * 0.19 / 0.29, 0.5],
        "proxy without the base": [0.2 * 0.8, 0.3 * 0.19, 0.5 * 0.01],
        "mean of probabilities": [1.0, 0.49, 0.51],
    }
    assert {*expected} == {*log_contrast.RULES}
    for name, row in expected.items():
        assert log_contrast.RULES[name](logs).exp()[0].tolist() == pytest.approx(row), name
