"""The engine on vLLM, for objectives that generate much text: each candidate replaces the previous
LoRA adapter.

vLLM adds an adapter's output to the base's in every layer, whereas `TransformersEngine` merges it
into the weights and rounds once; the two agree up to rounding, not bit for bit. So a search uses
one engine throughout.
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

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.models.adapters.write import write_adapter
from pyswarmopt_llm.models.engines.base import BaseEngine, PromptTokenizer
from pyswarmopt_llm.models.engines.batching import encode_pair

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # maximum ranks that vLLM can be configured for


class VllmEngine(PromptTokenizer, BaseEngine):
    """One base resident in vLLM with a single adapter slot; implements `interfaces.Engine`.

    Args:
        model: directory of the base.
        tokenizer: the base's.
        window: its context window.
        dtype: dtype of its weights.
        rank: maximum rank of a candidate.

    Raises:
        UserError: vLLM cannot be imported, or does not support the rank.
    """

    def __init__(
        self, model: Path, tokenizer: Any, window: int | None, dtype: torch.dtype, rank: int
    ) -> None:
        super().__init__(tokenizer, window)
        try:
            self._vllm: Any = importlib.import_module("vllm")
            self._request: Any = importlib.import_module("vllm.lora.request").LoRARequest
        except ImportError as error:
            text = (
                f"`engine` vllm: vLLM cannot be imported ({error}); docs/scaling.md says how "
                "to install it"
            )
            raise UserError(text) from error
        max_rank = next((size for size in RANKS if size >= rank), None)
        if max_rank is None:
            raise InvalidOption(
                "engine", "vllm", f"candidates have rank {rank}, vLLM supports at most {RANKS[-1]}"
            )
        self.dtype = dtype
        self._llm: Any = self._vllm.LLM(
            model=str(model),
            dtype=str(dtype).removeprefix("torch."),
            max_model_len=window,
            enable_lora=True,
            max_loras=1,
            max_lora_rank=max_rank,
            max_logprobs=-1,  # allow whole distributions
        )
        self._folder = Path(tempfile.mkdtemp(prefix="candidate-"))
        self._number = 0
        self._adapter: Any = None

    def load(self, patch: Patch) -> None:
        """Replace the previous candidate.

        Raises:
            UserError: the patch is more than low-rank changes of weights.
        """
        if patch.dense or patch.full_rank or patch.mixture:
            raise InvalidOption(
                "engine", "vllm", "takes LoRA candidates (spaces factor and delta) only; remove it"
            )
        shutil.rmtree(self._folder, ignore_errors=True)
        self._adapter = None
        if patch.low_rank:
            self._number += 1  # vLLM tells adapters apart by this number
            factors = {
                name.removesuffix(".weight"): (change.b, change.a)
                for name, change in patch.low_rank.items()
            }
            write_adapter(self._folder, factors, base_model_name="", target_modules=factors)
            self._adapter = self._request(
                f"candidate-{self._number}", self._number, str(self._folder)
            )

    def generate(self, prompts: Sequence[str], max_new_tokens: int = 64) -> list[str]:
        """Greedy continuations, without special tokens."""
        encoded = self.encode_prompts(prompts, max_new_tokens)
        return [
            str(out.outputs[0].text) for out in self._generate(encoded, max_tokens=max_new_tokens)
        ]

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Natural log of P(continuation | context) for each pair, summed over the continuation's
        tokens.
        """
        encoded = [
            encode_pair(self.encode, context, continuation) for context, continuation in pairs
        ]
        whole = [context + continuation for context, continuation in encoded]
        for (context, _), ids in zip(pairs, whole, strict=True):
            self.check_length(len(ids) + 1, context)  # vLLM generates at least one token
        outputs = self._generate(whole, max_tokens=1, prompt_logprobs=0)
        return [
            sum(
                float(out.prompt_logprobs[i][ids[i]].logprob) for i in range(len(context), len(ids))
            )
            for out, ids, (context, _) in zip(outputs, whole, encoded, strict=True)
        ]

    def next_token_logprobs(self, prompts: Sequence[str]) -> Tensor:
        """Natural-log distribution of the next token after each prompt: (N, V) float32."""
        outputs = self._generate(self.encode_prompts(prompts, 1), max_tokens=1, logprobs=-1)
        logprobs = [out.outputs[0].logprobs[0] for out in outputs]
        return torch.tensor(
            [[row[i].logprob for i in range(len(row))] for row in logprobs], dtype=torch.float32
        )

    def _generate(self, prompts: Sequence[Sequence[int]], **options: Any) -> list[Any]:
        sampling = self._vllm.SamplingParams(temperature=0.0, **options)
        inputs = [{"prompt_token_ids": list(ids)} for ids in prompts]
        return list(
            self._llm.generate(inputs, sampling, lora_request=self._adapter, use_tqdm=False)
        )
