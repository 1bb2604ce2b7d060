"""Tasks of EleutherAI's lm-evaluation-harness, run by the harness on our loaded engine."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import io
import json
import logging
import random
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyswarmopt.base.words import without_addresses
from pyswarmopt_llm.common.errors import UserError, first_line
from pyswarmopt_llm.common.extras import optional
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Engine, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.scores.tasks.types import DEV, TEST

_KINDS = ("multiple_choice", "generate_until")


class LmEvalTask:
    """A harness task as an objective: its prompts (without chat template), filters and metric.

    If a task has validation and test documents, the former are dev. A single split is divided by a
    fixed shuffle, with at most a third for dev. Few-shot examples are never documents that are
    scored; where the task has no others, some are set aside for them.

    Args:
        spec: name of a task or group, or a task's YAML file, followed by ``#METRIC`` (default: the
            task's first).
        dev: maximum number of dev documents of each task (200).
        test: maximum number of test documents of each task (1,000).

    Raises:
        UserError: the harness is not installed, or the task is unknown or of an unsupported kind.
    """

    def __init__(self, spec: str, dev: int | None = None, test: int | None = None) -> None:
        name, _, self._metric = spec.partition("#")
        self._spec = spec
        held_out = self._load(name)
        searched = self._load(name)
        self.name = next(iter(held_out)) if len(held_out) == 1 else Path(name).stem
        self._tasks = {"dev": searched, "test": held_out}
        self._documents: dict[str, dict[str, list[int]]] = {"dev": {}, "test": {}}
        two = all(t.has_test_docs() and t.has_validation_docs() for t in held_out.values())
        for key, task in held_out.items():
            if task.OUTPUT_TYPE not in _KINDS:
                kind = f"is a task of {task.OUTPUT_TYPE}; supported: {' and '.join(_KINDS)}"
                raise UserError(f"lm-eval:{spec}: {kind}")
            if two:  # the harness then uses the validation documents
                searched[key].set_config(key="test_split", value=None)
            self._divide(task, searched[key], key, two, dev or DEV, test or TEST)
        self.fingerprint = self._digest()

    def _divide(self, task: Any, other: Any, key: str, two: bool, dev: int, test: int) -> None:
        """Draw test documents from one task and dev documents from the other (from the same split,
        unless there are two), and take both from the few-shot examples.
        """
        asked = _asked(task)
        of_dev = _asked(other) if two else asked
        aside = _set_aside(task, asked + of_dev)
        order = _shuffled(asked, aside)
        if two:
            held_out = order[:test]
            searched = _shuffled(of_dev, aside)[:dev]
        else:
            dev = max(1, min(dev, len(order) // 3))
            held_out = order[dev : dev + test]
            searched = order[:dev]
        if not (held_out and searched):
            examples = f", {len(aside)} of them few-shot examples" if aside else ""
            raise UserError(
                f"lm-eval:{self._spec}: {len(asked)} documents{examples} cannot be divided into dev and "
                "test; use a task with more documents"
            )
        self._documents["test"][key] = sorted(held_out)
        self._documents["dev"][key] = sorted(searched)
        scored = {asked[index] for index in held_out} | {of_dev[index] for index in searched}
        for each in (task, other):
            if each.get_config("num_fewshot"):
                documents = each.sampler.df
                shown = [doc for doc in documents if repr(each.doc_to_text(doc)) not in scored]
                each.sampler.replace_df(shown)

    def _digest(self) -> str:
        """The digest of the tasks' configurations and code, and of the drawn documents."""
        dumped = {key: task.dump_config() for key, task in self._tasks["test"].items()}
        configs = {key: without_addresses(repr(config)) for key, config in dumped.items()}
        parts = [self._spec, self._documents, configs, *_sources(dumped)]
        described = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(described.encode()).hexdigest()

    def __call__(self, engine: Engine, split: str = "dev") -> Score:
        """The metric over all documents of a split; for a group, of all its tasks."""
        from lm_eval import evaluator

        for task in self._tasks[split].values():
            task.set_fewshot_seed(seed=1234)  # the same examples for every candidate
        with _quiet():
            results: Any = evaluator.evaluate(
                _harness_model(engine),
                {"tasks": self._tasks[split], "groups": {}, "group_map": {}},
                samples=self._documents[split],
                bootstrap_iters=0,
            )
        values: list[float] = []
        for key, task in self._tasks[split].items():
            samples = results["samples"][key]
            metric = self._metric_of(task, samples[0])
            first = samples[0]["filter"]
            values += [float(each[metric]) for each in samples if each["filter"] == first]
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
                f"lm-eval:{self._spec}: no metric {metric} to maximise document by document; name "
                f"one behind #: {metrics}"
            )
        return metric

    def _load(self, name: str) -> dict[str, Any]:
        library = optional("lm_eval.tasks", f"lm-eval:{name}")
        file = user_path(name)
        is_file = file.suffix in (".yaml", ".yml")
        if is_file and not file.is_file():
            raise UserError(f"lm-eval:{name}: no such file; give a task's YAML file or its name")
        try:
            with _quiet():
                folder = str(file.parent.resolve()) if is_file else None
                manager = library.TaskManager(include_path=folder, include_defaults=not is_file)
                tasks = dict(manager.load([_task_name(file) if is_file else name])["tasks"])
                for task in tasks.values():
                    if task.get_config("num_fewshot") is None:  # as the harness does
                        task.set_config(key="num_fewshot", value=0)
        except UserError:
            raise
        except Exception as error:  # any error from YAML, templates and the hub
            raise UserError(
                f"lm-eval:{name}: {first_line(error)}; check the name, the file and the network"
            ) from error
        return tasks


def _asked(task: Any) -> list[str]:
    """What each document of a task's split asks."""
    return [repr(task.doc_to_text(document)) for document in task.eval_docs]


def _set_aside(task: Any, asked: Sequence[str]) -> set[str]:
    """The questions to keep for few-shot examples, where too few others can be shown."""
    shots = task.get_config("num_fewshot")
    if not shots:
        return set()
    pool = list(dict.fromkeys(repr(task.doc_to_text(document)) for document in task.sampler.df))
    if len(set(pool) - set(asked)) > shots:
        return set()
    # the harness draws one more than it shows
    return set(random.Random(1).sample(pool, min(shots + 1, len(pool))))


def _shuffled(asked: Sequence[str], aside: Collection[str]) -> list[int]:
    """The indices of what is not set aside, in a fixed random order."""
    indices = [index for index, text in enumerate(asked) if text not in aside]
    return random.Random(0).sample(indices, len(indices))


def _sources(value: Any) -> Iterator[str]:
    """The source of each function in nested values; the harness dumps only the outer ones."""
    if callable(value):
        try:
            yield inspect.getsource(value)
        except (TypeError, OSError):  # a partial, or without a file
            yield without_addresses(repr(value))
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _sources(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _sources(part)


def _task_name(file: Path) -> str:
    # Not with a YAML parser: the harness's files have tags (!function) that only it knows.
    match = re.search(
        r"^task:\s*[\"']?([^\s\"'#]+)", file.read_text(encoding="utf-8"), re.MULTILINE
    )
    if match is None:
        raise UserError(f"{file}: names no task; add a line task: NAME")
    return match.group(1)


def _harness_model(engine: Engine) -> Any:
    """The engine behind the harness's interface."""
    from lm_eval.api.model import LM

    tokenizer = getattr(engine, "tokenizer", None)
    nothing = "" if tokenizer is None else tokenizer.bos_token or tokenizer.eos_token or ""

    def split(context: str, continuation: str) -> tuple[str, str]:
        # White space goes with the following text, and the first token of a text has no context.
        kept = context.rstrip()
        return kept or nothing, context[len(kept) :] + continuation

    class Resident(LM):
        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            # Whether the continuation is greedy is irrelevant for the supported kinds.
            return [
                (value, False)
                for value in engine.loglikelihood([split(*request.args) for request in requests])
            ]

        def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
            raise NotImplementedError("perplexity tasks are refused")

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            lengths = [int(request.args[1].get("max_gen_toks", 256)) for request in requests]
            replies = [""] * len(requests)
            for length in set(lengths):
                chosen = [k for k, own in enumerate(lengths) if own == length]
                prompts = [requests[k].args[0] for k in chosen]
                texts = engine.generate(prompts, max_new_tokens=length)
                for k, text in zip(chosen, texts, strict=True):
                    replies[k] = _cut(text, requests[k].args[1].get("until") or [])
            return replies

    return Resident()


def _cut(text: str, stops: str | Sequence[str]) -> str:
    """`text` up to the first stop string in it."""
    for stop in [stops] if isinstance(stops, str) else stops:
        if stop:
            text = text.split(stop, 1)[0]
    return text


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the harness's progress bars and warnings, which would disturb our display."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
