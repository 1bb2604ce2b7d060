"""What the engine is compared with: tiny models of several architectures, and the plainest way to
run them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# Sizes that all configs share under these names; large random weights make different prompts
# clearly different.
_SIZE = {
    **{
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "initializer_range": 0.3,
    },
    **{"num_attention_heads": 4, "max_position_embeddings": 512},
}
_GROUPED = {**_SIZE, "num_key_value_heads": 2}
_GEMMA = {**_GROUPED, "head_dim": 8, "query_pre_attn_scalar": 8}
_WINDOW = 12  # shorter than most of the texts in these tests

_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512, "initializer_range": 0.3}
_SHORT = {**_GEMMA, "sliding_window": _WINDOW}

ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", _GROUPED),
    "gpt2": ("GPT2", _GPT2),
    "opt": ("OPT", {**_SIZE, "ffn_dim": 48, "word_embed_proj_dim": 32}),
    "gpt_neox": ("GPTNeoX", _SIZE),
    "qwen2": ("Qwen2", _GROUPED),
    "qwen3": ("Qwen3", {**_GROUPED, "head_dim": 8}),
    "mistral": ("Mistral", {**_GROUPED, "sliding_window": 500}),
    "mistral-short-window": ("Mistral", {**_GROUPED, "sliding_window": _WINDOW}),
    "gemma2": ("Gemma2", {**_GEMMA, "sliding_window": 500, "final_logit_softcapping": 5.0}),
    "gemma2-short-window": ("Gemma2", {**_SHORT, "attn_logit_softcapping": 5.0}),
    "gemma3-short-window": (
        "Gemma3",
        {**_SHORT, "layer_types": ["sliding_attention", "full_attention"]},
    ),
}


def random_model(architecture: str, vocabulary: int) -> Any:
    """A float32 model of that architecture with random weights, ready for inference."""
    import transformers

    name, options = ARCHITECTURES[architecture]
    config_class = getattr(
        transformers, f"{name}TextConfig" if name == "Gemma3" else f"{name}Config"
    )
    ids = {
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
        "pad_token_id": vocabulary - 1,
    }
    config = config_class(vocab_size=vocabulary, **ids, **options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = transformers.AutoModelForCausalLM.from_config(config)
        # Random biases and scales too: what starts as 0 or 1 hides mistakes.
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter.add_(0.1 * torch.randn_like(parameter))
    return model.float().eval()


def load_tiny(base: Path, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """Model and tokenizer of a saved base, straight from transformers."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(
        base, dtype=dtype
    ).eval(), AutoTokenizer.from_pretrained(base)


def tokens_read(model: Any) -> list[int]:
    """A list that gets the number of tokens of each later pass, padding included."""
    read: list[int] = []
    model.get_input_embeddings().register_forward_pre_hook(
        lambda _, inputs: read.append(inputs[0].numel())
    )
    return read


def plain_ids(tokenizer: Any) -> Callable[[str], list[int]]:
    """Text to ids, byte by byte, nothing added: the tokenizer of these tests never merges."""
    return lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]


@torch.no_grad()
def naive_logprobs(model: Any, ids: Sequence[int]) -> Tensor:
    """(T, V) next-token log-probabilities of one sequence: one forward pass, no padding, no cache,
    no mask.
    """
    logits = model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0]
    return logits.double().log_softmax(-1)


def naive_loglikelihood(model: Any, context: Sequence[int], continuation: Sequence[int]) -> float:
    """log P(continuation | context), token by token out of `naive_logprobs`."""
    logprobs = naive_logprobs(model, [*context, *continuation])
    return sum(float(logprobs[len(context) + k - 1, token]) for k, token in enumerate(continuation))


def naive_greedy(model: Any, prompt: Sequence[int], max_new_tokens: int, pad: int) -> list[int]:
    """New ids of transformers' own greedy search on one prompt, the stop token included if there is
    one.
    """
    ids = torch.tensor([list(prompt)])
    out = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        pad_token_id=pad,
    )
    return out[0, len(prompt) :].tolist()


def save_base(out: Path, tiny_base: Path, architecture: str) -> Path:
    """A random model whose tokenizer has a merge; transformers and llama.cpp read no GGUF file
    without one.
    """
    shutil.copytree(tiny_base, out, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    stored = json.loads((out / "tokenizer.json").read_text())
    vocabulary = stored["model"]["vocab"]
    vocabulary["ma"], stored["model"]["merges"] = len(vocabulary), [["m", "a"]]
    for token in stored["added_tokens"]:  # they follow the vocabulary
        token["id"] += 1
    (out / "tokenizer.json").write_text(json.dumps(stored))
    random_model(architecture, len(vocabulary) + len(stored["added_tokens"])).save_pretrained(out)
    return out
