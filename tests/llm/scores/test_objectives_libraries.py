"""Metrics of `evaluate` give here what they give by themselves."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.tasks import Item

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


def test_a_local_metric_of_evaluate(metric_folder: Path) -> None:
    import evaluate

    from pyswarmopt_llm.scores.metrics.external.evaluate import EvaluateMetric

    items = [
        Item("1", "?", None, "red green"),
        Item("2", "?", None, "blue"),
        Item("3", "?", None, "a b c d"),
    ]
    texts = ["green is nice", "red", "d c b a"]
    found = EvaluateMetric(str(metric_folder))(items, texts)
    assert found == [0.5, 0.0, 1.0]
    theirs = evaluate.load(str(metric_folder)).compute(
        predictions=texts, references=[i.answer for i in items]
    )
    assert sum(found) / 3 == pytest.approx(theirs["overlap_x"])
    assert EvaluateMetric(f"{metric_folder}#words")(items, texts) == [3.0, 1.0, 4.0]
    with pytest.raises(UserError, match="gives overlap_x, words; say which"):
        EvaluateMetric(f"{metric_folder}#bytes")(items, texts)


def test_no_such_metric_of_evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("evaluate")
    from pyswarmopt_llm.scores.metrics.external.evaluate import EvaluateMetric

    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"metric evaluate:.*empty"):
        EvaluateMetric(str(tmp_path / "empty"))
