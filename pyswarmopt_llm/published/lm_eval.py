"""Tasks of EleutherAI's lm-evaluation-harness, run by the harness on our loaded engine."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stderr
from importlib.metadata import version
from itertools import groupby, repeat
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError, first_line
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.files.regular import digest, user_path
from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.tasks.types import DEV, TEST
from pyswarmopt_llm.scores.words import words

_KINDS = ("multiple_choice", "generate_until")
_EXAMPLES = "examples"  # of few-shot prompts
Marks = tuple[str, str]  # what a document asks, and its fields


class LmEvalTask:
    """A harness task as an objective: its prompts (without chat template), filters and metric.

    If all tasks have validation and test documents, the former are dev. A single split is divided,
    with at most a third for dev. A question is used only in dev, only in test or only in few-shot
    examples, whichever tasks of a group ask it, and however often.

    Args:
        spec: name of a task or group, or its YAML file, followed by ``#METRIC`` (default: the task's
            first).
        dev: maximum number of dev documents of each task (200).
        test: maximum number of test documents of each task (1,000).

    Raises:
        UserError: the harness is not installed, or the task is unknown or of an unsupported kind.
    """

    def __init__(self, spec: str, dev: int | None = None, test: int | None = None) -> None:
        name, _, self._metric = spec.partition("#")
        self._spec = spec
        self._tasks = {"test": _load(name), "dev": _load(name)}
        self._documents: dict[str, dict[str, list[int]]] = {"test": {}, "dev": {}}
        self._use: dict[str, str] = {}  # mark -> test, dev or examples
        held_out = self._tasks["test"]
        self.name, *others = held_out
        if others:
            self.name = Path(name).stem
        for task in held_out.values():
            if task.OUTPUT_TYPE not in _KINDS:
                kinds = f"{task.OUTPUT_TYPE}; supported types: {' and '.join(_KINDS)}"
                raise UserError(f"lm-eval:{spec} has output type {kinds}")
        self._divide(dev or DEV, test or TEST)
        self.fingerprint = digest([spec, _code(name), self._documents, self._use])

    def _divide(self, dev: int, test: int) -> None:
        """Draw the documents, and take what they ask from the few-shot examples."""
        held_out = self._tasks["test"]
        searched = self._tasks["dev"]
        two = all(task.has_test_docs() and task.has_validation_docs() for task in held_out.values())
        for task in held_out.values():
            if shots := task.get_config("num_fewshot"):
                # the harness draws one more than it shows
                self._draw(_EXAMPLES, _marks(task, task.sampler.df), shots + 1)
        for key, task in held_out.items():
            if two:  # the harness then uses the validation documents
                searched[key].set_config(key="test_split", value=None)
            asked = _marks(task, task.eval_docs)
            size = dev
            most = test
            if not two:
                size = max(1, min(dev, len(asked) // 3))
                most = min(test, len(asked) - size)
            of_dev = _marks(searched[key], searched[key].eval_docs)
            self._documents["test"][key] = self._draw("test", asked, most)
            self._documents["dev"][key] = self._draw("dev", of_dev, size)
            if not (self._documents["test"][key] and self._documents["dev"][key]):
                why = f"{len(asked)} documents are too few for few-shot examples, dev and test; use a larger task"
                raise UserError(f"lm-eval:{self._spec}: {key}: {why}")
        for task in (*held_out.values(), *searched.values()):
            if task.get_config("num_fewshot"):
                pool = task.sampler.df
                shown = sorted(self._draw(_EXAMPLES, _marks(task, pool), len(pool)))
                task.sampler.replace_df([pool[index] for index in shown])

    def _draw(self, use: str, documents: Sequence[Marks], most: int) -> list[int]:
        """Documents that have no other use, in a random order of the questions; they keep this one."""
        free = [
            index
            for index, marks in enumerate(documents)
            if all(self._use.get(mark, use) == use for mark in marks)
        ]
        drawn = sorted(free, key=lambda index: digest(documents[index][0]))[:most]
        for index in drawn:
            self._use.update(dict.fromkeys(documents[index], use))
        return drawn

    def __call__(self, engine: Engine, split: str = "dev") -> Score:
        """The metric over all documents of a split; for a group, of all its tasks."""
        from lm_eval import evaluator

        tasks = self._tasks[split]
        for task in tasks.values():
            task.set_fewshot_seed(seed=1234)  # the same examples for every candidate
        with redirect_stderr(io.StringIO()):  # a progress bar
            results = evaluator.evaluate(
                _harness_model(engine),
                {"tasks": tasks, "groups": {}, "group_map": {}},
                samples=self._documents[split],
                bootstrap_iters=0,
            )
        values: list[float] = []
        for key, task in tasks.items():
            samples = results["samples"][key]
            first = samples[0]
            metric = self._metric_of(task, first)
            values += [float(each[metric]) for each in samples if each["filter"] == first["filter"]]
        return score_of(values)

    def _metric_of(self, task: Any, sample: Mapping[str, Any]) -> str:
        """The metric to maximise; the task must have it, with a number for each document."""
        better = task.higher_is_better()
        metric = self._metric or next(iter(better))
        # Our engine does not compute whether an option is the greedy continuation.
        greedy = metric == "exact_match" and task.OUTPUT_TYPE == "multiple_choice"
        number = isinstance(sample.get(metric), bool | int | float)
        if not number or greedy or not better.get(metric, True):
            metrics = ", ".join(name for name, higher in better.items() if higher)
            raise UserError(
                f"lm-eval:{self._spec}: metric {metric} cannot be maximised per document; add one "
                f"of these after #: {metrics}"
            )
        return metric


def _file(name: str) -> Path | None:
    """The YAML file that a spec names, if it is one."""
    path = user_path(name).resolve()
    if path.suffix in (".yaml", ".yml"):
        return path
    return None


def _load(name: str) -> dict[str, Any]:
    library = optional("lm_eval.tasks", f"lm-eval:{name}")
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    options = {}
    if file := _file(name):
        options = {"include_path": str(file.parent), "include_defaults": False}
    try:
        manager = library.TaskManager(**options)
        named = [key for key, task in manager.task_index.items() if task.yaml_path == file]
        tasks = manager.load(named if file else [name])["tasks"]
    except Exception as error:  # any error from YAML, templates and the hub
        raise UserError(
            f"lm-eval:{name}: {first_line(error)}; check the name, the file and the network"
        ) from error
    if not tasks:
        raise UserError(f"lm-eval:{name}: no such file, or it contains no task or group; check it")
    for task in tasks.values():
        if task.get_config("num_fewshot") is None:  # as the harness does
            task.set_config(key="num_fewshot", value=0)
    return tasks


def _code(name: str) -> list[str]:
    """What else decides a task: the harness, and the files in the task's folder."""
    code = [version("lm_eval")]
    if file := _file(name):
        files = sorted(file.parent.glob("*"))
        code += [path.read_text() for path in files if path.suffix in (".py", ".yaml", ".yml")]
    return code


def _marks(task: Any, documents: Iterable[Mapping[str, Any]]) -> list[Marks]:
    """The words of what each document asks (its options, where they are the question), and its
    fields; typography makes no other question.
    """
    marks = []
    for document in documents:
        asked = task.doc_to_text(document)
        if not isinstance(asked, str) or not asked.strip():
            asked = task.doc_to_choice(document)
        marks.append(("".join(words(str(asked))), repr(sorted(document.items()))))
    return marks


def _harness_model(engine: Engine) -> Any:
    """The engine behind the harness's interface."""
    from lm_eval.api.model import LM
    from lm_eval.models.utils import normalize_gen_kwargs, postprocess_generated_text

    tokenizer = getattr(engine, "tokenizer", None)
    nothing = ""
    if tokenizer is not None:
        nothing = tokenizer.bos_token or tokenizer.eos_token or ""

    def split(context: str, continuation: str) -> tuple[str, str]:
        # White space goes with the following text, and the first token of a text has no context.
        kept = context.rstrip()
        return kept or nothing, context[len(kept) :] + continuation

    class Resident(LM):
        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            values = engine.loglikelihood([split(*request.args) for request in requests])
            return [(value, False) for value in values]  # no supported kind asks what is greedy

        def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
            raise NotImplementedError("perplexity tasks are not supported")

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            replies: list[str] = []
            asked = [(each.args[0], normalize_gen_kwargs(each.args[1])) for each in requests]
            for length, group in groupby(asked, key=lambda each: each[1]["max_gen_toks"]):
                prompts, options = zip(*group, strict=True)
                texts = engine.generate(prompts, max_new_tokens=length)
                stops = [option["until"] for option in options]
                replies += map(postprocess_generated_text, texts, stops, repeat(None))
            return replies

    return Resident()
