"""Whatever transformers loads is scored, written and trained: tiny random models of many
architectures against `model(...)`, row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_reference import load_tiny, naive_loglikelihood, plain_ids
from torch import Tensor

from pyswarmopt_llm.engine.generation import write
from pyswarmopt_llm.engine.plain import PlainPasses
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.scores.choices import Choices
from pyswarmopt_llm.searching.training.trainer import Lora, choice_losses, training

SIZE = {
    **{
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "initializer_range": 0.3,
    },
    **{"num_attention_heads": 4, "max_position_embeddings": 256},
}
GROUPED = {**SIZE, "num_key_value_heads": 2, "head_dim": 8}
EXPERTS = {**GROUPED, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "num_experts": 4}
LINEAR = {
    **{"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8},
    **{"linear_value_head_dim": 8, "layer_types": ["linear_attention", "full_attention"]},
}
STATE = {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8, "initializer_range": 0.3}
SHORT = 8  # tokens of a window or chunk: shorter than the texts

SLIDING = {**GROUPED, "sliding_window": SHORT}
KINDS = {"layer_types": ["sliding_attention", "full_attention"]}
GRIFFIN = {"num_hidden_layers": 3, "lru_width": 32, "attention_window_size": SHORT}
CHUNKED = {"attention_chunk_size": SHORT, "num_local_experts": 4, "intermediate_size_mlp": 48}
NANO = {"hidden_size_per_layer_input": 8, "laurel_rank": 4, "num_kv_shared_layers": 0}

# model_type -> settings; the first of each pair of lists cannot be planned.
PLAIN = {
    "qwen3_next": {**EXPERTS, **LINEAR},
    "qwen3_5_text": {**GROUPED, **LINEAR},
    "minimax": {**GROUPED, "num_local_experts": 4, "layer_types": LINEAR["layer_types"]},
    "mamba": STATE,
    "falcon_mamba": STATE,
    "recurrent_gemma": {**GROUPED, **GRIFFIN},
    "rwkv": {"hidden_size": 32, "attention_hidden_size": 32, "num_hidden_layers": 2},
    "llama4_text": {**GROUPED, **CHUNKED},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3},
}
PLANNED = {
    "llama": GROUPED,
    "qwen2": {**GROUPED},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "initializer_range": 0.3},
    "gemma2": SLIDING,
    "gemma3_text": {**SLIDING, **KINDS},
    "gemma3n_text": {**SLIDING, **NANO, **KINDS},
    "phi3": {**SIZE, "num_key_value_heads": 2},
    "mistral": SLIDING,
    "mixtral": {**GROUPED, "num_local_experts": 4},
    "qwen3_moe": EXPERTS,
    "gpt_oss": {**SLIDING, "num_local_experts": 4},
}
PAIRS = [
    ("The answer to this question is", " yes"),
    ("The answer to this question is", " no"),
    ("The answer to this question is", " nobody knows"),
    ("The answer, of course", " is"),
    ("The", "re we are again"),
]
PROMPTS = ["b", "The answer is", "The answer, and more of it", "xyz"]
NEW = 5


def tiny_of(kind: str, vocabulary: int) -> Any:
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    options: dict[str, Any] = {**PLAIN, **PLANNED}[kind]
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
    model.generation_config.eos_token_id = None
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


every = pytest.mark.parametrize("engine", [*PLAIN, *PLANNED], indirect=True)


@every
def test_scores_and_replies_are_those_of_the_model_row_by_row(engine: TransformersEngine) -> None:
    encode = plain_ids(engine.tokenizer)
    expected = [naive_loglikelihood(engine.model, encode(a), encode(b)) for a, b in PAIRS]
    assert engine.loglikelihood(PAIRS) == pytest.approx(expected, abs=1e-4)
    assert max(expected) - min(expected) > 1
    prompts = [encode(prompt) for prompt in PROMPTS]
    new = write(engine.decoder(prompts, NEW), len(prompts), frozenset(), NEW)
    assert new == [read_whole(engine.model, ids) for ids in prompts]
    # A text that ends does not disturb the others.
    stop = new[1][1]
    stopped = write(engine.decoder(prompts, NEW), len(prompts), frozenset([stop]), NEW)
    assert stopped == [ids[: ids.index(stop)] if stop in ids else ids for ids in new]


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
def test_it_is_said_once_that_nothing_is_shared(engine: TransformersEngine) -> None:
    planned = engine.model.config.model_type == "llama"
    assert isinstance(engine.passes, PlainPasses) != planned
    assert ("slower" in engine.notes.get("batches", "")) != planned
