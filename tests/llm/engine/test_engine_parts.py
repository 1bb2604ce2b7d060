"""Parts of the engine: memory that runs out, log-probabilities that are no numbers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from changed_copies import changed_copy, stopped_copy
from engine_reference import load_tiny
from search_helpers import (
    DEFAULT,
    ends_as,
    history,
    louder,
    questions,
    small,
    swarm_llm,
    write_task,
)
from torch import Tensor

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.errors import UndefinedModelError, UserError
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.mix.delta import DeltaSpace

PROMPTS = [f"Say {'very ' * k}well:" for k in range(7)]
SIZES = [2048, 1024, 512, 256, 128, 64, 32, 16, 8]
PAIRS = [(prompt, answer) for prompt in PROMPTS for answer in (" yes", " no", " yes, sir")]


@pytest.fixture(scope="module")
def tiny(tiny_base: Path) -> tuple[Any, Any]:
    return load_tiny(tiny_base, torch.bfloat16)


def test_progress_counts_texts_batch_by_batch(tiny: tuple[Any, Any]) -> None:
    engine = TransformersEngine(*tiny, batch_tokens=120)
    told: list[tuple[int, int]] = []
    engine.progress = lambda done, texts: told.append((done, texts))
    silent = TransformersEngine(*tiny, batch_tokens=120)
    assert engine.loglikelihood(PAIRS) == silent.loglikelihood(PAIRS)
    done = [number for number, _ in told]
    assert len(done) > 2 and done == sorted(set(done)) and done[-1] == len(PAIRS) == told[0][1]
    told.clear()
    engine.batch_tokens = 1
    engine.generate(PROMPTS, 5)
    done = [number for number, _ in told]
    assert len(done) > 2 and done == sorted(set(done)) and told[-1] == (len(PROMPTS),) * 2


# Memory


class Short:
    """A model that runs out of memory above so many rows."""

    def __init__(self, model: Any, rows: int, error: Exception) -> None:
        self._model, self._rows, self._error = model, rows, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, input_ids: torch.Tensor, **more: Any) -> Any:
        if len(input_ids) > self._rows:
            raise self._error
        return self._model(input_ids=input_ids, **more)


CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
CPU = RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory")
# Both were seen on an H100 that other processes had filled.
DRIVER = torch.AcceleratorError("CUDA error: out of memory")
CUBLAS = RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


@pytest.mark.parametrize("error", [CUDA, DRIVER, CUBLAS, CPU, MemoryError()])
def test_out_of_memory_halves_the_batch_and_says_so_once(
    error: Exception, tiny_base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, tokenizer = load_tiny(tiny_base)
    plenty = TransformersEngine(model, tokenizer, batch_tokens=4096)
    expected, texts = plenty.loglikelihood(PAIRS), plenty.generate(PROMPTS, 4)
    engine = TransformersEngine(Short(model, 2, error), tokenizer, batch_tokens=4096)
    with caplog.at_level(logging.WARNING):
        assert engine.loglikelihood(PAIRS) == pytest.approx(expected, abs=1e-4)
        assert engine.generate(PROMPTS, 4) == texts
    said = [record.message.partition(",")[0] for record in caplog.records]
    assert said == [f"out of memory; continuing with {tokens} tokens per batch" for tokens in SIZES]
    assert engine.batch_tokens == SIZES[-1]


def test_an_item_that_does_not_fit_by_itself_is_one_clear_line(tiny_base: Path) -> None:
    model, tokenizer = load_tiny(tiny_base)
    engine = TransformersEngine(Short(model, 0, CUDA), tokenizer)
    with pytest.raises(UserError, match="out of memory"):
        engine.loglikelihood(PAIRS)
    with pytest.raises(UserError, match="out of memory"):
        engine.generate(PROMPTS, 4)
    other = TransformersEngine(Short(model, 0, RuntimeError("shapes differ")), tokenizer)
    with pytest.raises(RuntimeError, match="shapes differ"):
        other.loglikelihood(PAIRS)


NORM = "model.norm.weight"


@pytest.fixture(scope="module")
def bases(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One with a damaged weight, and one whose logits are beyond float16."""
    folder = tmp_path_factory.mktemp("undefined")
    values = {"damaged": torch.nan, "large": 1e7}
    return {
        name: changed_copy(tiny_base, folder / name, lambda t, v=value: t[NORM][3:4].fill_(v))
        for name, value in values.items()
    }


COMMANDS = {
    "eval": "eval --base {base} --task {task} --threads 1",
    "search": "search --base {base} --experts {experts} --task {task} --out {out} --threads 1",
    "paper": "search --paper --base {base} --experts {experts} --task {task} --out {out} "
    "--particles 4 --threads 1",
    "generate": "generate Where --base {base}",
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("kind", ["damaged", "large"])
def test_a_base_without_numbers_is_one_line(
    bases: dict[str, Path],
    tiny_experts: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    kind: str,
) -> None:
    task = write_task(tmp_path / "words.json", questions(40, 1), questions(8, 2))
    dtype, remedy = {
        "damaged": ("float32", "use other weights"),
        "large": ("float16", "set --dtype to float32, or use other weights"),
    }[kind]
    stated = {"base_model_name_or_path": str(bases[kind])}
    experts = [changed_copy(path, tmp_path / "e" / path.name, **stated) for path in tiny_experts]
    said = f"not finite in {dtype}; the weights are damaged or too large; {remedy}"
    words = [
        part
        for word in f"{COMMANDS[name]} --dtype {dtype}".split()
        for part in (map(str, experts) if word == "{experts}" else [word])
    ]
    known = {"base": bases[kind], "task": task, "out": tmp_path / "run"}
    code, out, err = swarm_llm(capsys, *(word.format(**known) for word in words))
    last = err.splitlines()[-1]
    assert (code, out) == (2, "") and str(bases[kind]) in last and said in last, err


def test_a_step_of_a_reply_that_overflows_is_refused(tiny_base: Path) -> None:
    """The prompt is read well, and a later token is not."""
    model, tokenizer = load_tiny(tiny_base)
    engine = TransformersEngine(model, tokenizer)

    def overflow(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        alone = inputs[0].shape[1] == 1 and inputs[0].shape[0] == 2  # a step of both rows
        return output * torch.inf if alone else output

    model.lm_head.register_forward_hook(overflow)
    with pytest.raises(UndefinedModelError):
        engine.generate(["Which one?", "Where"], 6)


@pytest.mark.parametrize("default", [False, True])
def test_a_candidate_without_numbers_counts_as_the_worst_and_a_note_says_so(
    tiny_base: Path,
    tiny_experts: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    default: bool,
) -> None:
    """A run that is stopped after it ends as the whole one, with the same note."""
    plain = DeltaSpace.realise
    overflown: set[tuple[float, ...]] = set()

    def realise(space: DeltaSpace, position: Tensor) -> Patch:
        patch = plain(space, position)
        place = tuple(position.tolist())
        if position.count_nonzero() < 3 or int(1e6 * position.abs().sum()) % 3:
            return patch  # the experts, the base, and two thirds of the others
        overflown.add(tuple(round(x, 9) for x in place))
        change = LowRank(b=torch.full((32, 1), torch.nan), a=torch.ones(1, 32))
        return patch.with_low_rank({"model.layers.0.self_attn.q_proj.weight": change})

    monkeypatch.setattr(DeltaSpace, "realise", realise)
    task = write_task(tmp_path / "words.json", questions(24, 1), questions(8, 2))
    loud = louder(tiny_experts, tmp_path / "loud")
    run = tmp_path / "run"
    more = {**DEFAULT, "particles": None, "max_iter": None} if default else {}
    settings = {**more, "space": "delta", "train": "off"}
    search(small(tiny_base, loud, [task], run, **settings))
    rows = history(run)
    undefined = [
        row for row in rows if tuple(round(x, 9) for x in row["coefficients"]) in overflown
    ]
    assert len(undefined) > 1 and "counts as the worst" in caplog.text
    for row in undefined:
        before = rows[: rows.index(row)]
        same = [other["value"] for other in before if other["phase"] == row["phase"]]
        assert row["value"] == min(same)
    stopped = stopped_copy(run, tmp_path / "stopped", rows=len(rows) // 2)
    resume(stopped)
    ends_as(stopped, run)
