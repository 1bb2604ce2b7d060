"""A merged model as a format holds it: each weight is the rounded sum, and the base comes back."""

from __future__ import annotations

import json
from pathlib import Path

import peft
import pytest
import torch
from changed_copies import changed_copy
from engine_reference import load_tiny
from search_helpers import louder, questions, swarm_llm, write_task

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.added_outputs import AddedOutputs
from pyswarmopt_llm.engine.mixing import PatchedWeights
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.formats import find_format
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks.load import load_task
from pyswarmopt_llm.use.config import EvalConfig
from pyswarmopt_llm.use.evaluate import evaluate, formats_of
from pyswarmopt_llm.use.generate import generate_text

Q = "model.layers.0.self_attn.q_proj.weight"  # (32, 32)
NORM = "model.norm.weight"


def change(seed: int) -> LowRank:
    draw = torch.Generator().manual_seed(seed)
    return LowRank(b=torch.randn(32, 2, generator=draw), a=torch.randn(2, 32, generator=draw) * 0.1)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def expected(
    base: dict[str, torch.Tensor], name: str, model: torch.nn.Module, **sums: LowRank
) -> dict[str, torch.Tensor]:
    """Every weight by itself: added, then rounded."""
    form = find_format(name)
    kinds = form.layout(model)
    found = {}
    for weight, value in base.items():
        total = value.float()
        if weight == Q and sums:
            total = total + sums["q"].dense()
        if weight in kinds:
            total = form.rounded(total, kinds[weight])
        found[weight] = total.to(value.dtype)
    return found


def same(found: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(found[name], other[name]) for name in other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["q4_1", "nf4"])
def test_each_weight_is_the_rounded_sum_in_any_order_of_candidates(
    name: str, dtype: torch.dtype, tiny_base: Path
) -> None:
    model, _ = load_tiny(tiny_base, dtype)
    base = weights(model)
    mixing = PatchedWeights(model)
    form = find_format(name)
    one, two = change(1), change(2)

    mixing.load(Patch({Q: one}, format=form))
    assert same(weights(model), expected(base, name, model, q=one))
    mixing.load(Patch(format=form))
    assert same(weights(model), expected(base, name, model))
    mixing.load(Patch({Q: two}, format=form))
    assert same(weights(model), expected(base, name, model, q=two))
    assert torch.equal(model.get_parameter(NORM), base[NORM])
    mixing.load(Patch(format=find_format("q8_0")))
    assert same(weights(model), expected(base, "q8_0", model))
    mixing.load(Patch())
    assert same(weights(model), base)


def test_weights_that_no_candidate_changes_are_rounded_once(tiny_base: Path) -> None:
    model, _ = load_tiny(tiny_base)
    mixing = PatchedWeights(model)
    form = find_format("q4_0")
    rounded: list[tuple[int, ...]] = []

    class Counting:
        name = form.name
        layout = staticmethod(form.layout)

        @staticmethod
        def rounded(value: torch.Tensor, kind: str) -> torch.Tensor:
            rounded.append(tuple(value.shape))
            return form.rounded(value, kind)

    mixing.load(Patch({Q: change(1)}, format=Counting()))
    assert len(rounded) == len(form.layout(model))
    mixing.load(Patch({Q: change(2)}, format=Counting()))
    assert len(rounded) == len(form.layout(model)) + 1


def test_after_an_interrupted_load_all_weights_are_rounded_again(tiny_base: Path) -> None:
    class Interrupting(dict[str, torch.Tensor]):
        reads = 10_000  # left before Ctrl-C

        def __getitem__(self, name: str) -> torch.Tensor:
            self.reads -= 1
            if self.reads < 0:
                raise KeyboardInterrupt
            return super().__getitem__(name)

    model, _ = load_tiny(tiny_base)
    base = weights(model)
    stored = Interrupting(base)
    mixing = PatchedWeights(model, stored)
    rounded = Patch(format=find_format("q4_0"))
    mixing.load(rounded)
    stored.reads = 1
    with pytest.raises(KeyboardInterrupt):
        mixing.load(Patch())
    stored.reads = 10_000
    mixing.load(rounded)
    assert same(weights(model), expected(base, "q4_0", model))


def test_strength_multiplies_the_change() -> None:
    stale = {Q: torch.zeros(1)}  # of the patch before, so no longer its own
    assert not Patch({Q: change(3)}, rounded=stale).scaled(1.5).rounded
    assert not Patch({Q: change(3)}, rounded=stale).with_low_rank({Q: change(1)}).rounded
    (scaled,) = Patch({Q: change(3)}).scaled(1.5).low_rank.values()
    torch.testing.assert_close(scaled.dense(), 1.5 * change(3).dense())


def test_weights_that_stay_apart_cannot_be_rounded(tiny_base: Path) -> None:
    model, _ = load_tiny(tiny_base)
    with pytest.raises(InvalidOption, match="quantize cannot round their sum"):
        AddedOutputs(model).load(Patch(format=find_format("q4_0")))


# Evaluations


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_task(tmp_path_factory.mktemp("task") / "t.json", questions(6, 1), questions(24, 2))


@pytest.fixture(scope="module")
def loud(tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return louder(tiny_experts[:1], tmp_path_factory.mktemp("loud"))[0]


def merged_by_hand(base: Path, adapter: Path, name: str) -> TransformersEngine:
    """peft's merged model, each matrix rounded."""
    model, tokenizer = load_tiny(base)
    merged = peft.PeftModel.from_pretrained(model, adapter).merge_and_unload()
    form = find_format(name)
    with torch.no_grad():
        for weight, kind in form.layout(merged).items():
            parameter = merged.get_parameter(weight)
            parameter.copy_(form.rounded(parameter, kind))
    return TransformersEngine(merged, tokenizer)


@pytest.mark.parametrize("name", ["q4_0", "nf4"])
def test_eval_scores_the_merged_and_rounded_model(
    name: str, tiny_base: Path, loud: Path, task: Path
) -> None:
    how = {"scoring": "likelihood", "dtype": "float32", "threads": 1}
    config = EvalConfig(str(tiny_base), str(task), str(loud), quantize=name, **how)
    found = evaluate(config).score

    items = load_task(str(task)).test
    engine = merged_by_hand(tiny_base, loud, name)
    expected = Accuracy(items, "likelihood", engine.chat, None)(engine)
    assert found.per_item == expected.per_item
    torch.testing.assert_close(torch.tensor(found.margins), torch.tensor(expected.margins))


def test_a_model_against_itself_shows_what_its_format_costs(
    tiny_base: Path, loud: Path, task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["eval", "--base", tiny_base, "--task", task, "--adapter", loud, "--dtype", "float32"]
    words += ["--scoring", "likelihood", "--threads", 1, "--json", "--quiet"]
    plain = json.loads(swarm_llm(capsys, *words)[1])
    rounded = json.loads(swarm_llm(capsys, *words, "--quantize", "q4_0")[1])
    both = json.loads(swarm_llm(capsys, *words, "--quantize", "q4_0", "--against", loud)[1])
    assert both["value"] == rounded["value"] and both["against"]["value"] == plain["value"]
    difference = rounded["value"] - plain["value"]
    assert both["paired"]["difference"] == pytest.approx(difference)


def test_another_model_is_rounded_too(tiny_base: Path, loud: Path, task: Path) -> None:
    config = EvalConfig(str(tiny_base), str(task), str(loud), quantize="q4_0")
    models = [(str(tiny_base), str(loud)), (str(tiny_base), None), (str(tiny_base), str(loud))]
    assert formats_of(config, models) == ["q4_0", "q4_0", None]


def test_generate_answers_as_the_rounded_model(tiny_base: Path, loud: Path) -> None:
    where = {"dtype": "float32", "threads": 1}
    found = generate_text(str(tiny_base), str(loud), "Why?", 12, quantize="q4_0", **where)
    engine = merged_by_hand(tiny_base, loud, "q4_0")
    assert found == engine.generate([engine.chat("Why?")], 12)[0].strip()


def test_a_base_that_is_packed_already_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    packed = changed_copy(tiny_base, tmp_path / "p", quantization_config={"quant_method": "gptq"})
    with pytest.raises(UserError, match=r"quantised weights \(gptq\) cannot be changed"):
        generate_text(str(packed), None, "Why?", quantize="q4_0")
