"""The engine that runs a mixture: several models side by side, one set of weights for their
distributions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.engine.base import BaseEngine
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.tokens.alphabet import same_tokenizer
from pyswarmopt_llm.tokens.decoding import (
    as_text,
    byte_steps,
    exact_pieces,
    exact_tokens,
    token_pieces,
)
from pyswarmopt_llm.tokens.fusion import TOKEN_FUSIONS, Choose, token_fusion
from pyswarmopt_llm.tokens.incremental import TextModel
from pyswarmopt_llm.tokens.side_by_side import check_members
from pyswarmopt_llm.tokens.table import OptionTable, ask_members

FUSIONS = ("exact", "bytes", *TOKEN_FUSIONS)
BYTE_TEXTS = 16  # written together byte by byte: the keys and values of four paths each are held


class MixtureEngine(BaseEngine):
    """Runs sum_i w_i P_i(next token); implements `interfaces.Engine`.

    A prompt here is what a user says: every member puts it into its own chat template.

    Args:
        members: name -> model with its weights in place.
        fusion: how a text is written: ``exact`` (one tokenizer), ``bytes``, or what
            `fusion.token_fusion` knows; ``auto`` is ``exact`` where it can be and else ``bytes``.

    Raises:
        UserError: the members do not fit together (see `check_members`), or not for this fusion.

    Attributes:
        members: as given.
        weights: (n,) float64, summing to 1; all alike until `load`.
        same_tokenizer: whether mixtures are exact at the level of tokens.
        fusion: how texts are written.
    """

    def __init__(self, members: Mapping[str, TransformersEngine], fusion: str = "auto") -> None:
        check_members(members)
        self.members = dict(members)
        self.weights = torch.full((len(members),), 1 / len(members), dtype=torch.float64)
        self.same_tokenizer = same_tokenizer([member.tokenizer for member in members.values()])
        self.fusion = self._fusion(fusion)
        self._choose: tuple[object, Choose] | None = None  # for the weights that wrote last
        self._text_models: dict[int, TextModel] = {}
        self._tables: dict[tuple[tuple[str, str], ...], OptionTable] = {}

    def load(self, patch: Patch) -> None:
        """Take the weights of a mixture; nothing is computed.

        Raises:
            ValueError: the patch does not hold one weight for each member.
        """
        if len(patch.mixture) != len(self.members):
            raise ValueError(f"a mixture of {len(self.members)} members needs as many weights")
        self.weights = torch.tensor(patch.mixture, dtype=torch.float64)

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Natural log of the mixture's P(continuation | user turn); the members are run once,
        whatever the weights.

        With one tokenizer the sum over tokens of log sum_i w_i P_i(token | all before it); else log
        of sum_i w_i P_i(continuation).

        Raises:
            UserError: a member gives NaN, or a text is too long for it.
        """
        key = tuple(pairs)
        if key not in self._tables:
            self._tables[key] = ask_members(self.members, pairs, self.same_tokenizer)
        return self._tables[key].loglikelihood(self.weights)

    def generate(self, prompts: Sequence[str], max_new_tokens: int = 64) -> list[str]:
        """Greedy answers to user turns, special tokens left out."""
        members, weights = self._speaking(prompts, max_new_tokens)
        if self.fusion != "exact":
            texts = [bytearray() for _ in prompts]
            for row, piece in self._pieces(members, weights, prompts, max_new_tokens):
                texts[row] += piece
            return [text.decode("utf-8", errors="replace") for text in texts]
        answers: list[list[int]] = [[] for _ in prompts]
        for step in exact_tokens(members, weights, prompts, max_new_tokens):
            for row, token in step.items():
                answers[row].append(token)
        return [members[0].tokenizer.decode(ids, skip_special_tokens=True) for ids in answers]

    def stream(self, prompt: str, max_new_tokens: int = 64) -> Iterator[str]:
        """The greedy answer to a user turn, piece by piece; with different tokenizers the limit is
        4 bytes a token.
        """
        members, weights = self._speaking([prompt], max_new_tokens)
        if self.fusion != "exact":
            pieces = self._pieces(members, weights, [prompt], max_new_tokens)
            return as_text(piece for _, piece in pieces)
        steps = exact_tokens(members, weights, [prompt], max_new_tokens)
        return exact_pieces(members[0].tokenizer, steps)

    def _pieces(
        self,
        members: Sequence[TransformersEngine],
        weights: Sequence[float],
        prompts: Sequence[str],
        max_new_tokens: int,
    ) -> Iterator[tuple[int, bytes]]:
        """What is written next, and to which answer, by members of several vocabularies."""
        text_models = [self._text_model(member) for member in members]
        if self.fusion == "bytes":
            for start in range(0, len(prompts), BYTE_TEXTS):
                together = prompts[start : start + BYTE_TEXTS]
                for step in byte_steps(text_models, weights, together, max_new_tokens):
                    yield from ((start + row, bytes([byte])) for row, byte in step.items())
            return
        choose = self._chooser(text_models, weights)
        for row, prompt in enumerate(prompts):
            for piece in token_pieces(text_models, choose, prompt, max_new_tokens):
                yield row, piece

    def _chooser(self, text_models: Sequence[TextModel], weights: Sequence[float]) -> Choose:
        """The fusion for these members and weights, made once for all texts that they write."""
        key = ([id(text_model.engine) for text_model in text_models], list(weights))
        if self._choose is None or self._choose[0] != key:
            make = token_fusion(self.fusion)
            if make is None:
                raise ValueError(f"{self.fusion} is no fusion by tokens")
            self._choose = (key, make(text_models, weights))
        return self._choose[1]

    def _speaking(
        self, prompts: Sequence[str], max_new_tokens: int
    ) -> tuple[list[TransformersEngine], list[float]]:
        """The members that have a weight, and their weights, once the prompts are known to fit."""
        pairs = zip(self.members.values(), self.weights.tolist(), strict=True)
        speaking = [(member, weight) for member, weight in pairs if weight != 0.0]
        for member, _ in speaking:
            for prompt in prompts:
                tokens = len(member.encode_prompt(member.chat(prompt)))
                member.check_length(tokens + max_new_tokens, prompt)
        return [member for member, _ in speaking], [weight for _, weight in speaking]

    def _text_model(self, member: TransformersEngine) -> TextModel:
        """Adapters of one base share a vocabulary, which is sorted once."""
        key = id(member.tokenizer)
        if key not in self._text_models:
            self._text_models[key] = TextModel.of(member)
        return TextModel(member, self._text_models[key].vocabulary)

    def _fusion(self, name: str) -> str:
        if name == "auto":
            return "exact" if self.same_tokenizer else "bytes"
        if name == "exact" and not self.same_tokenizer:
            raise InvalidOption("fusion", "exact", "the members' tokenizers differ; use bytes")
        if name not in FUSIONS and token_fusion(name) is None:
            raise unknown("fusion", name, ["auto", *FUSIONS])
        return name

    def chat(self, user: str, earlier: Sequence[Mapping[str, str]] = ()) -> str:
        """The user's turn as it is: a mixture has as many chat templates as members.

        Raises:
            UserError: there are turns before it.
        """
        if earlier:
            raise UserError(
                "a mixture of models takes single turns, no conversations; use one `base`"
            )
        return user

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the members' weights."""
        return next(iter(self.members.values())).dtype
