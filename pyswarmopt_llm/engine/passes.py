"""Forward passes of planned batches: inputs with or without padding, shared prefix, logits where
they are needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache

from pyswarmopt_llm.common.errors import UndefinedModelError
from pyswarmopt_llm.common.registry import lazy
from pyswarmopt_llm.engine.attention import (
    PrefixCache,
    attention_mask,
    attention_windows,
    on_device,
)
from pyswarmopt_llm.engine.batching import Batch, Plan, TokenPair, build_plan
from pyswarmopt_llm.engine.packed_attention import NAME as PACKED
from pyswarmopt_llm.engine.packed_attention import Packing, products_win

# what writes with these passes
planned_decoder = lazy("pyswarmopt_llm.engine.generation.decoder:Decoder")
plain_passes = lazy("pyswarmopt_llm.engine.plain:PlainPasses")

# Positions normalised at once: their float32 logits stay in the cache of a CPU (four times faster),
# small on a GPU.
_HEAD_ROWS, _HEAD_ROWS_OF_CPU = 1024, 16


def passes_of(model: Any) -> Passes:
    """The forward passes of a model: planned ones where its architecture takes them."""
    if attention_windows(model) is not None:
        return Passes(model)
    passes: Passes = plain_passes(model)
    return passes


def undefined(name: str, dtype: torch.dtype) -> UndefinedModelError:
    """The error of a model of this name whose log-probabilities are not numbers."""
    remedy = "its weights are damaged, or too large: export it again"
    if dtype == torch.float16:
        remedy = "choose `dtype` float32 or bfloat16"
    shown = str(dtype).removeprefix("torch.")
    return UndefinedModelError(
        f"{name}: its log-probabilities in {shown} are not numbers; {remedy}"
    )


class Passes:
    """The forward passes of a model over planned batches (see `batching`).

    Args:
        model: a transformers causal LM; its weights may change between passes.

    Attributes:
        model: as given.
        name: of the model with what was added to it, for error messages.
        windows: from `attention_windows`; empty where batches are not planned.
        note: what to know of them; "" for nothing.
    """

    note = ""

    def __init__(self, model: Any) -> None:
        self.model, self.name = model, "the base"
        self.windows = attention_windows(model) or {}

    def plan(self, pairs: Sequence[TokenPair], batch_tokens: int, pad: int) -> Plan:
        """The batches of pairs; see `build_plan`."""
        return build_plan(pairs, batch_tokens, pad)

    def decoder(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, batch_tokens: int, pad: int
    ) -> Any:
        """A `generation.decoder.Decoder` of prompts, given as token ids."""
        return planned_decoder(self, prompts, max_new_tokens, batch_tokens, pad)

    def prefix(self, ids: Sequence[int]) -> PrefixCache | None:
        """Keys and values of token ids; their graph is kept where gradients are enabled. None for
        no ids.
        """
        if not ids:
            return None
        # Without the config, the cache keeps the whole prefix in layers with a sliding window, too.
        cache = DynamicCache()
        inputs = torch.tensor([list(ids)], device=self.model.device)
        self.model.base_model(input_ids=inputs, past_key_values=cache, use_cache=True)
        return PrefixCache(cache)

    def logits(self, batch: Batch, n_prefix: int, cache: Cache | None) -> Tensor:
        """The logits at a batch's heads, (M, V), in the model's dtype.

        Args:
            batch: of a plan.
            n_prefix: length of the plan's prefix.
            cache: its keys and values; None if it is empty.
        """
        heads, inputs = self.inputs(batch, n_prefix)
        with self.vocabulary_only_at(heads):
            output = self.model(**inputs, past_key_values=cache, use_cache=cache is not None)
        return self.defined(output.logits[0])

    def defined(self, logits: Tensor) -> Tensor:
        """The logits as they are, (M, V), if each row makes a distribution; unlooked at in training.

        Raises:
            UndefinedModelError: one does not, as of damaged weights, or where float16 overflows.
        """
        if torch.is_grad_enabled() or bool(logits.amax(-1).isfinite().all()):
            return logits
        raise undefined(self.name, self.model.dtype)

    def inputs(self, batch: Batch, n_prefix: int) -> tuple[Tensor, dict[str, Any]]:
        """A batch's heads among the tokens that are fed, and the model's inputs."""
        heads, ids, positions = batch.heads, batch.input_ids, batch.position_ids
        mask = attention_mask(batch, n_prefix, self.windows, self.model.dtype)
        inputs: dict[str, Any] = {"attention_mask": on_device(mask, self.model.device)}
        packing = self.packing(batch, n_prefix)
        if packing is not None:
            inputs["packing"] = packing
            heads = packing.tokens[heads]
            ids, positions = ids.take(packing.places)[None], positions.take(packing.places)[None]
        device = self.model.device
        return heads, {**inputs, "input_ids": ids.to(device), "position_ids": positions.to(device)}

    def packing(self, batch: Batch, n_prefix: int) -> Packing | None:
        """How a batch is fed without padding, if it is; rows of one length only for the sake of
        faster attention.
        """
        if self.model.config._attn_implementation != PACKED:
            return None
        rows, length = batch.input_ids.shape
        n_heads = self.model.config.get_text_config().num_attention_heads
        n_scores = n_heads * rows * length * (n_prefix + length)
        if batch.n_tokens == rows * length and not products_win(n_scores, self.model.dtype):
            return None
        return Packing(batch)

    @contextmanager
    def vocabulary_only_at(self, heads: Tensor) -> Iterator[None]:
        """Apply the output embedding to these positions only (`logits_to_keep` cannot differ by
        row).

        A hook, so that the architecture's own processing of the logits (scale, soft cap) is kept.
        """

        def select(_: object, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (args[0].flatten(0, 1)[heads.to(args[0].device)].unsqueeze(0),)

        handle = self.model.get_output_embeddings().register_forward_pre_hook(select)
        try:
            yield
        finally:
            handle.remove()


def target_logprobs(batch: Batch, logits: Tensor) -> Tensor:
    """Log-probabilities of a batch's targets, (T,) float64 on the CPU, from the logits at its
    heads, (M, V).
    """
    chosen = logits[batch.target_head, batch.target_token].float()
    # Subtracted where they are: a GPU is waited for once.
    return (chosen - normalisers(logits)[batch.target_head]).cpu().double()


def normalisers(logits: Tensor) -> Tensor:
    """log sum exp of each row: (M, V) -> (M,) float32."""
    return torch.cat([rows.float().logsumexp(-1) for rows in head_rows(logits)])


def head_rows(x: Tensor) -> tuple[Tensor, ...]:
    """Rows in parts that are small enough to be computed with in float32."""
    return x.split(_HEAD_ROWS_OF_CPU if x.device.type == "cpu" else _HEAD_ROWS)
