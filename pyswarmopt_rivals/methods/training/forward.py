"""Forward passes of the resident model, for methods that need activations, gradients or entropies."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from pyswarmopt_llm.models.adapters.adapter import Adapter
from pyswarmopt_rivals.methods.method import Trial

Found = TypeVar("Found")

BATCH = 8  # texts at once


@dataclass(frozen=True)
class TokenBatch:
    """Texts padded on the right: ids and mask (1 on tokens, 0 on padding), (N, T) int64 each."""

    ids: Tensor
    mask: Tensor


def token_batches(
    tokenizer: Any, texts: Sequence[str], device: torch.device, size: int = BATCH
) -> Iterator[TokenBatch]:
    """The texts in their order, `size` at a time; a chat template has written the special tokens already."""
    plain = tokenizer.chat_template is None
    for start in range(0, len(texts), size):
        rows = [tokenizer(text, add_special_tokens=plain)["input_ids"] for text in texts[start : start + size]]
        width = max(map(len, rows))
        ids = torch.tensor([[*row, *[tokenizer.pad_token_id] * (width - len(row))] for row in rows], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
        yield TokenBatch(ids, mask)


def answer_logits(model: Any, batch: TokenBatch, parameters: dict[str, Tensor] | None = None) -> Tensor:
    """Logits of the token after each text, (N, V) float32; `parameters` (name -> value) replace the model's own."""
    inputs = {"input_ids": batch.ids, "attention_mask": batch.mask, "use_cache": False}
    out = torch.func.functional_call(model, parameters or {}, (), inputs)
    last = batch.mask.sum(1) - 1
    return out.logits[torch.arange(len(batch.ids), device=batch.ids.device), last].float()


def over_prompts(
    trial: Trial, experts: Sequence[Adapter], passes: float, look: Callable[[Adapter, Sequence[str]], Found]
) -> list[Found]:
    """Give each expert an equal share of the budget and look at as many of its prompts as that pays for.

    `passes` is the number of forward passes that a prompt takes; what an expert takes is rounded up.
    """
    budget, results = trial.items_left // len(experts), []
    for expert in experts:
        prompts = trial.prompts(expert.info.name)[: int(budget / passes)]
        trial.spend(math.ceil(passes * len(prompts)))
        results.append(look(expert, prompts))
    return results
