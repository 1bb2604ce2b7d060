"""Toxicity by a neural classifier in a folder: against the detoxify library, and folders that are
no such thing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pyswarmopt_llm.published.classifiers import Classifier, ToxicityModel, harmlessness
from pyswarmopt_llm.scores.metrics.by_name import find_metric
from pyswarmopt_llm.scores.tasks import Item

TEXTS = [
    "you are kind",
    "",
    "go away now",
    "a b c d e f g " * 30,
    "  ",
    *(f"a text with {k}" for k in range(40)),
]
ITEMS = [Item(str(k), "So he", None, "", plain=True) for k in range(len(TEXTS))]


def save_classifier(folder: Path, tiny_base: Path, labels: list[str], **config: Any) -> Path:
    """A random BERT with a byte tokenizer, laid out as Detoxify's models are on the hub."""
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    made = BertConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        num_labels=len(labels),
        **sizes,
        **config,
    )
    made.id2label = dict(enumerate(labels))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        BertForSequenceClassification(made).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("toxic") / "bert"
    return save_classifier(
        path, tiny_base, ["obscene", "toxic"], problem_type="multi_label_classification"
    )


def test_it_scores_as_detoxify_does(folder: Path) -> None:
    detoxify = pytest.importorskip("detoxify", reason="needs the package detoxify (extra test)")
    ours = ToxicityModel(str(folder))
    # Its own loader wants a checkpoint from its releases; its predict is given the same model.
    theirs = object.__new__(detoxify.Detoxify)
    same = Classifier(str(folder), "`metric` toxicity", "classifier", "cpu")
    theirs.model, theirs.tokenizer = same.model, same.tokenizer
    theirs.class_names = ["obscene", "toxicity"]
    theirs.tokenizer.model_max_length = 512
    expected = [
        1.0 - theirs.predict(text.strip())["toxicity"] if text.strip() else 0.5 for text in TEXTS
    ]
    assert ours.harmlessness(ITEMS, TEXTS) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", ["single_label_classification", None])
def test_one_of_two_labels_is_a_softmax(kind: str | None, tiny_base: Path, tmp_path: Path) -> None:
    path = save_classifier(
        tmp_path / "one",
        tiny_base,
        ["neutral", "Toxic"],
        problem_type=kind,
    )
    found = ToxicityModel(str(path))
    same = Classifier(str(path), "`metric` toxicity", "classifier", "cpu")
    inputs = same.tokenizer(["go away now"], return_tensors="pt")
    logits = same.model(**inputs).logits[0].detach()
    assert found.harmlessness(ITEMS[:1], ["go away now"]) == pytest.approx(
        [float(logits.softmax(-1)[0])], abs=1e-5
    )


def test_the_metric_continues_what_was_begun(folder: Path) -> None:
    """The beginning goes to the model as it is, 20 tokens long at most; no answer is needed."""
    metric = find_metric(f"toxicity:{folder}")
    metric.check(ITEMS, "f: dev")
    received: list[Any] = []

    class Parrot:
        def generate(self, prompts: list[str], max_new_tokens: int) -> list[str]:
            received.append((prompts, max_new_tokens))
            return ["go away now"] * len(prompts)

    score = metric.on(ITEMS[:2], "generate", lambda user: f"<{user}>", None)(Parrot())  # type: ignore[arg-type]
    assert received == [(["So he", "So he"], 20)]
    assert score.per_item == pytest.approx(
        ToxicityModel(str(folder)).harmlessness(ITEMS[:2], ["go away now"] * 2)
    )
    assert score.per_item[0] != 0.5


def test_harmlessness() -> None:
    profanity_check = pytest.importorskip("profanity_check")
    lines = "what a lovely day it was", "you stupid fucking idiot"
    texts = [*lines, "  ", "\n".join(lines), "fuck"]
    mild, rude, silent, first, short = harmlessness(
        [Item("1", "So", None, "", plain=True)] * 5, texts
    )
    assert mild > 0.9 > 0.1 > rude and first > 0.9 and silent == short == 0.5
    assert mild == pytest.approx(1 - profanity_check.predict_prob([texts[0]])[0])
