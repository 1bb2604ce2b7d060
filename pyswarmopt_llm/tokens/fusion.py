"""Ways to write one text with members of different vocabularies, token by token.

Each fusion is made for members and weights, and called with the members' states of the same text;
it returns the next bytes to write. Sampling runs one member at a time. `byte_beam` does not work by
tokens.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.tokens.reading import Text, TextModel

Choose = Callable[[Sequence[Text]], bytes | None]
Make = Callable[[Sequence[TextModel], Sequence[float]], Choose]

RATE = 0.15
STEPS = 5
TEMPERATURE = 0.01
MEMORY = 2**30  # most bytes of R for one member


class Union:
    """Adds the members' token distributions over the union of their vocabularies (GaC: Yu et al.
    2024, arXiv 2406.12585).

    Tokens are identified by their bytes. A token missing in a member has probability 0 there, even
    if the member could write the text in smaller tokens.

    Args:
        text_models: the members.
        weights: weights of the members.
    """

    def __init__(self, text_models: Sequence[TextModel], weights: Sequence[float]) -> None:
        vocabularies = [text_model.vocabulary.texts for text_model in text_models]
        self._weights = weights
        self._texts = sorted(set().union(*vocabularies))
        row = {text: k for k, text in enumerate(self._texts)}
        self._rows = [np.array([row[text] for text in texts]) for texts in vocabularies]

    def __call__(self, reads: Sequence[Text]) -> bytes | None:
        """The most probable token of the union; None for the end."""
        total = np.zeros(len(self._texts))
        end = 0.0
        for weight, rows, read in zip(self._weights, self._rows, reads, strict=True):
            np.add.at(total, rows, weight * read.texts)
            end += weight * read.end
        best = int(total.argmax())
        return self._texts[best] if total[best] > end else None


class RelativeRepresentations:
    """Adds distributions in the space of similarities to shared tokens (DeePEn: Huang et al. 2024,
    arXiv 2404.12715).

    Tokens shared by all vocabularies are anchors. A token is described by its embedding's
    similarities to the anchors', which have the same meaning in every model (Moschella et al. 2023,
    arXiv 2209.15430). A distribution p becomes p R (see `relative_representations`); these are
    added, and `search` maps the sum back to the vocabulary of the member with the greatest weight.

    Args:
        text_models: the members.
        weights: weights of the members.
        rate: step size of the search, in logits, to be chosen on dev.

    Raises:
        InvalidOption: the vocabularies have no token in common.
    """

    def __init__(
        self, text_models: Sequence[TextModel], weights: Sequence[float], rate: float = RATE
    ) -> None:
        self._weights = np.asarray(weights)
        self._rate = rate
        self._main = int(self._weights.argmax())
        anchors = shared_tokens(text_models)
        made: dict[tuple[int, int], Tensor] = {}
        self._relative = []
        for text_model in text_models:  # adapters of one base share their embeddings
            key = (_embedding(text_model).data_ptr(), id(text_model.vocabulary))
            if key not in made:
                made[key] = relative_representations(text_model, anchors)
            self._relative.append(made[key])
        self._texts = text_models[self._main].vocabulary.texts

    def __call__(self, reads: Sequence[Text]) -> bytes | None:
        """The most probable token of the main vocabulary; None for the end, which is not
        translated.
        """
        end = 0.0
        aim = torch.zeros(())
        for weight, read, relative in zip(self._weights, reads, self._relative, strict=True):
            end += weight * read.end
            aim = aim + weight * (_as_row(read) @ relative)
        start = _as_row(reads[self._main])
        result = search(
            start / start.sum(), aim / aim.sum(), self._relative[self._main], self._rate
        )
        best = int(result.argmax())
        return self._texts[best] if (1.0 - end) * float(result[best]) > end else None


def _as_row(read: Text) -> Tensor:
    """The probabilities of a member's text tokens, (M,) float32."""
    return torch.from_numpy(read.texts).float()


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
    if len(shared) <= most:
        return shared
    drawn = np.random.default_rng(0).choice(len(shared), most, replace=False)
    return [shared[i] for i in sorted(drawn)]


def relative_representations(text_model: TextModel, anchors: Sequence[bytes]) -> Tensor:
    """R: (M, anchors) float32 on the CPU, with tokens in the vocabulary's order.

    Row t is the softmax, with a temperature, over anchors of the cosine similarities normalised to
    length 1.
    """
    vocabulary = text_model.vocabulary
    weight = _embedding(text_model)
    normalize = torch.nn.functional.normalize
    rows = normalize(weight[torch.from_numpy(vocabulary.ids).to(weight.device)].float(), dim=-1)
    row = {text: k for k, text in reversed(list(enumerate(vocabulary.texts)))}
    similar = normalize(rows @ rows[[row[text] for text in anchors]].T, dim=-1)
    return similar.div_(TEMPERATURE).softmax(-1).cpu()


def _embedding(text_model: TextModel) -> Tensor:
    weight: Tensor = text_model.engine.model.get_input_embeddings().weight
    return weight.detach()


def search(
    start: Tensor, aim: Tensor, relative: Tensor, rate: float = RATE, steps: int = STEPS
) -> Tensor:
    """A distribution q, near `start`, whose q R is closer to `aim`: AdamW (Loshchilov & Hutter
    2019) on the logits of q, loss KL(aim || q R).

    If `start` is already right it is returned: AdamW would make full steps along rounding errors of
    the gradient.

    Args:
        start: (..., M), each summing to 1.
        aim: (..., anchors), each summing to 1.
        relative: R, (M, anchors), rows summing to 1.
        rate: approximate change of a logit per step.
        steps: number of steps.
    """
    if torch.allclose(start @ relative, aim, rtol=1e-5, atol=0.0):
        return start
    tiny = torch.finfo(start.dtype).tiny
    with torch.enable_grad():
        logits = start.clamp(min=tiny).log().requires_grad_()
        optimizer = torch.optim.AdamW([logits], lr=rate)
        for _ in range(steps):
            optimizer.zero_grad()
            reached = (logits.softmax(-1) @ relative).clamp(min=tiny)
            (-(aim * reached.log()).sum()).backward()  # KL up to a constant
            optimizer.step()
    return logits.detach().softmax(-1)


TOKEN_FUSIONS: dict[str, Make] = {"union": Union, "relative": RelativeRepresentations}


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
        reads = [
            read.read((*first.ids, *read.text_model.encode(written)))
            for first, read in zip(start, reads, strict=True)
        ]


def sampled_pieces(
    text_models: Sequence[TextModel],
    weights: Sequence[float],
    user: str,
    max_new_tokens: int,
    *,
    seed: int,
    one_tokenizer: bool,
) -> Iterator[bytes]:
    """The tokens of a text sampled from a mixture, as bytes, at the cost of one model.

    To sample a token from sum_i w_i P_i(token), draw a member i by w, then a token from P_i: the
    other members need not run (arXiv 2605.00419). When drawn, a member reads what it has missed in
    one pass.

    With a common tokenizer this samples the mixture of next-token distributions. Otherwise tokens
    are identified by their bytes, as in `Union`, and every member reads the text in its own
    tokens.

    Args:
        text_models: the members.
        weights: weights of the members, none below 0.
        user: the user's text.
        max_new_tokens: most tokens of the text.
        seed: the same seed and prompt give the same text.
        one_tokenizer: whether the members share a tokenizer.
    """
    draws = random.Random(f"{seed} {user}")
    known = [text_model.begin(user) for text_model in text_models]
    starts = [read.ids for read in known]
    ids: list[int] = []
    written = b""
    for _ in range(max_new_tokens):
        (turn,) = draws.choices(range(len(text_models)), weights)
        text_model = text_models[turn]
        own = ids if one_tokenizer else text_model.encode(written)
        read = known[turn].read((*starts[turn], *own))
        if read.full:
            return
        known[turn] = read
        cumulative = np.cumsum([*read.texts, read.end])
        drawn = draws.random() * cumulative[-1]
        index = int(np.searchsorted(cumulative, drawn, side="right"))
        if index >= len(read.texts):
            return
        vocabulary = text_model.vocabulary
        yield vocabulary.texts[index]
        written += vocabulary.texts[index]
        ids.append(int(vocabulary.ids[index]))
