"""The engine on vLLM, for objectives that write much: candidates are LoRA adapters that take each other's place.

vLLM adds an adapter's product to the base's at every layer, where `TransformersEngine` merges it into the weights and
rounds once; the two agree to the rounding of the model's dtype, not to the bit. So a search keeps to one engine.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.models.adapters.write import write_adapter
from pyswarmopt_llm.models.engines.batching import encode_pair
from pyswarmopt_llm.models.engines.tokenizing import TokenizingEngine

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # room for an adapter comes in these sizes


class VllmEngine(TokenizingEngine):
    """One base resident in vLLM, with room for one adapter; implements `interfaces.Engine`.

    Args:
        model: directory of the base.
        tokenizer: the base's.
        window: its context window.
        dtype: of its weights.
        rank: the largest of a candidate.

    Raises:
        UserError: vLLM cannot be imported, or has no room for such a rank.
    """

    def __init__(self, model: Path, tokenizer: Any, window: int | None, dtype: torch.dtype, rank: int) -> None:
        super().__init__(tokenizer, window)
        try:
            self._vllm: Any = importlib.import_module("vllm")
            self._request: Any = importlib.import_module("vllm.lora.request").LoRARequest
        except ImportError as error:
            text = f"--engine vllm: vLLM cannot be imported ({error}); docs/scaling.md says how to install it"
            raise UserError(text) from error
        room = next((size for size in RANKS if size >= rank), None)
        if room is None:
            raise UserError(f"--engine vllm: candidates have rank {rank}, vLLM takes at most {RANKS[-1]}")
        self.dtype = dtype
        self._llm: Any = self._vllm.LLM(
            model=str(model),
            dtype=str(dtype).removeprefix("torch."),
            max_model_len=window,
            enable_lora=True,
            max_loras=1,
            max_lora_rank=room,
            max_logprobs=-1,  # a whole distribution can be asked for
        )
        self._folder = Path(tempfile.mkdtemp(prefix="candidate-"))
        self._number = 0
        self._adapter: Any = None

    def load(self, patch: Patch) -> None:
        """Put a candidate in the place of the one before.

        Raises:
            UserError: it is more than low-rank changes of weights.
        """
        if patch.dense or patch.mixture:
            raise UserError("--engine vllm: takes LoRA candidates (spaces factor and delta); leave it out")
        shutil.rmtree(self._folder, ignore_errors=True)
        self._adapter = None
        if patch.low_rank:
            self._number += 1  # an adapter of another number is another one to vLLM, which has room for one
            factors = {name.removesuffix(".weight"): (change.b, change.a) for name, change in patch.low_rank.items()}
            write_adapter(self._folder, factors, base_model_name="", target_modules=factors)
            self._adapter = self._request(f"candidate-{self._number}", self._number, str(self._folder))

    def generate(self, prompts: Sequence[str], max_new_tokens: int = 64) -> list[str]:
        """Greedy continuations, special tokens left out.

        Raises:
            UserError: if a prompt and `max_new_tokens` do not fit into the model's context window.
        """
        encoded = [self.encode_prompt(prompt) for prompt in prompts]
        for prompt, ids in zip(prompts, encoded, strict=True):
            self.check_length(len(ids) + max_new_tokens, prompt)
        return [str(out.outputs[0].text) for out in self._ask(encoded, max_tokens=max_new_tokens)]

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Natural log of P(continuation | context) for each pair, summed over the continuation's tokens.

        Raises:
            UserError: if a pair is longer than the model's context window.
        """
        encoded = [encode_pair(self.encode, context, continuation) for context, continuation in pairs]
        whole = [context + continuation for context, continuation in encoded]
        for (context, _), ids in zip(pairs, whole, strict=True):
            self.check_length(len(ids) + 1, context)  # vLLM writes one token at least
        found = self._ask(whole, max_tokens=1, prompt_logprobs=0)
        return [
            sum(float(out.prompt_logprobs[i][ids[i]].logprob) for i in range(len(context), len(ids)))
            for out, ids, (context, _) in zip(found, whole, encoded, strict=True)
        ]

    def next_token_logprobs(self, prompts: Sequence[str]) -> Tensor:
        """Natural-log distribution of the next token after each prompt: (N, V) float32.

        Raises:
            UserError: if a prompt is longer than the model's context window.
        """
        encoded = [self.encode_prompt(prompt) for prompt in prompts]
        for prompt, ids in zip(prompts, encoded, strict=True):
            self.check_length(len(ids) + 1, prompt)
        found = [out.outputs[0].logprobs[0] for out in self._ask(encoded, max_tokens=1, logprobs=-1)]
        return torch.tensor([[row[i].logprob for i in range(len(row))] for row in found], dtype=torch.float32)

    def _ask(self, prompts: Sequence[Sequence[int]], **options: Any) -> list[Any]:
        sampling = self._vllm.SamplingParams(temperature=0.0, **options)
        asked = [{"prompt_token_ids": list(ids)} for ids in prompts]
        return list(self._llm.generate(asked, sampling, lora_request=self._adapter, use_tqdm=False))


__all__ = ["VllmEngine"]
