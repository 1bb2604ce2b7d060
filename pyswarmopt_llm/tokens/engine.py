"""The engine that runs a mixture: several models side by side, one set of weights for their
distributions.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.interfaces import Engine, Patch
from pyswarmopt_llm.common.registry import unknown
from pyswarmopt_llm.engine.generation import decode
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.tokens.byte_beam import byte_pieces
from pyswarmopt_llm.tokens.fusion import TOKEN_FUSIONS, token_pieces
from pyswarmopt_llm.tokens.members import check_members
from pyswarmopt_llm.tokens.mixing import OptionTable, ask_members, log_mixture
from pyswarmopt_llm.tokens.reading import TextModel
from pyswarmopt_llm.tokens.vocabulary import same_tokenizer

FUSIONS = ("exact", "bytes", *TOKEN_FUSIONS)
Speaking = tuple[list[TransformersEngine], list[float]]  # members and their weights


class MixtureEngine(Engine):
    """Runs sum_i w_i P_i(next token); implements `interfaces.Engine`.

    A prompt here is what a user says: every member puts it into its own chat template.

    Args:
        members: name -> model with its weights in place.
        fusion: how a text is written: ``exact`` (one tokenizer), ``bytes``, or one of
            `TOKEN_FUSIONS`; ``auto`` is ``exact`` where it can be and else ``bytes``.

    Raises:
        UserError: the members do not fit together (see `check_members`), or not for this fusion.

    Attributes:
        members: as given.
        weights: (n,) float64, summing to 1; all alike until `load`.
        same_tokenizer: whether mixtures are exact at the level of tokens.
        fusion: how texts are written.

    Example:
        >>> members = {name: sl.open_model(f"models/{name}") for name in ("gpt2", "gemma3")}  # doctest: +SKIP
        >>> engine = MixtureEngine(members)  # doctest: +SKIP
        >>> engine.load(sl.Patch(mixture=(0.3, 0.7)))  # doctest: +SKIP
        >>> engine.generate(["Hello!"], max_new_tokens=4)  # doctest: +SKIP
        ['...']
    """

    def __init__(self, members: Mapping[str, TransformersEngine], fusion: str = "auto") -> None:
        check_members(members)
        self.members = dict(members)
        self.dtype = next(iter(members.values())).dtype
        self.weights = torch.full((len(members),), 1 / len(members), dtype=torch.float64)
        self.same_tokenizer = same_tokenizer([member.tokenizer for member in members.values()])
        self.fusion = self._fusion(fusion)
        self._text_models: dict[int, TextModel] = {}
        self._tables: dict[tuple[tuple[str, str], ...], OptionTable] = {}

    def _fusion(self, name: str) -> str:
        if name == "auto":
            return "exact" if self.same_tokenizer else "bytes"
        if name == "exact" and not self.same_tokenizer:
            raise InvalidOption("fusion", "exact", "the members' tokenizers differ; use bytes")
        if name not in FUSIONS:
            raise unknown("fusion", name, ["auto", *FUSIONS])
        return name

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
        speaking = self._speaking(prompts, max_new_tokens)
        if self.fusion != "exact":
            write = self._writer(speaking)
            texts = [b"".join(write(prompt, max_new_tokens)) for prompt in prompts]
            return [text.decode("utf-8", errors="replace") for text in texts]
        answers: list[list[int]] = [[] for _ in prompts]
        for step in exact_tokens(speaking, prompts, max_new_tokens):
            for row, token in step.items():
                answers[row].append(token)
        tokenizer = speaking[0][0].tokenizer
        return [tokenizer.decode(ids, skip_special_tokens=True) for ids in answers]

    def stream(self, prompt: str, max_new_tokens: int = 64) -> Iterator[str]:
        """The greedy answer to a user turn, piece by piece; with different tokenizers the limit is
        4 bytes a token.
        """
        speaking = self._speaking([prompt], max_new_tokens)
        if self.fusion != "exact":
            pieces = self._writer(speaking)(prompt, max_new_tokens)
            return codecs.iterdecode(pieces, "utf-8", errors="replace")
        return exact_pieces(speaking, prompt, max_new_tokens)

    def _writer(self, speaking: Speaking) -> Callable[[str, int], Iterator[bytes]]:
        """Writes an answer to a prompt, by members of several vocabularies."""
        members, weights = speaking
        text_models = [self._text_model(member) for member in members]
        if self.fusion == "bytes":
            return partial(byte_pieces, text_models, weights)
        choose = TOKEN_FUSIONS[self.fusion](text_models, weights)
        return partial(token_pieces, text_models, choose)

    def _speaking(self, prompts: Sequence[str], max_new_tokens: int) -> Speaking:
        """The members that have a weight, and their weights, once the prompts are known to fit."""
        pairs = zip(self.members.values(), self.weights.tolist(), strict=True)
        speaking = [(member, weight) for member, weight in pairs if weight != 0.0]
        for member, _ in speaking:
            member.encode_prompts([member.chat(prompt) for prompt in prompts], max_new_tokens)
        return [member for member, _ in speaking], [weight for _, weight in speaking]

    def _text_model(self, member: TransformersEngine) -> TextModel:
        """Adapters of one base share a vocabulary, which is sorted once."""
        key = id(member.tokenizer)
        if key not in self._text_models:
            self._text_models[key] = TextModel.of(member)
        return TextModel(member, self._text_models[key].vocabulary)

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


def exact_tokens(
    speaking: Speaking, users: Sequence[str], max_new_tokens: int
) -> Iterator[dict[int, int]]:
    """Greedy tokens of sum_i w_i P_i(next token): after each step the new token of each text that
    goes on.

    Args:
        speaking: members with one tokenizer, whose chat templates may differ, and their weights.
        users: what the user says, one for each text.
        max_new_tokens: most tokens of each text.
    """
    members, weights = speaking
    w = torch.tensor(weights, dtype=torch.float64)

    def choose(logits: Sequence[Tensor], _rows: Sequence[int]) -> Tensor:
        logprobs = [part.double().log_softmax(-1).cpu() for part in logits]
        size = min(part.shape[-1] for part in logprobs)  # output layers may be padded differently
        return log_mixture(torch.stack([part[:, :size] for part in logprobs], dim=-1), w).argmax(-1)

    decoders = []
    for member in members:
        prompts = [member.encode_prompt(member.chat(user)) for user in users]
        decoders.append(member.decoder(prompts, max_new_tokens))
    stops = frozenset.union(*(member.stops() for member in members))
    yield from decode(decoders, len(users), choose, stops, max_new_tokens)


def exact_pieces(speaking: Speaking, user: str, max_new_tokens: int) -> Iterator[str]:
    """The text of `exact_tokens` as it grows; a character that is not whole yet waits."""
    tokenizer = speaking[0][0].tokenizer
    ids: list[int] = []
    text = shown = ""
    for step in exact_tokens(speaking, [user], max_new_tokens):
        ids += step.values()
        text = str(tokenizer.decode(ids, skip_special_tokens=True))
        if not text.endswith("\ufffd"):
            yield text[len(shown) :]
            shown = text
    if text != shown:
        yield text[len(shown) :]
