"""The engine of a mixture: several loaded models, and weights for their distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache, partial

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Pairs, Patch
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.engine.batching import Prompts
from pyswarmopt_llm.engine.generation import write
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.tokens.members import (
    SeveralModels,
    check_answers,
    check_templates,
    has_template,
)
from pyswarmopt_llm.tokens.mixing import ask_members, log_mixture
from pyswarmopt_llm.tokens.reading import TextModel
from pyswarmopt_llm.tokens.vocabulary import require_common_alphabet, same_tokenizer
from pyswarmopt_llm.tokens.writing import TOKEN_FUSIONS, byte_pieces, token_pieces

_MOST_TABLES = 64  # answers of all members that an engine keeps
FUSIONS = ("exact", "bytes", *TOKEN_FUSIONS)


class MixtureEngine(SeveralModels):
    """Runs sum_i w_i P_i(next token); implements `interfaces.Engine`.

    A prompt is a user's text here: every member puts it into its own chat template.

    Args:
        members: name -> model with its weights in place.
        fusion: how a text is written: ``exact`` (one tokenizer), ``bytes``, or one of
            `TOKEN_FUSIONS`; ``auto`` is ``exact`` where it can be and else ``bytes``. All are greedy.

    Raises:
        UserError: only some members have a chat template, tokenizers differ without a common
            alphabet, a member returns NaN, or the fusion does not suit them.

    Attributes:
        members: as given.
        weights: (n,) float64, summing to 1; equal until `load`.
        same_tokenizer: whether mixtures are exact at the token level.
        fusion: how texts are written.

    Example:
        >>> members = {name: sl.open_model(f"models/{name}") for name in ("gpt2", "gemma3")}  # doctest: +SKIP
        >>> engine = MixtureEngine(members)  # doctest: +SKIP
        >>> engine.load(sl.Patch(mixture=(0.3, 0.7)))  # doctest: +SKIP
        >>> engine.generate(["Hello!"], max_new_tokens=4)  # doctest: +SKIP
        ['...']
    """

    def __init__(self, members: Mapping[str, TransformersEngine], fusion: str = "auto") -> None:
        check_templates({name: has_template(member) for name, member in members.items()})
        tokenizers = {name: member.tokenizer for name, member in members.items()}
        self.same_tokenizer = same_tokenizer([*tokenizers.values()])
        if not self.same_tokenizer:
            require_common_alphabet(tokenizers)
        check_answers(members)
        self.members = dict(members)
        self.dtype = next(iter(members.values())).dtype
        self.weights = torch.full((len(members),), 1 / len(members), dtype=torch.float64)
        if fusion == "auto":
            fusion = "exact" if self.same_tokenizer else "bytes"
        if fusion == "exact" and not self.same_tokenizer:
            raise InvalidOption(
                "fusion", "exact", "needs members with the same tokenizer; use bytes"
            )
        if fusion not in FUSIONS:
            raise unknown("fusion", fusion, ["auto", *FUSIONS])
        self.fusion = fusion
        ask = partial(ask_members, self.members, by_token=self.same_tokenizer)
        self._table = lru_cache(_MOST_TABLES)(ask)
        self._text_model = cache(TextModel)

    def load(self, patch: Patch) -> None:
        """Take a mixture's weights, one for each member; nothing is computed."""
        self.weights = torch.tensor(patch.mixture, dtype=torch.float64)

    def loglikelihood(self, pairs: Pairs) -> list[float]:
        """Natural log of the mixture's P(continuation | user turn); the members run only once for
        all weights.

        With a common tokenizer the sum over tokens of log sum_i w_i P_i(token | earlier tokens);
        else log of sum_i w_i P_i(continuation).

        Raises:
            UserError: a member gives NaN, or a text is too long for it.
        """
        return self._table(tuple(pairs)).loglikelihood(self.weights)

    def generate(self, prompts: Sequence[str], max_new_tokens: int = 64) -> list[str]:
        """Greedy answers to user turns, without special tokens; with different tokenizers one at a
        time, limited to 4 bytes per token.

        Raises:
            UserError: a prompt is too long.
        """
        pairs = zip(self.members.values(), self.weights.tolist(), strict=True)
        used = [(member, weight) for member, weight in pairs if weight]
        members = [member for member, _ in used]
        weights = [weight for _, weight in used]
        encoded = [
            [member.encode_prompt(member.chat(prompt), max_new_tokens) for prompt in prompts]
            for member in members
        ]
        if self.fusion == "exact":
            return exact_texts(members, weights, encoded, max_new_tokens)
        text_models = [self._text_model(member) for member in members]
        pieces = partial(byte_pieces, text_models, weights)
        if self.fusion in TOKEN_FUSIONS:
            choose = TOKEN_FUSIONS[self.fusion](text_models, weights)
            pieces = partial(token_pieces, text_models, choose)
        texts = [b"".join(pieces(prompt, max_new_tokens)) for prompt in prompts]
        return [text.decode("utf-8", errors="replace") for text in texts]


def exact_texts(
    members: Sequence[TransformersEngine],
    weights: Sequence[float],
    prompts: Sequence[Prompts],
    max_new_tokens: int,
) -> list[str]:
    """Greedy answers by sum_i w_i P_i(next token).

    Args:
        members: members with a common tokenizer, possibly with different chat templates.
        weights: weights of the members.
        prompts: for each member the token ids of all prompts.
        max_new_tokens: maximum number of tokens per answer.
    """
    shares = torch.tensor(weights, dtype=torch.float64)

    def choose(logits: Sequence[Tensor], _rows: Sequence[int]) -> Tensor:
        logprobs = [part.double().log_softmax(-1).cpu() for part in logits]
        size = min(part.shape[-1] for part in logprobs)  # output layers may be padded differently
        stacked = torch.stack([part[:, :size] for part in logprobs], dim=-1)
        return log_mixture(stacked, shares).argmax(-1)

    answers = write(members, prompts, max_new_tokens, choose)
    tokenizer = members[0].tokenizer
    return [tokenizer.decode(ids, skip_special_tokens=True) for ids in answers]
