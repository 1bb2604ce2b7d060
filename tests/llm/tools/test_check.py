"""check: what is wrong with an adapter is said, each with a remedy, and a healthy one is ok."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import peft
import pytest
import safetensors.torch
import torch
import transformers
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from changed_copies import Edit, edited
from search_helpers import swarm_llm
from torch.utils._python_dispatch import TorchDispatchMode

import pyswarmopt_llm as sl
import pyswarmopt_llm.tools.check as check_module
from pyswarmopt_llm.common.interfaces import LowRank
from pyswarmopt_llm.experts.adapter import AdapterConfig
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.tools.check import (
    AdapterCheck,
    LayerByLayer,
    Meter,
    Numbers,
    check,
    expected_error,
)

Tensors = dict[str, torch.Tensor]
LAYER_0 = "base_model.model.model.layers.0"


def only(adapter: Path, base: Path) -> AdapterCheck:
    """The check of one adapter."""
    (result,) = check([adapter], str(base), "cpu", 1).adapters
    return result


def zero_b(tensors: Tensors) -> None:
    for name in tensors:
        if "lora_B" in name:
            tensors[name].zero_()


def without_q_of_layer_0(tensors: Tensors) -> None:
    for factor in "AB":
        del tensors[f"{LAYER_0}.self_attn.q_proj.lora_{factor}.weight"]


def with_up_of_layer_0(tensors: Tensors) -> None:
    tensors[f"{LAYER_0}.mlp.up_proj.lora_A.weight"] = torch.ones(4, 32)
    tensors[f"{LAYER_0}.mlp.up_proj.lora_B.weight"] = torch.ones(64, 4)


KINDS: dict[str, dict[str, object]] = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "patterns": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"k_proj": 3}},
    "all-linear": {"target_modules": "all-linear"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_healthy_adapter_is_ok(
    kind: str, tiny_base: Path, make_expert: Callable[..., Path]
) -> None:
    result = only(make_expert("ant", 1, **KINDS[kind]), tiny_base)
    assert result.ok and str(result) == "ant: ok"
    numbers = result.numbers
    assert numbers is not None and numbers.zero_from_base == numbers.again == 0
    assert numbers.from_peft <= numbers.rounding < numbers.change / 100
    assert numbers.change == pytest.approx(numbers.peft_change, abs=numbers.rounding)
    assert numbers.bfloat16_kept == pytest.approx(1, abs=0.2)


def enormous(tensors: Tensors) -> None:
    for name in tensors:
        # of queries and keys
        tensors[name] *= 1e21 if "lora_B" in name and "v_proj" not in name else 1


WRONG: dict[str, tuple[Edit, str]] = {
    "zero B": (zero_b, "changes nothing, in PEFT neither; train"),
    "module missing": (
        without_q_of_layer_0,
        ("selects model.layers.0.self_attn.q_proj, which its file lacks: the base's stay there; "
        "export it again"),
    ),
    "extra module": (
        with_up_of_layer_0,
        ("adapts model.layers.0.mlp.up_proj, which its adapter_config.json does not select: "
        "ignored, as in peft; select"),
    ),
    "bias": (lambda tensors: tensors.update({f"{LAYER_0}.self_attn.q_proj.bias": torch.ones(32)}),
             "not a LoRA weight"),
    "enormous": (enormous, "with what is added to it: its log-probabilities in float32 are not"),
    "not finite": (
        lambda tensors: tensors[f"{LAYER_0}.self_attn.q_proj.lora_A.weight"].fill_(torch.nan),
        "train or export"
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said_in_one_line(
    wrong: str,
    tiny_base: Path,
    make_expert: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit, words = WRONG[wrong]
    adapters = [edited(make_expert("ant", 1), edit), make_expert("bee", 2)]
    code, out, _ = swarm_llm(capsys, "check", *adapters, "--base", tiny_base, "--threads", "1")
    first, second = out.splitlines()
    assert code == 1
    assert first.startswith("ant: ") and words in first and second == "bee: ok"


def test_a_wrong_scale_of_our_own_is_found(
    tiny_base: Path, make_expert: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with add_weighted_adapter: alpha / r where it has to be alpha / sqrt(r)."""
    adapter = make_expert("ant", 1, use_rslora=True)
    assert only(adapter, tiny_base).ok
    monkeypatch.setattr(
        AdapterConfig, "scale_of", lambda self, module, rank: self.peft.lora_alpha / rank
    )
    (problem,) = only(adapter, tiny_base).problems
    assert problem.startswith("weight 1 is not the adapter that PEFT loads")


def test_an_adapter_that_our_loading_ignores_is_found(
    tiny_base: Path, make_expert: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = make_expert("ant", 1)
    monkeypatch.setattr(LayerByLayer, "load", lambda self, patch: None)
    problems = only(adapter, tiny_base).problems
    assert problems[0].startswith("is not applied: PEFT's loading changes log-probabilities by ")


def test_another_result_the_second_time_is_found(
    tiny_base: Path, make_expert: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = make_expert("ant", 1)
    calls: list[Path] = []
    whole = Meter.of

    def drifting(self: Meter, changes: Mapping[str, LowRank]) -> torch.Tensor:
        calls.append(adapter)
        return whole(self, changes) + 1e-6 * len(calls)

    monkeypatch.setattr(Meter, "of", drifting)
    found = " ".join(only(adapter, tiny_base).problems)
    assert "weight 0 is not the base" in found and "loaded again it gives another result" in found


def test_changes_that_bfloat16_rounds_away_are_found(
    tiny_base: Path, make_expert: Callable[..., Path]
) -> None:
    def smaller(tensors: Tensors) -> None:
        for name in tensors:
            if "lora_B" in name:
                tensors[name] *= 3e-3

    result = only(edited(make_expert("ant", 1), smaller), tiny_base)
    (problem,) = result.problems
    assert problem.startswith("in bfloat16 ") and "use it in float32" in problem
    assert result.numbers is not None and result.numbers.bfloat16_kept < 0.5


def test_a_failure_of_peft_leaves_the_base_as_it_was(
    tiny_base: Path, tiny_experts: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has wrapped the layers by then."""
    whole = peft.PeftModel.load_adapter

    def failing(self: peft.PeftModel, model_id: Path, *more: object, **options: object) -> object:
        if Path(model_id).name == "ant":
            raise ValueError("no such key\nand more")
        return whole(self, model_id, *more, **options)

    monkeypatch.setattr(peft.PeftModel, "load_adapter", failing)
    ant, bee, cat = check(tiny_experts, str(tiny_base), "cpu", 1).adapters
    assert ant.problems == ("PEFT does not load it (no such key); export it again",)
    assert bee.ok and cat.ok


def test_memory_holds_the_base_as_stored_and_one_layer_in_float32(
    tiny_base: Path, make_expert: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All weights of the models that are alive, whenever one of their linear layers runs."""
    alive: list[weakref.ref[Any]] = []
    peaks: list[int] = []
    load, linear = transformers.AutoModelForCausalLM.from_pretrained, torch.nn.functional.linear

    def loaded(*arguments: Any, **options: Any) -> Any:
        model = load(*arguments, **options)
        alive.append(weakref.ref(model[0] if isinstance(model, tuple) else model))
        return model

    def watched(*arguments: torch.Tensor) -> torch.Tensor:
        models = [model for one in alive if (model := one()) is not None]
        weights = {
            parameter.data_ptr(): parameter.numel() * parameter.element_size()
            for model in models
            for name, parameter in model.named_parameters()
            if "lora_" not in name
        }
        peaks.append(sum(weights.values()))
        return linear(*arguments)

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", loaded)
    monkeypatch.setattr(torch.nn.functional, "linear", watched)
    expert = make_expert("ant", 1, target_modules="all-linear")
    assert only(expert, tiny_base).ok
    tensors = safetensors.torch.load_file(tiny_base / "model.safetensors")
    assert {value.dtype for value in tensors.values()} == {torch.bfloat16}
    stored = sum(2 * value.numel() for value in tensors.values())
    layer = sum(value.numel() for name, value in tensors.items() if ".layers.0." in name)
    head = tensors["model.embed_tokens.weight"].numel()  # tied
    assert stored < max(peaks) <= stored + 2 * max(layer, head)  # two bytes more than before


class Made(TorchDispatchMode):
    """Shapes of the float32 tensors that are computed, those of copies in the same dtype too."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: set[tuple[int, ...]] = set()
        self.copied: set[tuple[int, ...]] = set()

    def __torch_dispatch__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if getattr(out, "dtype", None) == torch.float32:
            self.shapes.add(tuple(out.shape))
            if func is torch.ops.aten.clone.default:
                self.copied.add(tuple(out.shape))
        return out


def test_a_vocabulary_and_second_copies_are_never_in_float32(
    tiny_base: Path, make_expert: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_module, "ROWS", 16)
    expert = make_expert("ant", 1, target_modules="all-linear")
    tensors = safetensors.torch.load_file(tiny_base / "model.safetensors")
    with Made() as made:
        assert only(expert, tiny_base).ok
    changed = {tuple(v.shape) for name, v in tensors.items() if "_proj" in name}
    assert tuple(tensors["model.embed_tokens.weight"].shape) not in made.shapes
    assert changed <= made.shapes and not changed & made.copied


def test_an_adapter_of_the_output_over_the_vocabulary_is_checked_too(
    tiny_base: Path, by_hand: Callable[..., Path], tmp_path: Path
) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_base)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.flip(0))
    untied = tmp_path / "untied"
    model.save_pretrained(untied)
    transformers.AutoTokenizer.from_pretrained(tiny_base).save_pretrained(untied)
    rows, width = model.lm_head.weight.shape
    b, a = [[0.1 * (n % 3)] for n in range(rows)], [[0.1 * (n % 5) for n in range(width)]]
    assert only(by_hand("ant", {"lm_head": (b, a)}), untied).problems == ()


def test_layers_of_a_stored_base_compute_what_the_whole_base_does_in_float32(
    tiny_base: Path, make_expert: Callable[..., Path]
) -> None:
    """One prompt at a time, all weights in float32, by transformers alone."""
    base = resolve_base(str(tiny_base))
    whole = transformers.AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    layers = LayerByLayer(base, "cpu", torch.float32)
    prompts = [layers.chat(prompt) for prompt in ("One word.", "A question of several words?")]
    ids = [torch.tensor([layers._prompts.encode_prompt(prompt)]) for prompt in prompts]
    expected = [whole(row).logits[0, -1].log_softmax(-1) for row in ids]
    torch.testing.assert_close(layers.next_token_logprobs(prompts), torch.stack(expected))


def test_the_ratio_of_rounding_to_4_bits_and_change_is_said(
    tiny_base: Path, make_expert: Callable[..., Path]
) -> None:
    expert = make_expert("ant", 1, rank=2)
    result = only(expert, Path(f"nf4:{tiny_base}"))
    tensors = safetensors.torch.load_file(tiny_base / "model.safetensors")
    change = safetensors.torch.load_file(expert / "adapter_model.safetensors")
    lost = changed = 0.0
    for key in change:
        if "lora_A" in key:
            whole = tensors[key.removeprefix("base_model.model.").replace("lora_A.", "")].float()
            codes, state = quantize_4bit(whole, quant_type="nf4", compress_statistics=True)
            lost += float((whole - dequantize_4bit(codes, state)).norm()) ** 2
            own = 4 * change[key.replace("lora_A", "lora_B")] @ change[key]  # alpha 8 / rank 2
            changed += float(own.norm()) ** 2
    assert result.ok and result.numbers is not None and result.numbers.quantisation is not None
    assert result.numbers.quantisation == pytest.approx((lost / changed) ** 0.5, rel=1e-2)
    assert f"changes its weights {result.numbers.quantisation:.2g} times as much" in str(result)


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_codes_alone_tell_about_how_much_rounding_left_out(kind: str, nested: bool) -> None:
    weights = torch.randn(256, 512, generator=torch.Generator().manual_seed(0)) * 0.3
    codes, state = quantize_4bit(weights, quant_type=kind, compress_statistics=nested)
    lost = float((weights - dequantize_4bit(codes, state)).norm())
    assert expected_error(codes, state) ** 0.5 == pytest.approx(lost, rel=0.1)


def test_a_base_that_was_packed_before_has_a_ratio_too(
    tiny_base: Path, make_expert: Callable[..., Path], tmp_path: Path
) -> None:
    result = only(make_expert("ant", 1), packed_copy(tiny_base, tmp_path / "packed"))
    assert result.numbers is not None and result.numbers.quantisation is not None
    assert 0.01 < result.numbers.quantisation < 10 and "|W - dequant(W4)|" in str(result)


def packed_copy(base: Path, folder: Path) -> Path:
    """The base as bitsandbytes saves it."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        base,
        device_map={"": "cpu"},
        quantization_config=transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True
        ),
    )
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder


def test_json_has_the_numbers(
    tiny_base: Path,
    make_expert: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    adapters = (make_expert("ant", 1), tmp_path / "empty")
    code, out, _ = swarm_llm(capsys, "check", *adapters, "--base", tiny_base, "--json")
    record = json.loads(out)
    assert code == 1
    assert set(record) == {"base", "adapters", "ok"}
    ant, empty = record["adapters"]
    assert set(ant) == set(empty) == {"adapter", "path", "ok", "problems", "warnings", "numbers"}
    assert ant["ok"] and not empty["ok"] and not record["ok"] and empty["numbers"] is None
    assert set(ant["numbers"]) == {field.name for field in fields(Numbers)}


def test_no_adapters_are_refused(tiny_base: Path) -> None:
    with pytest.raises(sl.UserError, match="no adapters given"):
        sl.check([], str(tiny_base))
