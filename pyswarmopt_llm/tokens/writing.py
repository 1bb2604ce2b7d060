"""Ways to write one text with members of different tokenizers: byte by byte, or token by token.

A text of bytes has many tokenisations. The probability that a model's text begins with given bytes
is the sum over all token sequences that cover them, the last token ending there or beyond (Vieira
et al. 2024, arXiv 2412.03719: prefix probabilities by covers); the next byte's distribution is a
quotient of two such sums. Here a *path* is a sequence of tokens read so far and the bytes of an
unfinished token; paths of little weight are dropped.

A fusion of tokens is made for members and weights, and called with the members' states of the same
text; it returns the next bytes to write.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pyswarmopt.base.arrays import Floats
from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.tokens.reading import Text, TextModel

END = 256  # index after the bytes in a distribution: the end of the text
# bytes per token of English text in common vocabularies; converts limits
BYTES_PER_TOKEN = 4
# Bytes inside a word: letters and digits of ASCII, and every byte of all other characters.
_INSIDE = frozenset(byte for byte in range(256) if byte >= 0x80 or chr(byte).isalnum())


@dataclass(frozen=True)
class _Path:
    """Tokens already read, and an unfinished token.

    Attributes:
        weight: probability of the read tokens, up to a common factor.
        read: the text of these tokens.
        begun: bytes of the unfinished token, or empty.
    """

    weight: float
    read: Text
    begun: bytes = b""

    def next_bytes(self) -> Floats:
        """Weight of each next byte, (257,); the end only between tokens."""
        own = self.read.text_model.next_bytes(self.begun, self.read.texts)
        return self.weight * np.append(own, 0.0 if self.begun else self.read.end)

    def longer(self, byte: int) -> Iterator[tuple[float, _Path]]:
        """The paths with another byte: the unfinished token, and those it completes; each with the
        probability of its bytes.
        """
        text_model = self.read.text_model
        begun = self.begun + bytes([byte])
        start, longer, following = text_model.continuing(begun)
        unfinished = self.read.texts[longer : longer + len(following)].sum()
        yield self.weight * float(unfinished), replace(self, begun=begun)
        for place in range(start, longer):
            weight = self.weight * float(self.read.texts[place])
            ids = (*self.read.ids, int(text_model.ids[place]))
            yield weight, _Path(weight, self.read.read(ids))


class ByteBeam:
    """One member's text, byte by byte.

    Args:
        prompt: prompt read by the member.
        paths: maximum number of paths to keep; more paths approximate the sum over tokenisations
            better.
        least: paths with a smaller share of the weight are dropped.
    """

    def __init__(self, prompt: Text, paths: int = 4, least: float = 1e-3) -> None:
        self._most = paths
        self._least = least
        self._prompt = prompt
        self._written = b""
        self._paths = [_Path(1.0, prompt)]

    @property
    def full(self) -> bool:
        """Whether the member's context window is full."""
        return any(path.read.full for path in self._paths)

    def next_bytes(self) -> Floats:
        """P(next byte) for 0 to 255, and P(end) at `END`: (257,), summing to 1.

        All 0 if the member has no token for a byte already read.
        """
        weights = sum((path.next_bytes() for path in self._paths), np.zeros(END + 1))
        return weights / (weights.sum() or 1.0)

    def push(self, byte: int) -> None:
        """Read another byte."""
        self._written += bytes([byte])
        candidates = [longer for path in self._paths for longer in path.longer(byte)]
        total = sum(share for share, _ in candidates)
        candidates.sort(key=lambda candidate: -candidate[0])
        self._paths = [
            replace(path, weight=path.weight / total)
            for share, path in candidates[: self._most]
            if share > self._least * total
        ]
        if not self._paths:
            self._cut_anew()

    def _cut_anew(self) -> None:
        """The text retokenised, longest token first, when no kept path continues with its bytes.

        No path if the member has no token for some byte: it contributes nothing from here on.
        """
        ids = self._prompt.text_model.cut(self._written)
        if ids is not None:
            self._paths = [_Path(1.0, self._prompt.read((*self._prompt.ids, *ids)))]


def byte_pieces(
    text_models: Sequence[TextModel], weights: Sequence[float], user: str, max_new_tokens: int
) -> Iterator[bytes]:
    """The greedy bytes of a mixture, in which words are mixed like tokens in the exact mixture; the
    text ends when a member's context window is full.
    """
    beams = [ByteBeam(text_model.begin(user)) for text_model in text_models]
    start = within = np.array(weights)
    for _ in range(BYTES_PER_TOKEN * max_new_tokens):
        members = np.stack([beam.next_bytes() for beam in beams])
        byte = int((within @ members).argmax())
        if byte == END or any(beam.full for beam in beams):
            return
        yield bytes([byte])
        within = weights_within_word(start, within * members[:, byte], byte)
        for beam in beams:
            beam.push(byte)


def weights_within_word(start: Floats, shares: Floats, byte: int) -> Floats:
    """The members' weights after another byte.

    With a common tokenizer, token t is written with probability sum_i c_i P_i(t), and the weights c
    apply again to the next token. With bytes, using c for every byte would let members that do not
    agree on a word finish each other's words. So within a word a member's weight follows from the
    word's beginning by Bayes' rule: the word w is then written with probability sum_i c_i P_i(w),
    and after it c applies again.

    Args:
        start: the weights c, (n,).
        shares: the members' weighted probabilities of the byte, (n,), with a positive sum.
        byte: the byte.
    """
    if byte in _INSIDE:
        return shares / shares.sum()
    return start


Choose = Callable[[Sequence[Text]], bytes | None]
Make = Callable[[Sequence[TextModel], Sequence[float]], Choose]

RATE = 0.15  # approximate change of a logit per step of the search
STEPS = 5
TEMPERATURE = 0.01
MEMORY = 2**30  # most bytes of R for one member


def union(text_models: Sequence[TextModel], weights: Sequence[float]) -> Choose:
    """Adds the members' token distributions over the union of their vocabularies (GaC: Yu et al.
    2024, arXiv 2406.12585).

    Tokens are identified by their bytes. A token missing in a member has probability 0 there, even
    if the member could write the text in smaller tokens. The most probable token is chosen; None
    for the end.

    Args:
        text_models: the members.
        weights: weights of the members.
    """
    vocabularies = [text_model.texts for text_model in text_models]
    every = sorted(set().union(*vocabularies))
    row = {text: k for k, text in enumerate(every)}
    rows = [np.array([row[text] for text in texts]) for texts in vocabularies]

    def choose(reads: Sequence[Text]) -> bytes | None:
        total = np.zeros(len(every))
        for weight, places, read in zip(weights, rows, reads, strict=True):
            np.add.at(total, places, weight * read.texts)
        best = int(total.argmax())
        if total[best] > _end(weights, reads):
            return every[best]
        return None

    return choose


def relative(text_models: Sequence[TextModel], weights: Sequence[float]) -> Choose:
    """Adds distributions in the space of similarities to shared tokens (DeePEn: Huang et al. 2024,
    arXiv 2404.12715).

    Tokens shared by all vocabularies are anchors. A token is described by its embedding's
    similarities to the anchors', which have the same meaning in every model (Moschella et al. 2023,
    arXiv 2209.15430). A distribution p becomes p R (see `relative_representations`); these are
    added, and `search` maps the sum back to the vocabulary of the member with the greatest weight.
    Its most probable token is chosen; None for the end, which is not translated.

    Args:
        text_models: the members.
        weights: weights of the members.

    Raises:
        InvalidOption: the vocabularies have no token in common.
    """
    main = int(np.argmax(weights))
    texts = text_models[main].texts
    anchors = shared_tokens(text_models)
    spaces = [relative_representations(text_model, anchors) for text_model in text_models]

    def choose(reads: Sequence[Text]) -> bytes | None:
        own = [torch.from_numpy(read.texts).float() for read in reads]
        parts = zip(weights, own, spaces, strict=True)
        aim = torch.stack([weight * (p @ space) for weight, p, space in parts]).sum(0)
        found = search(own[main] / own[main].sum(), aim / aim.sum(), spaces[main])
        best = int(found.argmax())
        end = _end(weights, reads)
        if (1.0 - end) * float(found[best]) > end:
            return texts[best]
        return None

    return choose


def _end(weights: Sequence[float], reads: Sequence[Text]) -> float:
    """The mixture's probability that the text ends."""
    return sum(weight * read.end for weight, read in zip(weights, reads, strict=True))


def shared_tokens(text_models: Sequence[TextModel]) -> list[bytes]:
    """The tokens shared by all vocabularies, sorted.

    The paper uses all of them as anchors. R then has as many columns as rows, 9 GiB for 49,152
    tokens; if the largest R would exceed `MEMORY` bytes, an even sample that fits is used.
    """
    vocabularies = [text_model.texts for text_model in text_models]
    shared = sorted(set(vocabularies[0]).intersection(*vocabularies))
    if not shared:
        raise InvalidOption(
            "fusion", "relative", "needs members whose vocabularies share tokens; use bytes"
        )
    most = MEMORY // (4 * max(map(len, vocabularies)))
    return shared[:: math.ceil(len(shared) / most)]


def relative_representations(text_model: TextModel, anchors: Sequence[bytes]) -> Tensor:
    """R: (M, anchors) float32 on the CPU, with tokens in the vocabulary's order.

    Row t is the softmax, with a temperature, over anchors of the cosine similarities normalised to
    length 1.
    """
    weight = text_model.engine.model.get_input_embeddings().weight.detach()
    rows = normalize(weight[torch.from_numpy(text_model.ids).to(weight.device)].float(), dim=-1)
    places = [text_model.place[text] for text in anchors]
    similar = normalize(rows @ rows[places].T, dim=-1)
    return similar.div_(TEMPERATURE).softmax(-1).cpu()


def search(start: Tensor, aim: Tensor, relative: Tensor) -> Tensor:
    """A distribution q, near `start`, whose q R is closer to `aim`: AdamW (Loshchilov & Hutter
    2019) on the logits of q, loss KL(aim || q R).

    If `start` is already right it is returned: AdamW would make full steps along rounding errors of
    the gradient.

    Args:
        start: (..., M), each summing to 1.
        aim: (..., anchors), each summing to 1.
        relative: R, (M, anchors), rows summing to 1.
    """
    if torch.allclose(start @ relative, aim, rtol=1e-5, atol=0.0):
        return start
    tiny = torch.finfo(start.dtype).tiny
    with torch.enable_grad():
        logits = start.clamp(min=tiny).log().requires_grad_()
        optimizer = torch.optim.AdamW([logits], lr=RATE)
        for _ in range(STEPS):
            optimizer.zero_grad()
            reached = (logits.softmax(-1) @ relative).clamp(min=tiny)
            (-(aim * reached.log()).sum()).backward()  # KL up to a constant
            optimizer.step()
    return logits.detach().softmax(-1)


TOKEN_FUSIONS: dict[str, Make] = {"union": union, "relative": relative}


def token_pieces(
    text_models: Sequence[TextModel], choose: Choose, user: str, max_new_tokens: int
) -> Iterator[bytes]:
    """The tokens chosen by a fusion; every member reads each in its own tokens."""
    start = [text_model.begin(user) for text_model in text_models]
    reads = start
    written = b""
    for _ in range(max_new_tokens):
        if any(read.full for read in reads):
            return
        piece = choose(reads)
        if piece is None:
            return
        yield piece
        written += piece
        ids = [(*first.ids, *first.text_model.encode(written)) for first in start]
        reads = [read.read(longer) for read, longer in zip(reads, ids, strict=True)]
