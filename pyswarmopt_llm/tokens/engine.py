"""The engine of a mixture: several models side by side, and weights for their distributions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.engine.generation import decode
from pyswarmopt_llm.engine.kept import BYTES, Kept, text_bytes
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.tokens.byte_beam import byte_pieces
from pyswarmopt_llm.tokens.fusion import TOKEN_FUSIONS, sampled_pieces, token_pieces
from pyswarmopt_llm.tokens.members import SeveralModels, check_members
from pyswarmopt_llm.tokens.mixing import OptionTable, ask_members, log_mixture
from pyswarmopt_llm.tokens.reading import TextModel
from pyswarmopt_llm.tokens.vocabulary import same_tokenizer

Write = Callable[[str, int], Iterator[bytes]]  # a user turn, most tokens -> pieces of a text
SAMPLED = "sampled"
FUSIONS = ("exact", "bytes", *TOKEN_FUSIONS, SAMPLED)


class MixtureEngine(SeveralModels):
    """Runs sum_i w_i P_i(next token); implements `interfaces.Engine`.

    A prompt is a user's text here: every member puts it into its own chat template.

    Args:
        members: name -> model with its weights in place.
        fusion: how a text is written: ``exact`` (one tokenizer), ``bytes``, or one of
            `TOKEN_FUSIONS`; ``auto`` is ``exact`` where it can be and else ``bytes``. All are greedy
            but ``sampled``, see `sampled_pieces`.
        seed: seed of samples.

    Raises:
        UserError: the members do not fit together (see `check_members`), or do not support the
            fusion.

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

    def __init__(
        self, members: Mapping[str, TransformersEngine], fusion: str = "auto", seed: int = 0
    ) -> None:
        check_members(members)
        self.members = dict(members)
        self.dtype = next(iter(members.values())).dtype
        self.weights = torch.full((len(members),), 1 / len(members), dtype=torch.float64)
        self.same_tokenizer = same_tokenizer([member.tokenizer for member in members.values()])
        self.fusion = self._fusion(fusion)
        self._seed = seed
        self._text_models: dict[int, TextModel] = {}
        self._tables: Kept[OptionTable] = Kept(
            lambda pairs, table: text_bytes(pairs) + table.logprobs.nbytes + table.owner.nbytes,
            BYTES,
        )

    def _fusion(self, name: str) -> str:
        if name == "auto":
            return "exact" if self.same_tokenizer else "bytes"
        if name == "exact" and not self.same_tokenizer:
            raise InvalidOption("fusion", "exact", "the members' tokenizers differ; use bytes")
        if name not in FUSIONS:
            raise unknown("fusion", name, ["auto", *FUSIONS])
        return name

    def load(self, patch: Patch) -> None:
        """Take a mixture's weights; nothing is computed.

        Raises:
            ValueError: the patch does not hold one weight for each member.
        """
        if len(patch.mixture) != len(self.members):
            raise ValueError(f"a mixture of {len(self.members)} members needs as many weights")
        self.weights = torch.tensor(patch.mixture, dtype=torch.float64)

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Natural log of the mixture's P(continuation | user turn); the members run only once for
        all weights.

        With a common tokenizer the sum over tokens of log sum_i w_i P_i(token | earlier tokens);
        else log of sum_i w_i P_i(continuation).

        Raises:
            UserError: a member gives NaN, or a text is too long for it.
        """
        ask = partial(ask_members, self.members, pairs, self.same_tokenizer)
        return self._tables.get(tuple(pairs), ask).loglikelihood(self.weights)

    def generate(self, prompts: Sequence[str], max_new_tokens: int = 64) -> list[str]:
        """Answers to user turns, without special tokens, greedy unless the fusion is ``sampled``;
        with different tokenizers one at a time, limited to 4 bytes per token.

        Raises:
            UserError: a prompt is too long, or weights are negative in sampling.
        """
        chosen = [k for k, weight in enumerate(self.weights.tolist()) if weight != 0.0]
        members = [list(self.members.values())[k] for k in chosen]
        weights = self.weights[chosen]
        for member in members:  # whether prompts are known to fit
            member.encode_prompts([member.chat(prompt) for prompt in prompts], max_new_tokens)
        if self.fusion == "exact":
            return exact_texts(members, weights, prompts, max_new_tokens)
        text_models = [self._text_model(member) for member in members]
        if self.fusion == SAMPLED:
            write = self._sampled(text_models, weights.tolist())
        elif self.fusion == "bytes":
            write = partial(byte_pieces, text_models, weights.tolist())
        else:
            choose = TOKEN_FUSIONS[self.fusion](text_models, weights.tolist())
            write = partial(token_pieces, text_models, choose)
        texts = [b"".join(write(prompt, max_new_tokens)) for prompt in prompts]
        return [text.decode("utf-8", errors="replace") for text in texts]

    def stream(self, prompt: str, max_new_tokens: int = 64) -> Iterator[str]:
        """The answer, written on demand."""
        yield from super().stream(prompt, max_new_tokens)

    def _sampled(self, text_models: Sequence[TextModel], weights: Sequence[float]) -> Write:
        """See `sampled_pieces`."""
        if min(weights) < 0:
            why = "draws members by their weights, of which one is negative; use exact or bytes"
            raise InvalidOption("fusion", SAMPLED, why)
        return partial(
            sampled_pieces,
            text_models,
            weights,
            seed=self._seed,
            one_tokenizer=self.same_tokenizer,
        )

    def _text_model(self, member: TransformersEngine) -> TextModel:
        """Adapters of one base share a vocabulary, sorted once."""
        key = id(member.tokenizer)
        if key not in self._text_models:
            self._text_models[key] = TextModel.of(member)
        return TextModel(member, self._text_models[key].vocabulary)


def exact_texts(
    members: Sequence[TransformersEngine],
    weights: Tensor,
    users: Sequence[str],
    max_new_tokens: int,
) -> list[str]:
    """Greedy answers by sum_i w_i P_i(next token).

    Args:
        members: members with a common tokenizer, possibly with different chat templates.
        weights: weights of the members, (n,) float64.
        users: the user's text for each answer.
        max_new_tokens: most tokens per answer.
    """

    def choose(logits: Sequence[Tensor], _rows: Sequence[int]) -> Tensor:
        logprobs = [part.double().log_softmax(-1).cpu() for part in logits]
        size = min(part.shape[-1] for part in logprobs)  # output layers may be padded differently
        stacked = torch.stack([part[:, :size] for part in logprobs], dim=-1)
        return log_mixture(stacked, weights).argmax(-1)

    decoders = []
    for member in members:
        prompts = [member.encode_prompt(member.chat(user)) for user in users]
        decoders.append(member.decoder(prompts, max_new_tokens))
    stops = frozenset.union(*(member.stops() for member in members))
    answers: list[list[int]] = [[] for _ in users]
    for step in decode(decoders, len(users), choose, stops, max_new_tokens):
        for row, token in step.items():
            answers[row].append(token)
    tokenizer = members[0].tokenizer
    return [tokenizer.decode(ids, skip_special_tokens=True) for ids in answers]
