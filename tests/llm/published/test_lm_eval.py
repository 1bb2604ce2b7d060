"""Tasks of lm-evaluation-harness give here what they give by themselves."""

from __future__ import annotations

import json
import linecache
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from search_helpers import WORDS, louder, small, swarm_llm

from pyswarmopt_llm.api import search
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.transformers import TransformersEngine, load_engine
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.published.lm_eval import LmEvalTask
from pyswarmopt_llm.scores.metrics.objectives import load_objectives


def documents(n: int, seed: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [
        {
            "question": " ".join(rng.sample(WORDS, 3)),
            "options": rng.sample(WORDS, 4),
            "gold": rng.randrange(4),
        }
        for _ in range(n)
    ]


@pytest.fixture
def harness_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a task's YAML file, with data files of its own."""
    pytest.importorskip("lm_eval")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")

    def make(splits: dict[str, int], **more: Any) -> Path:
        files = {}
        for seed, (split, n) in enumerate(splits.items()):
            files[split] = str(tmp_path / f"{split}.jsonl")
            Path(files[split]).write_text("\n".join(map(json.dumps, documents(n, seed))))
        task = {
            "task": f"toy_{len(splits)}",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": files},
            "output_type": "multiple_choice",
            "doc_to_text": "Question: {{question}}\nAnswer:",
            "doc_to_choice": "{{options}}",
            "doc_to_target": "{{gold}}",
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
            **{f"{split}_split": split for split in splits},
            **more,
        }
        path = tmp_path / "toy.yaml"
        # Every JSON value is a YAML value.
        path.write_text("\n".join(f"{key}: {json.dumps(value)}" for key, value in task.items()))
        return path

    return make


def theirs(engine: Any, folder: Path, name: str) -> dict[int, float]:
    """Document -> accuracy, by the harness with its own model class."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    model = HFLM(pretrained=engine.model, tokenizer=engine.tokenizer, batch_size=4)
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    state = random.getstate()
    found = simple_evaluate(model, tasks=[name], task_manager=manager, bootstrap_iters=0)
    random.setstate(state)
    assert found is not None
    return {sample["doc_id"]: sample["acc"] for sample in found["samples"][name]}


@pytest.mark.parametrize("text", ["Question: {{question}}\nAnswer:", ""])
def test_a_chat_model_whose_tokenizer_adds_bos_has_it_as_in_the_harness(
    tiny_base: Path, tmp_path: Path, harness_task: Any, text: str
) -> None:
    """Its chat template writes BOS itself, and the harness's texts are no conversations."""
    from tokenizers.processors import TemplateProcessing

    engine = load_engine(resolve_base(str(tiny_base)), "float32", "cpu", 1)
    bos = (engine.tokenizer.bos_token, engine.tokenizer.bos_token_id)
    adding = TemplateProcessing(single=f"{bos[0]} $A", special_tokens=[bos])
    engine.tokenizer.backend_tokenizer.post_processor = adding
    engine = TransformersEngine(engine.model, engine.tokenizer)
    file = harness_task({"validation": 3, "test": 40}, doc_to_text=text)
    found = LmEvalTask(str(file))(engine, "test")
    expected = theirs(engine, tmp_path, "toy_2")
    assert found.per_item == tuple(expected[i] for i in range(40))


def test_a_task_with_a_function_in_its_settings_is_the_same_in_the_next_process(
    tmp_path: Path, harness_task: Any
) -> None:
    """Functions are loaded anew, to another address; another source is another task."""
    file = harness_task({"validation": 3, "test": 4})
    shots = "def shots():\n    return [{'question': 'Why?', 'options': ['a', 'b'], 'gold': 0}]\n"
    with file.open("a") as text:
        text.write("\nfewshot_config:\n  sampler: first_n\n  samples: !function helpers.shots\n")
    (tmp_path / "helpers.py").write_text(shots)
    first, second = (LmEvalTask(str(file)) for _ in range(2))  # both are kept: two addresses
    assert first.fingerprint == second.fingerprint
    (tmp_path / "helpers.py").write_text(shots.replace("'gold': 0", "'gold': 1 - 0"))
    linecache.checkcache()
    assert LmEvalTask(str(file)).fingerprint != first.fingerprint


def test_one_split_is_divided(tiny_base: Path, tmp_path: Path, harness_task: Any) -> None:
    engine = load_engine(resolve_base(str(tiny_base)), "float32", "cpu", 1)
    task = LmEvalTask(str(harness_task({"validation": 18})))
    dev, test = task(engine, "dev"), task(engine, "test")
    assert (dev.n, test.n) == (6, 12)
    assert sorted(dev.per_item + test.per_item) == sorted(
        theirs(engine, tmp_path, "toy_1").values()
    )


class Reader:
    """Keeps the prompts that it is asked."""

    tokenizer = None

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def loglikelihood(self, pairs: list[tuple[str, str]]) -> list[float]:
        self.prompts += [context for context, _ in pairs]
        return [0.0] * len(pairs)


@pytest.mark.parametrize("splits", [{"training": 8, "test": 9}, {"training": 8, "validation": 9}])
@pytest.mark.parametrize("more", [{}, {"fewshot_config": {"sampler": "first_n"}}])
def test_no_prompt_shows_a_document_that_is_scored(
    splits: dict[str, int], more: dict[str, Any], harness_task: Any
) -> None:
    file = harness_task(splits, num_fewshot=3, **more)
    task = LmEvalTask(str(file))
    (dev, shown), (test, more) = questions_of(task, "dev"), questions_of(task, "test")
    assert questions_of(task, "test") == (test, more)  # for every candidate
    assert dev and test and shown and not (shown | more) & (dev | test)


@pytest.mark.parametrize("splits", [{"test": 30}, {"validation": 12, "test": 9}])
def test_examples_from_the_documents_that_are_scored_are_refused(
    splits: dict[str, int], harness_task: Any
) -> None:
    with pytest.raises(UserError, match=r"not few-shot examples; .* a fewshot_split"):
        LmEvalTask(str(harness_task(splits, num_fewshot=3)))


def questions_of(task: LmEvalTask, split: str) -> tuple[set[str], set[str]]:
    """The questions that a split asks, and those of its examples."""
    reader = Reader()
    task(reader, split)  # type: ignore[arg-type]
    told = [prompt.split("uestion: ")[1:] for prompt in reader.prompts]
    lines = [[text.split("\n")[0] for text in texts] for texts in told]
    return {texts[-1] for texts in lines}, {text for texts in lines for text in texts[:-1]}


@pytest.mark.parametrize("splits", [{"test": 60}, {"validation": 30, "test": 30}])
def test_a_question_that_repeats_is_in_one_split_alone(
    splits: dict[str, int], harness_task: Any, tmp_path: Path
) -> None:
    file = harness_task(splits)
    for split in splits:  # 12 questions in all
        rows = map(json.loads, (tmp_path / f"{split}.jsonl").read_text().splitlines())
        spelt = [
            (word, word.upper(), f"“{word}” ")[k // 12 % 3] for k, word in enumerate(WORDS[:12] * 5)
        ]
        rows = [
            json.dumps({**row, "question": word}) for row, word in zip(rows, spelt, strict=False)
        ]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(rows))
    task = LmEvalTask(str(file), dev=5, test=5)
    (dev, _), (test, _) = questions_of(task, "dev"), questions_of(task, "test")
    assert dev and test
    assert {word.strip("“” ").lower() for word in dev}.isdisjoint(
        word.strip("“” ").lower() for word in test
    )


def test_generated_answers(tiny_base: Path, harness_task: Any) -> None:
    received: list[tuple[str, int]] = []

    class Engine:
        def generate(self, prompts: list[str], max_new_tokens: int = 64) -> list[str]:
            received.extend((prompt, max_new_tokens) for prompt in prompts)
            return [f" {prompt.split()[1]} STOP and more" for prompt in prompts]

    how = {"until": [" STOP"], "max_new_tokens": 7}
    exact = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}
    filters = [{"function": "remove_whitespace"}, {"function": "take_first"}]
    more = {"output_type": "generate_until", "doc_to_choice": None, "generation_kwargs": how}
    more |= {"doc_to_target": "{{question.split()[0]}}", "metric_list": [exact]}
    file = harness_task({"test": 9}, filter_list=[{"name": "strip", "filter": filters}], **more)
    task = LmEvalTask(str(file))
    assert task(Engine(), "test").per_item == (1.0,) * 6  # type: ignore[arg-type]
    assert {n for _, n in received} == {7}


def test_kinds_that_the_engine_does_not_answer(tmp_path: Path, harness_task: Any) -> None:
    rolling = harness_task(
        {"test": 9},
        output_type="loglikelihood_rolling",
        metric_list=[{"metric": "word_perplexity"}],
    )
    with pytest.raises(UserError, match="output type loglikelihood_rolling"):
        LmEvalTask(str(rolling))
    (tmp_path / "x.yaml").write_text("a: 1")
    with pytest.raises(UserError, match="it contains no task"):
        LmEvalTask(str(tmp_path / "x.yaml"))
    (tmp_path / "b.yaml").write_text((tmp_path / "toy.yaml").read_text().replace("toy_1", "toy_b"))
    (tmp_path / "both.yaml").write_text("group: both\ntask: [toy_1, toy_b]\n")
    with pytest.raises(UserError, match="is a group; use its tasks, such as lm-eval:toy_"):
        LmEvalTask(str(tmp_path / "both.yaml"))
    with pytest.raises(UserError, match=r"metric f9 .*: acc"):
        task = LmEvalTask(f"{harness_task({'validation': 6})}#f9")
        task(Flat(), "dev")  # type: ignore[arg-type]


class Flat:
    """Every continuation is equally likely."""

    def loglikelihood(self, pairs: list[tuple[str, str]]) -> list[float]:
        return [0.0] * len(pairs)


def test_a_search_on_a_harness_task(
    tiny_base: Path,
    tiny_experts: list[Path],
    tmp_path: Path,
    harness_task: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = f"lm-eval:{harness_task({'validation': 8, 'test': 10})}"
    config = small(tiny_base, louder(tiny_experts, tmp_path), [], tmp_path / "run", max_iter=1)
    result = search(replace(config, tasks=(spec,), scoring="auto")).result
    words = ["--base", tiny_base, "--adapter", tmp_path / "run" / "best", "--task", spec]
    code, out, err = swarm_llm(capsys, "eval", *words, "--threads", 1, "--json")
    assert code == 0, err
    assert json.loads(out)["value"] == result["best_test"] and json.loads(out)["n"] == 10
    with pytest.raises(UserError, match="two tasks have the same name"):
        load_objectives(replace(config, tasks=(spec, f"{spec}#acc")))
