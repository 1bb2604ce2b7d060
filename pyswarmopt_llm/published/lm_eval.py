"""Tasks of EleutherAI's lm-evaluation-harness, run by the harness on our loaded engine."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stderr
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pyswarmopt_llm.common.errors import UserError, first_line
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.files.regular import digest, digests, user_path
from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.tasks.types import DEV, TEST
from pyswarmopt_llm.scores.words import words

_KINDS = ("multiple_choice", "generate_until")


class LmEvalTask:
    """A harness task as an objective: its prompts (without chat template), filters and metric.

    If the task has validation and test documents, dev uses the validation documents. A single split is divided,
    with at most a third for dev. A question is used only in dev, only in test or only in few-shot
    examples, however often it is asked.

    Args:
        spec: name of a task, or its YAML file, followed by ``#METRIC`` (default: the task's first).
        dev: maximum number of dev documents (200).
        test: maximum number of test documents (1,000).

    Raises:
        UserError: the harness is not installed, or the task is unknown or of an unsupported kind.
    """

    def __init__(self, spec: str, dev: int | None = None, test: int | None = None) -> None:
        name, _, self._metric = spec.partition("#")
        self._where = f"lm-eval:{spec}"
        self.name, held_out = _load(name)
        self._tasks = {"test": held_out, "dev": _load(name)[1]}
        if held_out.OUTPUT_TYPE not in _KINDS:
            kinds = f"{held_out.OUTPUT_TYPE}; supported types: {' and '.join(_KINDS)}"
            raise UserError(f"{self._where} has output type {kinds}")
        self._documents: dict[str, list[int]] = {}
        asked = self._divide(dev or DEV, test or TEST)
        self.fingerprint = digest([spec, _code(name), self._documents, asked])

    def _divide(self, dev: int, test: int) -> list[str]:
        """Draw the documents; returns what they and the few-shot examples ask."""
        held_out = self._tasks["test"]
        searched = self._tasks["dev"]
        asked = _asked(held_out, held_out.eval_docs)
        of_dev = asked
        if held_out.has_test_docs() and held_out.has_validation_docs():
            # the harness then uses the validation documents
            searched.set_config(key="test_split", value=None)
            of_dev = _asked(searched, searched.eval_docs)
        else:
            dev = max(1, min(dev, len(asked) // 3))
            test = min(test, len(asked) - dev)
        used: list[str] = []
        if held_out.get_config("num_fewshot"):
            used = _asked(held_out, held_out.sampler.df)
        for split, documents, most in (("test", asked, test), ("dev", of_dev, dev)):
            free = [index for index, each in enumerate(documents) if each not in used]
            # in random order
            drawn = sorted(free, key=lambda index: digest(documents[index]))[:most]
            if not drawn:
                why = "too few documents that are not few-shot examples; use a larger task, or one"
                raise UserError(f"{self._where} has {why} with a fewshot_split or num_fewshot: 0")
            self._documents[split] = drawn
            used += [documents[index] for index in drawn]
        return used

    def __call__(self, engine: Engine, split: str = "dev") -> Score:
        """The metric over all documents of a split."""
        from lm_eval import evaluator

        task = self._tasks[split]
        task.set_fewshot_seed(seed=1234)  # the same examples for every candidate
        with redirect_stderr(io.StringIO()):  # a progress bar
            results = evaluator.evaluate(
                _harness_model(engine),
                {"tasks": {self.name: task}, "groups": {}, "group_map": {}},
                samples={self.name: self._documents[split]},
                bootstrap_iters=0,
            )
        samples = results["samples"][self.name]
        first = samples[0]
        metric = self._metric_of(task, first)
        return score_of([each[metric] for each in samples if each["filter"] == first["filter"]])

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
                f"{self._where}: metric {metric} cannot be maximised per document; add one "
                f"of these after #: {metrics}"
            )
        return metric


def _file(name: str) -> Path | None:
    """The YAML file that a spec names, if it is one."""
    path = user_path(name).resolve()
    return path if path.suffix in (".yaml", ".yml") else None


def _load(name: str) -> tuple[str, Any]:
    """The name of a task, and the task."""
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
        raise UserError(f"lm-eval:{name}: no such file, or it contains no task; check it")
    (key, task), *others = tasks.items()
    if others:
        raise UserError(f"lm-eval:{name} is a group; use its tasks, such as lm-eval:{key}")
    if task.get_config("num_fewshot") is None:  # as the harness does
        task.set_config(key="num_fewshot", value=0)
    return key, task


def _code(name: str) -> list[Any]:
    """What else decides a task: the harness, and the files in the task's folder."""
    file = _file(name)
    return [version("lm_eval"), file and digests(file.parent)]


def _asked(task: Any, documents: Iterable[Mapping[str, Any]]) -> list[str]:
    """The words of what each document asks (its options, where they are the question); typography
    makes no other question.
    """
    found = []
    for document in documents:
        text = task.doc_to_text(document)
        if not isinstance(text, str) or not text.strip():
            text = task.doc_to_choice(document)
        found.append("".join(words(str(text))))
    return found


def _harness_model(engine: Engine) -> Any:
    """The engine behind the harness's interface."""
    from lm_eval.api.model import LM
    from lm_eval.models.utils import normalize_gen_kwargs, postprocess_generated_text

    tokenizer = getattr(engine, "tokenizer", None)
    nothing = ""
    if tokenizer is not None:
        nothing = tokenizer.bos_token or tokenizer.eos_token or ""
    verbatim = getattr(engine, "verbatim", str)

    def split(context: str, continuation: str) -> tuple[str, str]:
        # White space goes with the following text, and the first token of a text has no context.
        kept = context.rstrip()
        return verbatim(kept or nothing), context[len(kept) :] + continuation

    class Resident(LM):
        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            values = engine.loglikelihood([split(*request.args) for request in requests])
            return [(value, False) for value in values]  # no supported kind asks what is greedy

        def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
            raise NotImplementedError("perplexity tasks are not supported")

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            how = normalize_gen_kwargs(requests[0].args[1])  # the task's, for all documents
            prompts = [verbatim(request.args[0]) for request in requests]
            texts = engine.generate(prompts, max_new_tokens=how["max_gen_toks"])
            return [postprocess_generated_text(text, how["until"], None) for text in texts]

    return Resident()
