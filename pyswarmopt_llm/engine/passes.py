"""Forward passes of planned batches: inputs with or without padding, masks, keys and values of a
shared prefix, supported architectures, and logits at selected positions.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

from pyswarmopt_llm.common.errors import UndefinedModelError, UserError
from pyswarmopt_llm.engine.batching import Batch, BatchPlan, TokenPair, build_plan
from pyswarmopt_llm.engine.packed_attention import NAME as PACKED
from pyswarmopt_llm.engine.packed_attention import Packing, products_win

Windows = Mapping[str, int | None]  # kinds of attention layers; see `attention_windows`
# Positions normalised at once: their float32 logits fit into a CPU's cache (four times faster), and
# take little memory on a GPU.
_HEAD_ROWS = 1024
_HEAD_ROWS_OF_CPU = 16


def attention_windows(model: Any) -> Windows | None:
    """The kinds of a model's attention layers, as named in transformers, and their windows.

    Only the mask and the position ids separate the branches of a tree, so every layer must respect
    both.

    Args:
        model: a transformers causal LM.

    Returns:
        Kind -> window in tokens, including the token itself (None: unlimited). None where a layer is
        recurrent (Mamba, linear attention), measures distance by index (ALiBi, GPT-Neo's local
        layers) or attends to fixed chunks.

    Example:
        >>> from transformers import MistralConfig, MistralForCausalLM
        >>> size = dict(vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        ...             num_key_value_heads=1)
        >>> attention_windows(MistralForCausalLM(MistralConfig(**size, sliding_window=512)))
        {'sliding_attention': 512}
    """
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    windows = {"full_attention": None, "sliding_attention": window}
    # Without a list, a window applies to every layer (as in transformers' own caches).
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"]
    unfit = (
        not windows.keys() >= set(kinds)
        or "position_ids" not in inspect.signature(model.forward).parameters
        or getattr(config, "alibi", False)
        or "local" in getattr(config, "attention_layers", ())
    )
    if unfit:
        return None
    return {kind: windows[kind] for kind in sorted(set(kinds))}


def attention_mask(
    batch: Batch, n_prefix: int, windows: Windows, model: Any
) -> Tensor | dict[str, Tensor]:
    """Additive mask: 0 where a token of the batch sees a token of the prefix or its row, else the
    dtype's minimum.

    A window counts tokens on the path to the token (difference of position ids), not columns.

    Args:
        batch: batch of B rows with L tokens.
        n_prefix: number P of prefix tokens, visible to all rows.
        windows: from `attention_windows`.
        model: gives dtype and device.

    Returns:
        (B, 1, L, P + L); one mask per kind of layer if there are several, as transformers expects.
    """
    seen = torch.nn.functional.pad(batch.allowed(), (n_prefix, 0), value=True)
    rows = batch.position_ids
    columns = torch.cat([torch.arange(n_prefix).expand(len(rows), -1), rows], dim=1)
    return additive_mask(seen, rows[:, :, None] - columns[:, None, :], windows, model)


def additive_mask(
    seen: Tensor, distance: Tensor, windows: Windows, model: Any
) -> Tensor | dict[str, Tensor]:
    """Additive masks, see `attention_mask`.

    Args:
        seen: which token sees which, ignoring windows, (B, L, K) bool.
        distance: difference of their positions, (B, L, K).
        windows: from `attention_windows`.
        model: gives dtype and device.
    """
    masks = {}
    hidden = torch.finfo(model.dtype).min
    for kind, window in windows.items():
        near = seen
        if window is not None:
            near = seen & (distance < window)
        mask = torch.zeros(near.shape, dtype=model.dtype).masked_fill_(~near, hidden)
        masks[kind] = mask.unsqueeze(1).to(model.device)
    if len(masks) > 1:
        return masks
    return next(iter(masks.values()))


class PrefixCache(Cache):
    """The keys and values of `cache` (a batch of one) for batches of any size, reusable."""

    def __init__(self, cache: DynamicCache) -> None:
        super().__init__(layers=[_SharedLayer(layer.keys, layer.values) for layer in cache.layers])


class _SharedLayer(DynamicLayer):
    """A layer's prefix, (1, heads, P, head_dim); `update` concatenates a batch without storing it."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys = keys
        self.values = values

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        n = key_states.shape[0]
        keys = torch.cat([self.keys.expand(n, -1, -1, -1), key_states], dim=-2)
        values = torch.cat([self.values.expand(n, -1, -1, -1), value_states], dim=-2)
        return keys, values


class Passes:
    """The forward passes of a model over planned batches (see `batching`), to score and to write.

    Args:
        model: a transformers causal LM; its weights may change between passes.

    Attributes:
        model: as given.
        name: name of the model and its patch, for error messages.
        windows: from `attention_windows`; empty without planned batches.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.name = "the base model"
        self.windows = attention_windows(model) or {}

    def plan(self, pairs: Sequence[TokenPair], batch_tokens: int) -> BatchPlan:
        """The batches of pairs; see `build_plan`."""
        return build_plan(pairs, batch_tokens)

    def prefix(self, ids: Sequence[int]) -> PrefixCache | None:
        """Keys and values of token ids, with their graph if gradients are enabled; None for no ids."""
        if not ids:
            return None
        # Without the config, layers with a sliding window keep the whole prefix, too.
        cache = DynamicCache()
        inputs = torch.tensor([list(ids)], device=self.model.device)
        self.model.base_model(input_ids=inputs, past_key_values=cache, use_cache=True)
        return PrefixCache(cache)

    def logits(self, batch: Batch, cache: Cache | None) -> Tensor:
        """The logits at a batch's heads, (M, V), in the model's dtype.

        Args:
            batch: batch of a plan.
            cache: keys and values of the plan's prefix; None if the prefix is empty.
        """
        n_prefix = 0
        if cache is not None:
            n_prefix = cache.get_seq_length()
        heads, inputs = self.inputs(batch, n_prefix)
        return self.run(heads, **inputs, past_key_values=cache, use_cache=cache is not None).logits[
            0
        ]

    def run(self, heads: Tensor, **inputs: Any) -> Any:
        """The model's output, with checked logits at `heads` of its (B * L) positions, (1, M, V)."""
        with self.vocabulary_only_at(heads):
            output = self.model(**inputs)
        self.defined(output.logits[0])
        return output

    def defined(self, logits: Tensor) -> Tensor:
        """The unchanged logits, (M, V), if each row is a distribution; not checked in training.

        Raises:
            UndefinedModelError: a row is not, because the weights are damaged, or too large for the dtype.
        """
        if torch.is_grad_enabled() or bool(logits.amax(-1).isfinite().all()):
            return logits
        shown = str(self.model.dtype).removeprefix("torch.")
        remedy = "use other weights"
        if self.model.dtype == torch.float16:  # the others reach as far as float32
            remedy = "set `dtype` to float32, or use other weights"
        raise UndefinedModelError(
            f"{self.name}: the log-probabilities are not finite in {shown}; the weights are damaged "
            f"or too large; {remedy}"
        )

    def inputs(self, batch: Batch, n_prefix: int) -> tuple[Tensor, dict[str, Any]]:
        """A batch's heads among the fed tokens, and the model's inputs."""
        heads = batch.heads
        ids = batch.input_ids
        positions = batch.position_ids
        inputs: dict[str, Any] = {
            "attention_mask": attention_mask(batch, n_prefix, self.windows, self.model)
        }
        packing = self.packing(batch, n_prefix)
        if packing is not None:
            inputs["packing"] = packing
            heads = packing.tokens[heads]
            ids = ids.take(packing.indices)[None]
            positions = positions.take(packing.indices)[None]
        device = self.model.device
        return heads, {**inputs, "input_ids": ids.to(device), "position_ids": positions.to(device)}

    def packing(self, batch: Batch, n_prefix: int) -> Packing | None:
        """The packing of a batch, or None; rows of equal length are packed only for faster
        attention.
        """
        if self.model.config._attn_implementation != PACKED:
            return None
        rows, length = batch.input_ids.shape
        n_heads = self.model.config.get_text_config().num_attention_heads
        n_scores = n_heads * rows * length * (n_prefix + length)
        if batch.n_tokens == rows * length and not products_win(n_scores, self.model.dtype):
            return None
        return Packing(batch)

    def vocabulary_only_at(self, heads: Tensor) -> RemovableHandle:
        """A context in which the output embedding is applied only at these positions
        (`logits_to_keep` cannot vary by row).

        A hook keeps the architecture's own processing of logits (scale, soft cap).
        """

        def select(_: object, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            if args[0].dim() != 3:
                raise UserError(
                    f"{self.name} predicts several tokens per position; use a base model that "
                    "predicts only the next token"
                )
            return (args[0].flatten(0, 1)[heads.to(args[0].device)].unsqueeze(0),)

        hook: RemovableHandle = self.model.get_output_embeddings().register_forward_pre_hook(select)
        return hook


def target_logprobs(batch: Batch, logits: Tensor) -> Tensor:
    """Log-probabilities of a batch's targets, (T,) float64 on the CPU, from the logits at its
    heads, (M, V); differentiable.
    """
    head = batch.target_head.to(logits.device)
    token = batch.target_token.to(logits.device)
    return _TargetLogprobs.apply(logits, head, token).cpu().double()


class _TargetLogprobs(torch.autograd.Function):
    """log softmax at (row, token); its gradient is one-hot(token) minus softmax.

    Autograd would keep float32 logits.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, head: Tensor, token: Tensor) -> Tensor:
        normaliser = torch.cat([rows.float().logsumexp(-1) for rows in _in_parts(logits)])
        ctx.save_for_backward(logits, normaliser, head, token)
        return logits[head, token].float() - normaliser[head]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        logits, normaliser, head, token = ctx.saved_tensors
        # Not `index_add_`: on a GPU its order of summation varies between calls.
        of_row = torch.zeros_like(normaliser).index_put_((head,), gradient, accumulate=True)
        slopes = torch.empty_like(logits)
        parts = (_in_parts(x) for x in (logits, slopes, normaliser[:, None], of_row[:, None]))
        for row, out, subtracted, factor in zip(*parts, strict=True):
            out.copy_((row.float() - subtracted).exp_().mul_(factor).neg_())
        slopes.index_put_((head, token), gradient.to(slopes.dtype), accumulate=True)
        return slopes, None, None


def _in_parts(x: Tensor) -> tuple[Tensor, ...]:
    """Rows in parts small enough for float32."""
    if x.device.type == "cpu":
        return x.split(_HEAD_ROWS_OF_CPU)
    return x.split(_HEAD_ROWS)
