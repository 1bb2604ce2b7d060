"""Ways to write one text with members of different vocabularies, token by token.

Each fusion is made for members and weights, and called with the members' states of the same text;
it returns the next bytes to write. `byte_beam` does not work by tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.tokens.reading import Text, TextModel

Choose = Callable[[Sequence[Text]], bytes | None]
Make = Callable[[Sequence[TextModel], Sequence[float]], Choose]

RATE = 0.15
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
    vocabularies = [text_model.vocabulary.texts for text_model in text_models]
    every = sorted(set().union(*vocabularies))
    row = {text: k for k, text in enumerate(every)}
    rows = [np.array([row[text] for text in texts]) for texts in vocabularies]

    def choose(reads: Sequence[Text]) -> bytes | None:
        total = np.zeros(len(every))
        for weight, places, read in zip(weights, rows, reads, strict=True):
            np.add.at(total, places, weight * read.texts)
        best = int(total.argmax())
        return every[best] if total[best] > _end(weights, reads) else None

    return choose


def relative(
    text_models: Sequence[TextModel], weights: Sequence[float], rate: float = RATE
) -> Choose:
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
        rate: step size of the search, in logits, to be chosen on dev.

    Raises:
        InvalidOption: the vocabularies have no token in common.
    """
    main = int(np.argmax(weights))
    texts = text_models[main].vocabulary.texts
    anchors = shared_tokens(text_models)
    spaces = [relative_representations(text_model, anchors) for text_model in text_models]

    def choose(reads: Sequence[Text]) -> bytes | None:
        own = [torch.from_numpy(read.texts).float() for read in reads]
        parts = zip(weights, own, spaces, strict=True)
        aim = torch.stack([weight * (p @ space) for weight, p, space in parts]).sum(0)
        found = search(own[main] / own[main].sum(), aim / aim.sum(), spaces[main], rate)
        best = int(found.argmax())
        end = _end(weights, reads)
        return texts[best] if (1.0 - end) * float(found[best]) > end else None

    return choose


def _end(weights: Sequence[float], reads: Sequence[Text]) -> float:
    """The mixture's probability that the text ends."""
    return sum(weight * read.end for weight, read in zip(weights, reads, strict=True))


def shared_tokens(text_models: Sequence[TextModel]) -> list[bytes]:
    """The tokens shared by all vocabularies, sorted.

    The paper uses all of them as anchors. R then has as many columns as rows, 9 GiB for 49,152
    tokens; if the largest R would exceed `MEMORY` bytes, an even sample that fits is used.
    """
    vocabularies = [text_model.vocabulary.texts for text_model in text_models]
    shared = sorted(set(vocabularies[0]).intersection(*vocabularies))
    if not shared:
        raise InvalidOption(
            "fusion", "relative", "the members' vocabularies share no token; use `fusion` bytes"
        )
    most = max(1, MEMORY // (4 * max(map(len, vocabularies))))
    return shared[:: math.ceil(len(shared) / most)]


def relative_representations(text_model: TextModel, anchors: Sequence[bytes]) -> Tensor:
    """R: (M, anchors) float32 on the CPU, with tokens in the vocabulary's order.

    Row t is the softmax, with a temperature, over anchors of the cosine similarities normalised to
    length 1.
    """
    vocabulary = text_model.vocabulary
    weight = text_model.engine.model.get_input_embeddings().weight.detach()
    rows = normalize(weight[torch.from_numpy(vocabulary.ids).to(weight.device)].float(), dim=-1)
    places = [vocabulary.place[text] for text in anchors]
    similar = normalize(rows @ rows[places].T, dim=-1)
    return similar.div_(TEMPERATURE).softmax(-1).cpu()


def search(start: Tensor, aim: Tensor, relative: Tensor, rate: float = RATE) -> Tensor:
    """A distribution q, near `start`, whose q R is closer to `aim`: AdamW (Loshchilov & Hutter
    2019) on the logits of q, loss KL(aim || q R).

    If `start` is already right it is returned: AdamW would make full steps along rounding errors of
    the gradient.

    Args:
        start: (..., M), each summing to 1.
        aim: (..., anchors), each summing to 1.
        relative: R, (M, anchors), rows summing to 1.
        rate: approximate change of a logit per step.
    """
    if torch.allclose(start @ relative, aim, rtol=1e-5, atol=0.0):
        return start
    tiny = torch.finfo(start.dtype).tiny
    with torch.enable_grad():
        logits = start.clamp(min=tiny).log().requires_grad_()
        optimizer = torch.optim.AdamW([logits], lr=rate)
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
        piece = None if any(read.full for read in reads) else choose(reads)
        if piece is None:
            return
        yield piece
        written += piece
        ids = [(*first.ids, *first.text_model.encode(written)) for first in start]
        reads = [read.read(longer) for read, longer in zip(reads, ids, strict=True)]
