"""Metrics of texts by hand and against libraries; combinations, coefficients."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_helpers import Shell, questions, write_task

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.scores.metrics import text as text_scores
from pyswarmopt_llm.scores.metrics.by_name import find_metric, metric_of
from pyswarmopt_llm.scores.metrics.combine import arithmetic, find_combine, harmonic
from pyswarmopt_llm.scores.tasks import Item, Task
from pyswarmopt_llm.scores.words import same_words, words

WORDS = st.lists(st.sampled_from("red green blue tree house".split()), min_size=1, max_size=6)


def question(answer: str, *more: str) -> list[Item]:
    meta = {"answers": "[" + ", ".join(f'"{text}"' for text in more) + "]"} if more else {}
    return [Item("1", "?", None, answer, meta)]


def test_a_number_is_scored_against_numbers_alone() -> None:
    numeric = find_metric("numeric")
    for answer in ("0", "#### 18", "12 apples"):
        numeric.check(question(answer), "dev")
    with pytest.raises(UserError, match="dev example 1 lacks a numeric answer"):
        numeric.check(question("a few"), "dev")


@pytest.mark.parametrize("metric", ["judge", "judge:rubric.txt", "mine.py:score"])
def test_a_file_neither_asks_a_judge_nor_loads_code(metric: str) -> None:
    with pytest.raises(UserError, match="calls a server or loads code"):
        metric_of(Task("mine", (), (), metric=metric, source="mine.json"))


# Words


# an answer, a reply and its score, by hand
CORPUS = Path(__file__).with_name("metrics.jsonl").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("line", CORPUS)
def test_a_reply_is_scored_as_the_corpus_says(line: str) -> None:
    case = json.loads(line)
    metric = getattr(text_scores, case["metric"])
    assert metric(question(case["answer"]), [case["reply"]]) == [pytest.approx(case["score"])]


@given(st.text(max_size=12), st.sampled_from("。、！？.,;:!?…"))
def test_a_mark_at_the_end_changes_nothing_and_a_sign_before_a_digit_does(
    text: str, mark: str
) -> None:
    assert words(f"{text}{mark}") == words(text) or not text[-1:].isalnum()
    for number in ("5", "3.14", ".5"):
        assert not same_words(f"-{number}", number) and same_words(f"−{number}", f"-{number}{mark}")


def test_the_best_reference_counts() -> None:
    items = question("Goethe", "J. W. Goethe", "Johann Wolfgang von Goethe")
    assert text_scores.exact_match(items, ["johann wolfgang von goethe"]) == [1.0]
    # 2 of 2 words, 2 of 3 wanted
    assert text_scores.token_f1(items, ["J W"]) == [pytest.approx(0.8)]


@given(WORDS, WORDS)
def test_f1_by_removing_common_words_one_by_one(wanted: list[str], found: list[str]) -> None:
    rest, common = list(wanted), 0
    for word in found:
        if word in rest:
            rest.remove(word)
            common += 1
    (score,) = text_scores.token_f1(question(" ".join(wanted)), [" ".join(found)])
    assert score == 2 * common / (len(found) + len(wanted))


def test_chrf_by_hand() -> None:
    """Of letters 1/2, of pairs 0; both orders count alike, precision and recall are equal."""
    pytest.importorskip("sacrebleu")
    assert text_scores.chrf(question("ab"), ["ac"]) == [pytest.approx(0.25)]
    assert text_scores.chrf(question("xy", "ab"), ["ab"]) == [pytest.approx(1.0)]


def test_rouge_by_hand() -> None:
    """The cat on mat: 4 of 5 words, 4 of 6 wanted."""
    pytest.importorskip("rouge_score")
    items = question("A dog", "the cat sat on the mat")
    assert text_scores.rouge(items, ["The cat on a mat."]) == [pytest.approx(8 / 11)]


@pytest.mark.parametrize("name", ["bleu", "chrf", "rouge"])
def test_a_missing_package_is_named_before_any_model(
    name: str, here: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base would be refused: its folder is empty."""
    monkeypatch.setattr("pyswarmopt_llm.common.extras.find_spec", lambda module: None)
    write_task(here / "task.json", questions(12, 1), questions(12, 2))
    for folder in ("base", "x", "y"):
        Path(folder).mkdir()
    words = "--base base --experts x y --task task.json --out run --metric"
    said = shell.refused("search", *words.split(), name)
    assert f"--metric {name} needs " in said and 'install the extra "text"' in said


def test_bleu_by_hand() -> None:
    """1-grams 4/5, 2-grams 2/4, 3-grams 1/3, 4-grams 0/2 smoothed to 1/4; no penalty."""
    pytest.importorskip("sacrebleu")
    score = (4 / 5 * 2 / 4 * 1 / 3 * 1 / 4) ** (1 / 4)
    found = text_scores.bleu(question("a b c d e"), ["a b c x e"])
    assert found == [pytest.approx(score)]


# Names


# Permutation test


# Several tasks


@given(
    st.lists(st.tuples(st.floats(0.01, 1.0), st.floats(0.0, 0.3)), min_size=2, max_size=4),
    st.data(),
)
def test_combinations_by_definition(pairs: list[tuple[float, float]], data: Any) -> None:
    scores = [Score(v, (v,), 1, e) for v, e in pairs]
    values, errors = np.array(pairs).T
    assert arithmetic(scores).value == pytest.approx(values.mean())
    assert arithmetic(scores).stderr == pytest.approx(np.sqrt((errors**2).sum()) / len(pairs))
    # Each rises with every task's value.
    i = data.draw(st.integers(0, len(pairs) - 1))
    raised = [*scores[:i], Score(scores[i].value + 0.1, (1.0,), 1, 0.0), *scores[i + 1 :]]
    for combine in (harmonic, arithmetic, find_combine("keep:0.5", len(pairs))):
        assert combine(raised).value >= combine(scores).value
        assert combine(scores).n == len(pairs)


# Coefficients


# evaluate


@pytest.fixture
def metric_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A metric as `evaluate` wants it: the share of words in common with the reference, and the
    length.
    """
    pytest.importorskip("evaluate")
    monkeypatch.setattr("datasets.config.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = tmp_path / "overlap_x"
    folder.mkdir()
    (folder / "overlap_x.py").write_text(
        textwrap.dedent(
            """
            import datasets
            import evaluate

            class OverlapX(evaluate.Metric):
                def _info(self):
                    text = datasets.Value("string")
                    features = datasets.Features({"predictions": text, "references": text})
                    return evaluate.MetricInfo(description="", citation="", inputs_description="", features=features)

                def _compute(self, predictions, references):
                    shares = [
                        len(set(p.split()) & set(r.split())) / len(set(r.split()))
                        for p, r in zip(predictions, references)
                    ]
                    lengths = [len(p.split()) for p in predictions]
                    return {"overlap_x": sum(shares) / len(shares), "words": sum(lengths) / len(lengths)}
            """
        )
    )
    return folder


def evaluated(spec: str, items: list[Item], texts: list[str]) -> list[float]:
    return [row[""] for row in find_metric(f"evaluate:{spec}").rate(texts, texts, items)]


def test_a_local_metric_of_evaluate(metric_folder: Path) -> None:
    import evaluate

    items = [
        Item("1", "?", None, "red green"),
        Item("2", "?", None, "blue"),
        Item("3", "?", None, "a b c d"),
    ]
    texts = ["green is nice", "red", "d c b a"]
    found = evaluated(str(metric_folder), items, texts)
    assert found == [0.5, 0.0, 1.0]
    several = Item("4", "?", None, "red green", {"answers": '["nice"]'})
    assert evaluated(str(metric_folder), [several], ["green is nice"]) == [0.5]  # the first
    theirs = evaluate.load(str(metric_folder)).compute(
        predictions=texts, references=[i.answer for i in items]
    )
    assert sum(found) / 3 == pytest.approx(theirs["overlap_x"])
    assert evaluated(f"{metric_folder}#words", items, texts) == [3.0, 1.0, 4.0]
    with pytest.raises(UserError, match="returns overlap_x, words"):
        evaluated(f"{metric_folder}#bytes", items, texts)


def test_a_metric_of_records_is_refused_and_one_of_lists_gets_all_references(
    metric_folder: Path,
) -> None:
    script = metric_folder / "overlap_x.py"
    code = script.read_text()
    features = '"predictions": text, "references": text'
    lists = code.replace(features, '"predictions": text, "references": datasets.Sequence(text)')
    script.write_text(lists.replace("r.split()", "r[-1].split()"))
    items = [Item("1", "?", None, "red", {"answers": '["green"]'})]
    assert evaluated(str(metric_folder), items * 2, ["green", "blue"]) == [1.0, 0.0]
    script.write_text(code.replace(features, '"predictions": {"id": text}, "references": text'))
    with pytest.raises(UserError, match="metric evaluate:"):
        evaluated(str(metric_folder), [], [])
