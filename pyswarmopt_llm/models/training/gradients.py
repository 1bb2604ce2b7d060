"""Log-likelihoods with gradients: the engine's resident model, frozen, plus changes that are being trained.

A change is a function of a linear layer's input that is added to its output. Batches are the engine's (see `batching`);
the prefix that all contexts share is computed once per batch, and gradients flow through its keys and values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.models.engines.batching import Plan, build_plan
from pyswarmopt_llm.models.engines.packed_attention import NAME as PACKED
from pyswarmopt_llm.models.engines.transformers import TransformersEngine
from pyswarmopt_llm.models.training.backward import short_norms, target_logprobs

Addition = Callable[[Tensor], Tensor]
"""Input of a linear layer, (..., in) -> what is added to its output, (..., out)."""


class Gradients:
    """Differentiable `TransformersEngine.loglikelihood_by_batch`.

    Args:
        engine: its model is used as it is loaded; see `training`.
    """

    def __init__(self, engine: TransformersEngine) -> None:
        self._engine = engine

    @contextmanager
    def training(self, additions: Mapping[str, Addition]) -> Iterator[None]:
        """Add these to the outputs of linear layers, by module name, and let gradients flow; undone at the end.

        The model's own weights stay frozen. On a CPU the backward pass of plain matrix products is faster than that of
        the fused attention kernel.

        Raises:
            AttributeError: the model has no such module.
        """
        model = self._engine.model
        attention, frozen = model.config._attn_implementation, [p for p in model.parameters() if p.requires_grad]
        hooks = [
            model.get_submodule(name).register_forward_hook(partial(_add, addition))
            for name, addition in additions.items()
        ]
        try:
            model.requires_grad_(False)
            if model.device.type == "cpu" and attention != PACKED:
                model.set_attn_implementation("eager")
            with torch.enable_grad(), short_norms(model):
                yield
        finally:
            for hook in hooks:
                hook.remove()
            model.set_attn_implementation(attention)
            for parameter in frozen:
                parameter.requires_grad_(True)

    def loglikelihood_by_batch(self, pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[tuple[int, ...], Tensor]]:
        """Natural log of P(continuation | context), summed over the continuation's tokens, with its graph.

        Pairs with the same context are in the same batch.

        Yields:
            The indices of the pairs of a batch, and their values, (P,) float64 on the CPU.

        Raises:
            UserError: a pair exceeds the context window.
        """
        plan = self._plan(pairs)
        for batch in plan.batches:
            # Anew for each batch: its values are differentiated, which frees the graph of the prefix, too.
            prefix = self._engine.prefix(plan)
            values = target_logprobs(batch, self._engine.passes.logits(batch, len(plan.prefix), prefix))
            self._engine.tokens_fed += batch.n_tokens
            totals = torch.zeros(plan.n_pairs, dtype=torch.float64).index_add(0, batch.target_pair, values)
            yield tuple(batch.pairs.tolist()), totals[batch.pairs]

    def _plan(self, pairs: Sequence[tuple[str, str]]) -> Plan:
        engine = self._engine
        encoded = [engine.encode_continuation(*pair) for pair in pairs]
        return build_plan(encoded, engine.batch_tokens, engine.pad())


def _add(addition: Addition, module: object, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    return output + addition(inputs[0]).to(output.dtype)


__all__ = ["Addition", "Gradients"]
