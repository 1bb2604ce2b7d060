"""The engine on Hugging Face transformers: one resident base, candidates merged in place, batches without waste."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from pyswarmopt_llm.engines.attention import attention_mask, attention_windows
from pyswarmopt_llm.engines.generation import greedy
from pyswarmopt_llm.engines.plan import Batch, Plan, TokenPair, build_plan, encode_pair
from pyswarmopt_llm.engines.prefix_cache import PrefixCache
from pyswarmopt_llm.errors import UserError
from pyswarmopt_llm.interfaces import LowRank, Patch

# Positions normalised at once: their float32 logits stay in the cache of a CPU (four times faster), small on a GPU.
_HEAD_ROWS = {"cpu": 16, "cuda": 1024}


class TransformersEngine:
    """Runs a causal language model and any candidate patched onto it; implements `interfaces.Engine`.

    Args:
        model: a transformers causal LM in eval mode, on its device; its weights are changed in place by `load`
            and put back, to the bit, by ``load(Patch())``.
        tokenizer: the model's tokenizer, with a pad token.
        batch_tokens: padded tokens in one forward pass.

    Raises:
        UserError: if the architecture cannot run planned batches (see `attention_windows`).

    Attributes:
        tokens_fed: tokens sent through the model so far, padding excluded.
    """

    def __init__(self, model: Any, tokenizer: Any, batch_tokens: int = 1024) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.batch_tokens = batch_tokens
        self.tokens_fed = 0
        self._parameters: dict[str, Tensor] = dict(model.named_parameters())
        self._pristine: dict[str, Tensor] = {}
        self._patched: set[str] = set()
        self._plans: dict[tuple[tuple[str, str], ...], Plan] = {}
        self._windows = attention_windows(model)
        # A chat template writes its special tokens itself.
        self._lead = leading_specials(tokenizer) if tokenizer.chat_template is None else []

    # Weights

    @torch.inference_mode()
    def load(self, patch: Patch) -> None:
        """Make the resident model ``base + patch`` (float32 sum, one rounding to the model's dtype).

        Raises:
            KeyError: if the base has no parameter of that name.
            ValueError: if a shape does not fit, or a name is in both parts of the patch. Nothing is changed then.
        """
        self._check_fits(patch)
        wanted = patch.low_rank.keys() | patch.dense.keys()
        for name in self._patched - wanted:
            self._parameters[name].copy_(self._pristine[name])
        for name in wanted - self._pristine.keys():
            self._pristine[name] = self._parameters[name].clone()
        self._patched = wanted  # before the first change, so that an interrupted load can still be taken out
        for name, value in patch.dense.items():
            self._parameters[name].copy_(value)
        for name, change in patch.low_rank.items():
            parameter = self._parameters[name]
            factors = LowRank(b=change.b.to(parameter.device), a=change.a.to(parameter.device))
            parameter.copy_(self._pristine[name] + factors.dense())

    def _check_fits(self, patch: Patch) -> None:
        shapes = {name: tuple(value.shape) for name, value in patch.dense.items()}
        for name, change in patch.low_rank.items():
            if name in shapes:
                raise ValueError(f"{name}: a patch has both a value and a low-rank change for it; give one of them")
            if change.b.shape[1] != change.a.shape[0]:
                raise ValueError(f"{name}: factors of rank {change.b.shape[1]} and {change.a.shape[0]}")
            shapes[name] = (change.b.shape[0], change.a.shape[1])
        for name, shape in shapes.items():
            if name not in self._parameters:
                raise KeyError(f"{name}: the base has no such parameter")
            if shape != tuple(self._parameters[name].shape):
                raise ValueError(f"{name}: a change of shape {shape} for {tuple(self._parameters[name].shape)} weights")

    # Likelihoods

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Natural log of P(continuation | context) for each pair, summed over the continuation's tokens.

        Contexts that several pairs share are computed once, and so is what all contexts begin with.

        Raises:
            UserError: if a pair is longer than the model's context window.
        """
        if any(not continuation for _, continuation in pairs):
            raise ValueError("a continuation is empty: there is nothing to score")
        plan = self._plan(tuple(pairs))
        totals = torch.zeros(plan.n_pairs, dtype=torch.float64)
        for batch, logits in self._forward(plan):
            chosen = logits[batch.target_head, batch.target_token].float().cpu()
            parts = logits.split(_HEAD_ROWS[logits.device.type])
            normaliser = torch.cat([part.float().logsumexp(-1) for part in parts]).cpu()
            totals.index_add_(0, batch.target_pair, (chosen - normaliser[batch.target_head]).double())
        return totals.tolist()

    def next_token_logprobs(self, prompts: Sequence[str]) -> Tensor:
        """Natural-log distribution of the next token after each prompt: (N, V) float32 on the CPU.

        Raises:
            UserError: if a prompt is longer than the model's context window.
        """
        found = torch.empty(len(prompts), self.model.get_output_embeddings().weight.shape[0])
        for batch, logits in self._forward(self._plan(tuple((prompt, "") for prompt in prompts))):
            found[batch.target_pair] = logits[batch.target_head].float().log_softmax(-1).cpu()
        return found

    def token_logprobs(self, pairs: Sequence[tuple[str, str]]) -> list[Tensor]:
        """Natural-log probability of every token of each continuation: (T,) float32 on the CPU for each pair.

        Raises:
            UserError: if a pair is longer than the model's context window.
        """
        found: list[Tensor] = [torch.empty(0)] * len(pairs)
        for batch, logits in self._forward(self._plan(tuple(pairs))):
            logprobs = logits.float().log_softmax(-1)[batch.target_head, batch.target_token].cpu()
            for pair in batch.target_pair.unique().tolist():
                found[pair] = logprobs[batch.target_pair == pair]
        return found

    def distributions(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[Tensor, Tensor]]:
        """For each pair the natural-log distributions along its continuation, (T, V) float32, and its tokens, (T,).

        On the CPU; memory grows with the vocabulary, so ask for few pairs at a time.

        Raises:
            UserError: if a pair is longer than the model's context window.
        """
        found = [(torch.empty(0), torch.empty(0, dtype=torch.int64))] * len(pairs)
        for batch, logits in self._forward(self._plan(tuple(pairs))):
            logprobs = logits.float().log_softmax(-1).cpu()
            for pair in batch.target_pair.unique().tolist():
                own = batch.target_pair == pair
                found[pair] = logprobs[batch.target_head[own]], batch.target_token[own]
        return found

    # Text

    def generate(self, prompts: Sequence[str], max_new_tokens: int = 64) -> list[str]:
        """Greedy continuations, special tokens left out; finished sequences leave the batch.

        Raises:
            UserError: if a prompt and `max_new_tokens` do not fit into the model's context window.
        """
        encoded = [self._encode_prompt(prompt) for prompt in prompts]
        for prompt, ids in zip(prompts, encoded, strict=True):
            self._check_length(len(ids) + max_new_tokens, prompt)
        texts = [""] * len(encoded)
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]), reverse=True)
        while order:
            width = len(encoded[order[0]]) + max_new_tokens
            now, order = order[: max(1, self.batch_tokens // width)], order[max(1, self.batch_tokens // width) :]
            found = greedy(self.model, [encoded[i] for i in now], max_new_tokens, self._pad(), self._stops())
            self.tokens_fed += sum(len(encoded[i]) for i in now) + sum(map(len, found))
            for i, new in zip(now, found, strict=True):
                texts[i] = self.tokenizer.decode(new, skip_special_tokens=True)
        return texts

    def chat(self, user: str) -> str:
        """`user` as a user turn of the chat template, ready for the assistant's turn.

        Without a chat template: the text itself and a line break.
        """
        if self.tokenizer.chat_template is None:
            return f"{user}\n"
        messages = [{"role": "user", "content": user}]
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    # Inside

    def _plan(self, pairs: tuple[tuple[str, str], ...]) -> Plan:
        """Tokenised once per run: the same pairs come back for every candidate."""
        if pairs not in self._plans:
            encoded: list[TokenPair] = []
            for context, continuation in pairs:
                if continuation:
                    encoded.append(encode_pair(self._encode, context, continuation))
                else:
                    encoded.append((self._encode_prompt(context), ()))
                self._check_length(sum(map(len, encoded[-1])), context)
            self._plans[pairs] = build_plan(encoded, self.batch_tokens, self._pad())
        return self._plans[pairs]

    @torch.inference_mode()
    def _forward(self, plan: Plan) -> Iterator[tuple[Batch, Tensor]]:
        """For each batch the logits at its heads, (M, V), in the model's dtype."""
        self.tokens_fed += plan.n_tokens
        cache = self._prefix(plan)
        for batch in plan.batches:
            with self._vocabulary_only_at(batch.heads):
                out = self.model(
                    input_ids=batch.input_ids.to(self.model.device),
                    position_ids=batch.position_ids.to(self.model.device),
                    attention_mask=self._mask(batch, len(plan.prefix)),
                    past_key_values=cache,
                    use_cache=cache is not None,
                )
            yield batch, out.logits[0]

    def _prefix(self, plan: Plan) -> PrefixCache | None:
        """Keys and values of what all contexts begin with."""
        if not plan.prefix:
            return None
        # Made without the config, the cache keeps all of the prefix, also in layers with a sliding window.
        filled = DynamicCache()
        ids = torch.tensor([plan.prefix], device=self.model.device)
        self.model.base_model(input_ids=ids, past_key_values=filled, use_cache=True)
        return PrefixCache(filled)

    @contextmanager
    def _vocabulary_only_at(self, heads: Tensor) -> Iterator[None]:
        """Send only these positions through the output embedding (`logits_to_keep` cannot differ by row).

        A hook, so that whatever the architecture does to its logits afterwards (scale, soft cap) stays its own.
        """

        def select(_: object, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (args[0].flatten(0, 1)[heads.to(args[0].device)].unsqueeze(0),)

        handle = self.model.get_output_embeddings().register_forward_pre_hook(select)
        try:
            yield
        finally:
            handle.remove()

    def _mask(self, batch: Batch, n_prefix: int) -> Tensor | dict[str, Tensor]:
        mask = attention_mask(batch, n_prefix, self._windows, self.model.dtype)
        if isinstance(mask, dict):
            return {kind: part.to(self.model.device) for kind, part in mask.items()}
        return mask.to(self.model.device)

    def _encode(self, text: str) -> list[int]:
        """Token ids with the special tokens that begin a text, never with those that end one."""
        ids = [int(i) for i in self.tokenizer(text, add_special_tokens=False)["input_ids"]]
        return ids if ids[: len(self._lead)] == self._lead else self._lead + ids

    def _encode_prompt(self, prompt: str) -> tuple[int, ...]:
        ids = self._encode(prompt)
        if not ids:
            raise ValueError("a prompt is empty: there is nothing to continue")
        return tuple(ids)

    def _pad(self) -> int:
        return int(self.tokenizer.pad_token_id)

    def _stops(self) -> frozenset[int]:
        """Tokens that end a turn: the tokenizer's and those of the model's generation config."""
        named = self.model.generation_config.eos_token_id
        listed = named if isinstance(named, list) else [named]
        return frozenset(int(i) for i in [self.tokenizer.eos_token_id, *listed] if i is not None)

    def _check_length(self, n: int, text: str) -> None:
        window = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if window is not None and n > window:
            raise UserError(
                f"the item that begins {text[:40]!r} needs {n} tokens, the model's context window holds {window}; "
                "shorten the item"
            )


def leading_specials(tokenizer: Any) -> list[int]:
    """The special tokens that a tokenizer puts before a text, such as BOS; what it appends is left out."""
    with_specials = [int(i) for i in tokenizer("a")["input_ids"]]
    bare = [int(i) for i in tokenizer("a", add_special_tokens=False)["input_ids"]]
    starts = range(len(with_specials) - len(bare) + 1)
    return with_specials[: next((k for k in starts if with_specials[k : k + len(bare)] == bare), 0)]
