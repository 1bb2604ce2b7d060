"""The engine on Hugging Face transformers: one loaded base, into which candidates are put, and
batches that compute no token twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache, partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import proxy

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import NoRoomError
from pyswarmopt_llm.common.hardware import keep_few_products, out_of_memory, pick_device, pick_dtype
from pyswarmopt_llm.common.interfaces import Format, Pairs, Patch
from pyswarmopt_llm.engine.batching import Batch, BatchPlan, TokenPair
from pyswarmopt_llm.engine.chat import PromptTokenizer, turn_ends, window_of
from pyswarmopt_llm.engine.choose import passes_of
from pyswarmopt_llm.engine.mixing import Mixing, PatchedWeights
from pyswarmopt_llm.engine.packed_attention import use_packed_attention
from pyswarmopt_llm.engine.passes import target_logprobs
from pyswarmopt_llm.experts.base import BaseModel, load_model, refuse_quantised
from pyswarmopt_llm.experts.safetensors_file import StoredTensors

if TYPE_CHECKING:
    from pyswarmopt_llm.engine.feedback import Rounding
    from pyswarmopt_llm.engine.generation import Continuation, Draw

log = logging.getLogger(__name__)

Call = TypeVar("Call", bound=Callable[..., Any])
_MOST_PLANS = 64  # plans that an engine keeps


def within_memory(call: Call) -> Call:
    """Repeat an engine's call with halved batches as long as memory runs out."""

    @wraps(call)
    def repeated(engine: TransformersEngine, *args: Any, **options: Any) -> Any:
        while True:
            try:
                return call(engine, *args, **options)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
            if not engine.halve_batches():
                raise NoRoomError
            log.warning(
                "out of memory; continuing with %d tokens per batch, which may change the last "
                "digits of scores (to reproduce them, set `batch_tokens` to this number)",
                engine.batch_tokens,
            )

    return cast(Call, repeated)


class TransformersEngine(PromptTokenizer):
    """A causal language model that scores texts and writes replies, with candidates put into it.

    Implements `interfaces.Engine`. Its methods raise `NoRoomError` if memory runs out even for one
    item, and `UndefinedModelError` if log-probabilities are not numbers.

    Args:
        model: a transformers causal LM in eval mode, on its device.
        tokenizer: the model's tokenizer.
        batch_tokens: padded tokens per forward pass; halved when memory runs out.
        mixing: puts candidates into the model and removes them exactly; default: `PatchedWeights`,
            which changes the weights in place.

    Attributes:
        model: with the candidate in it.
        batch_tokens: as given.
        passes: forward passes of the model.
        patch: the candidate in the model.
        name: name of the base, for error messages.
        told_of_cuts: whether the warning on cut replies was given.
    """

    def __init__(
        self, model: Any, tokenizer: Any, batch_tokens: int = 1024, mixing: Mixing | None = None
    ) -> None:
        super().__init__(tokenizer, window_of(model.config))
        self.model = model
        self.name = "the base model"
        self.batch_tokens = batch_tokens
        self.rows = model.get_input_embeddings().weight.shape[0]
        self.passes = passes_of(model)
        use_packed_attention(model)
        self._mixing = mixing or PatchedWeights(model)
        self.dtype = model.dtype
        self.parameter_names = self._mixing.parameter_names
        # Dev and test of several tasks recur for every candidate.
        self._plan = lru_cache(_MOST_PLANS)(partial(type(self)._planned, proxy(self)))
        self._replies: dict[Any, list[Continuation]] = {}
        self.told_of_cuts = False
        self._turn_ends = turn_ends(tokenizer)
        self.patch = Patch()

    def load(self, patch: Patch) -> None:
        """Make the loaded model ``base + patch``; see `Mixing.load`."""
        self._replies.clear()
        self.patch = patch
        self.passes.name = self.name
        if patch.low_rank or patch.full_rank or patch.dense or patch.format:
            self.passes.name += " with changed weights"
        self._mixing.load(patch)

    def rounding(self, form: Format) -> Rounding:
        """Rounds the weights of the loaded model together. Candidates have to be merged into it."""
        from pyswarmopt_llm.engine.feedback import Rounding

        return Rounding(self.model, cast(PatchedWeights, self._mixing), self.patch, form)

    def halve_batches(self) -> bool:
        """Make later batches smaller; return whether that was possible."""
        could = self.batch_tokens > 1
        self.batch_tokens = max(self.batch_tokens // 2, 1)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return could

    # Scoring

    @within_memory
    def loglikelihood(self, pairs: Pairs) -> list[float]:
        """Natural log of P(continuation | context) for each pair, summed over the continuation's
        tokens.

        Contexts shared by several pairs and the common prefix of all contexts are computed once.
        """
        totals = torch.zeros(len(pairs), dtype=torch.float64)
        done = 0
        for batch, values in self.scored(pairs):
            totals.index_add_(0, batch.target_pair, values)
            done += len(batch.pairs)
            self.tell(done, len(pairs))
        return totals.tolist()

    def scored(self, pairs: Pairs) -> Iterator[tuple[Batch, Tensor]]:
        """All batches of these pairs, with their targets' log-probabilities."""
        if any(not continuation for _, continuation in pairs):
            raise ValueError("continuations must not be empty")
        for batch, logits in self.passed(pairs):
            yield batch, target_logprobs(batch, logits)

    @torch.inference_mode()
    def passed(self, pairs: Pairs) -> Iterator[tuple[Batch, Tensor]]:
        """All batches of these pairs, each with the logits at its heads, (M, V), in the model's
        dtype; for an empty continuation, the logits of the next token.
        """
        plan = self._plan(tuple(pairs), self.batch_tokens)
        prefix = self.passes.prefix(plan.prefix)
        for batch in plan.batches:
            yield batch, self.passes.logits(batch, prefix)

    def _planned(self, pairs: Pairs, batch_tokens: int) -> BatchPlan:
        encoded: list[TokenPair] = []
        for context, continuation in pairs:
            if continuation:
                encoded.append(self.encode_continuation(context, continuation))
            else:
                encoded.append((self.encode_prompt(context), ()))
        return self.passes.plan(encoded, batch_tokens)

    # Writing

    def generate(
        self, prompts: Sequence[str], max_new_tokens: int = 64, draw: Draw | None = None
    ) -> list[str]:
        """Continuations without special tokens, greedy or sampled; finished rows leave the batch.

        A sampled text depends on its seed, not on the other prompts.
        """
        return [written.text for written in self.write(prompts, max_new_tokens, draw)]

    @within_memory
    def write(
        self, prompts: Sequence[str], max_new_tokens: int = 64, draw: Draw | None = None
    ) -> list[Continuation]:
        """The continuations of `generate`, each with whether it was cut off."""
        from pyswarmopt_llm.engine.generation import write_replies

        # Several scores of the same replies share one writing.
        key = (tuple(prompts), max_new_tokens, draw)
        if key not in self._replies:
            self._replies[key] = write_replies(self, prompts, max_new_tokens, draw)
        return list(self._replies[key])

    def stops(self) -> frozenset[int]:
        """Tokens that end a turn, from the tokenizer, its chat template and the model's generation
        config.
        """
        named = self.model.generation_config.eos_token_id
        if not isinstance(named, list):
            named = [named]
        return frozenset({self.tokenizer.eos_token_id, *named, *self._turn_ends} - {None})


def load_engine(
    base: BaseModel,
    dtype: str,
    device: str,
    threads: int | None,
    batch_tokens: int | None = None,
    whole_models: bool = False,
    mix: str = "auto",
    system: str = "",
    changed: Collection[str] = (),
    rounded: bool = False,
) -> TransformersEngine:
    """Load the base, and choose how candidates are put into it.

    Packed weights stay unchanged, and changes are added at run time. Plain weights are changed in
    place, unless `mix` says otherwise or the device cannot hold a copy of the `changed` ones. On a
    CPU the base's values are read again from its files when needed. On a GPU, where that would be
    slow, the values of changed weights are kept beside the base, unless candidates are
    `whole_models`, which replace all weights, or may be `rounded`, which changes all of them. By
    default a batch has 1,024 tokens on a CPU, and as many as fit on a GPU. Each question comes
    after the turn `system`, if given.

    Raises:
        UserError: there is no such device or dtype, the model cannot be loaded, or its weights
            cannot be changed.
    """
    if rounded:
        mix, whole_models = "merged", True
    if mix == "merged":
        refuse_quantised(base)
    if threads is not None:
        torch.set_num_threads(threads)
    keep_few_products()
    where = pick_device(device)
    model, tokenizer = load_model(base, pick_dtype(dtype, where), where)
    decided: dict[str, Any] = {}
    why = ""
    if base.packing:
        mix = "runtime"
        why = f"the weights of {base.spec} stay quantised ({base.packing})"
    if where.type != "cpu":
        from pyswarmopt_llm.engine.memory import decide

        decided, short = decide(model, mix, changed, batch_tokens)
        mix = decided.get("mix", mix)
        batch_tokens = decided["batch_tokens"]
        why = why or short
    mixing = _mixing(model, base, mix, whole_models)
    engine = TransformersEngine(model, tokenizer, batch_tokens or 1024, mixing)
    engine.name = base.spec
    engine.system = system
    engine.decided = decided
    if why:
        note = "candidates are added to layer outputs at run time, not merged"
        engine.notes = {"mix": f"{note}: {why}"}
    engine.load(Patch())
    return engine


def _mixing(model: Any, base: BaseModel, mix: str, whole_models: bool) -> Mixing:
    """How candidates are put into the model; see `load_engine`."""
    if mix == "runtime":
        from pyswarmopt_llm.engine.added_outputs import AddedOutputs

        return AddedOutputs(model)
    if whole_models or model.device.type == "cpu":
        return PatchedWeights(model, StoredTensors(base.weight_files))
    return PatchedWeights(model)
