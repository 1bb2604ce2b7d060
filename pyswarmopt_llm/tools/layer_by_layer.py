"""A base that computes in float32 while memory holds it as it is stored, and one layer in float32.

Sums that merging rounds can be compared in float32 alone; all of a base of 7B would need 28 GB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.base import PromptTokenizer
from pyswarmopt_llm.engine.mixing import PatchedWeights
from pyswarmopt_llm.experts.base import BaseModel
from pyswarmopt_llm.experts.by_peft import load_stored


class LayerByLayer:
    """A plain base with a patch, merged into each layer as it runs.

    Args:
        base: with plain weights.
        device: ``auto``, ``cpu``, ``cuda``, ...
        dtype: in which a layer computes, and to which its merged weights are rounded.

    Attributes:
        name: of the base, for error messages.
        model: of transformers, in the dtype of its files between passes.
    """

    def __init__(self, base: BaseModel, device: str, dtype: torch.dtype) -> None:
        self.model, tokenizer = load_stored(base, pick_device(device))
        self.name, self.dtype = base.spec, dtype
        self._prompts = PromptTokenizer(tokenizer, None)
        self._changes: Mapping[str, LowRank] = {}
        self._kept: list[tuple[Tensor, Tensor]] = []
        self.chat = self._prompts.chat
        for name, module, recurse in _parts(self.model):
            module.register_forward_pre_hook(partial(self._enter, name, recurse))
            module.register_forward_hook(self._leave, always_call=True)

    def load(self, patch: Patch) -> None:
        """Make the model ``base + patch``; see `Mixing.load`."""
        self._changes = patch.low_rank

    @torch.inference_mode()
    def next_token_logprobs(self, prompts: Sequence[str]) -> Tensor:
        """See `TransformersEngine.next_token_logprobs`."""
        rows = []
        for prompt in prompts:
            ids = torch.tensor([self._prompts.encode_prompt(prompt)], device=self.model.device)
            logits = self.model(input_ids=ids, use_cache=False).logits[0, -1]
            rows.append(logits.float().log_softmax(-1).cpu())
        return torch.stack(rows)

    def _enter(self, name: str, recurse: bool, module: Any, inputs: object) -> None:
        """Put one part into the dtype of computation, with its changes."""
        own = {
            weight.removeprefix(f"{name}."): change
            for weight, change in self._changes.items()
            if weight.startswith(f"{name}.")
        }
        for key, parameter in module.named_parameters(recurse=recurse):
            self._kept.append((parameter, parameter.data))
            parameter.data = parameter.data.to(self.dtype, copy=key in own)
        if own:
            PatchedWeights(module).load(Patch(low_rank=own))

    def _leave(self, *_: object) -> None:
        for parameter, stored in self._kept:
            parameter.data = stored
        self._kept.clear()


def _parts(model: Any) -> Iterator[tuple[str, Any, bool]]:
    """Name, module, and whether it is a layer as a whole; else it stands for its own weights."""
    layers: list[str] = []
    for name, module in model.named_modules():
        if name.startswith(tuple(f"{layer}." for layer in layers)):
            continue
        parent = model.get_submodule(name.rpartition(".")[0])
        if isinstance(parent, torch.nn.ModuleList):
            layers.append(name)
            yield name, module, True
        elif any(True for _ in module.parameters(recurse=False)):
            yield name, module, False
