"""Write one text with several members: exactly where they share a tokenizer, byte by byte or by
fusion where not.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.engine.generation import decode
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.tokens.byte_beam import END, ByteBeam
from pyswarmopt_llm.tokens.byte_mixture import ByteMixture
from pyswarmopt_llm.tokens.fusion import Choose
from pyswarmopt_llm.tokens.incremental import TextModel, run_pending
from pyswarmopt_llm.tokens.mixing import log_mixture

# of English text in common vocabularies; how a limit in tokens becomes one in bytes
BYTES_PER_TOKEN = 4


def exact_tokens(
    members: Sequence[TransformersEngine],
    weights: Sequence[float],
    users: Sequence[str],
    max_new_tokens: int,
) -> Iterator[dict[int, int]]:
    """Greedy tokens of sum_i w_i P_i(next token): after each step the new token of each text that
    goes on.

    Args:
        members: with one tokenizer; their chat templates may differ.
        weights: of each.
        users: what the user says, one for each text.
        max_new_tokens: most tokens of each text.
    """
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


def exact_pieces(tokenizer: object, steps: Iterable[dict[int, int]]) -> Iterator[str]:
    """The text of the first row as it grows; a character that is not whole yet waits."""
    ids: list[int] = []
    text = shown = ""
    for step in steps:
        ids += [step[0]] if 0 in step else []
        text = str(tokenizer.decode(ids, skip_special_tokens=True))  # type: ignore[attr-defined]
        if not text.endswith("\ufffd"):
            yield text[len(shown) :]
            shown = text
    if text != shown:
        yield text[len(shown) :]


def byte_steps(
    text_models: Sequence[TextModel],
    weights: Sequence[float],
    users: Sequence[str],
    max_new_tokens: int,
) -> Iterator[dict[int, int]]:
    """Greedy bytes of a `ByteMixture` for each user's turn: after each step the new byte of each
    text that goes on.

    All members' forward passes of a step are made for all texts together. A text ends where a
    member's context window does.
    """
    mixtures = {
        row: ByteMixture([ByteBeam(text_model.begin(user)) for text_model in text_models], weights)
        for row, user in enumerate(users)
    }
    for _ in range(BYTES_PER_TOKEN * max_new_tokens):
        mixtures = {row: mixture for row, mixture in mixtures.items() if not mixture.full}
        run_pending(decoder for mixture in mixtures.values() for decoder in mixture.decoders)
        chosen = {row: int(mixture.next_bytes().argmax()) for row, mixture in mixtures.items()}
        mixtures = {row: mixture for row, mixture in mixtures.items() if chosen[row] != END}
        if not mixtures:
            return
        yield {row: chosen[row] for row in mixtures}
        for row, mixture in mixtures.items():
            mixture.push(chosen[row])


def token_pieces(
    text_models: Sequence[TextModel], choose: Choose, user: str, max_new_tokens: int
) -> Iterator[bytes]:
    """Tokens that a fusion chooses, each then read by every member in its own tokens."""
    start = [text_model.begin(user) for text_model in text_models]
    decoders, text = start, b""
    for _ in range(max_new_tokens):
        if any(decoder.full for decoder in decoders):
            return
        piece = choose(decoders)
        if piece is None:
            return
        yield piece
        text += piece
        # A character that is not whole cannot be tokenised yet: the members then read what is.
        readable = text.decode("utf-8", errors="ignore")
        decoders = [
            decoder.read((*first.ids, *decoder.text_model.encode(readable)))
            for first, decoder in zip(start, decoders, strict=True)
        ]


def as_text(pieces: Iterable[bytes]) -> Iterator[str]:
    """Text as its bytes come; what is no UTF-8 becomes U+FFFD.

    Example:
        >>> list(as_text([b"a", b"\\xc3", b"\\xa9"]))
        ['a', 'é']
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for piece in pieces:
        if text := decoder.decode(piece):
            yield text
    if last := decoder.decode(b"", final=True):
        yield last
