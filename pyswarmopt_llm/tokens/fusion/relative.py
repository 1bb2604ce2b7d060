"""Fusion by relative representations (DeePEn: Huang et al. 2024, arXiv 2404.12715).

Vocabularies share some tokens: the anchors. A token is described by how alike its embedding is to
the anchors', which means the same in every model (Moschella et al. 2023, arXiv 2209.15430). Row t
of R is the softmax over anchors of the cosine similarities, normalised to length 1, over the
temperature. A distribution p becomes p R; those are added up; and the sum is brought back into the
vocabulary of the member with the greatest weight by a search for the distribution q = softmax(z)
with least KL(sum || q R), from the member's own logits, by AdamW (Loshchilov & Hutter 2019).

The paper takes all shared tokens as anchors. R then has as many columns as rows, 9 GiB for 49,152
tokens; where it would be larger than `MEMORY`, as many anchors as fit are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.tokens.incremental import IncrementalDecoder, TextModel

RATE = 0.15
RATES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)  # of which one is chosen on dev
STEPS = 5
TEMPERATURE = 0.01
MEMORY = 2**30  # bytes of R for one member


class RelativeRepresentations:
    """Adds distributions up in the space of similarities to shared tokens.

    Args:
        text_models: the members.
        weights: of each.
        rate: step size of the search, in logits; `RATES` are those to choose from on dev.

    Raises:
        UserError: the vocabularies have no token in common.
    """

    def __init__(
        self, text_models: Sequence[TextModel], weights: Sequence[float], rate: float = RATE
    ) -> None:
        self._weights, self._rate = np.asarray(weights), rate
        self._main = int(self._weights.argmax())
        anchors = shared_tokens(text_models)
        # Adapters of one base share their embeddings.
        keys = [
            (_embedding(text_model).data_ptr(), id(text_model.vocabulary))
            for text_model in text_models
        ]
        different = dict(zip(keys, text_models, strict=True))
        made = {
            key: relative_representations(text_model, anchors)
            for key, text_model in different.items()
        }
        self._relative = [made[key] for key in keys]
        self._texts = text_models[self._main].vocabulary.texts

    def __call__(self, decoders: Sequence[IncrementalDecoder]) -> bytes | None:
        """The most probable token of the main vocabulary; None for the end, which needs no
        translation.
        """
        end = sum(
            weight * decoder.end for weight, decoder in zip(self._weights, decoders, strict=True)
        )
        pairs = zip(self._weights, decoders, self._relative, strict=True)
        aim = sum((weight * (as_row(decoder) @ r) for weight, decoder, r in pairs), torch.zeros(()))
        start = as_row(decoders[self._main])
        result = search(
            start / start.sum(), aim / aim.sum(), self._relative[self._main], self._rate
        )
        best = int(result.argmax())
        return self._texts[best] if (1.0 - end) * float(result[best]) > end else None


def as_row(decoder: IncrementalDecoder) -> Tensor:
    """The probabilities of its text tokens, (M,) float32."""
    return torch.from_numpy(decoder.texts).float()


def shared_tokens(text_models: Sequence[TextModel], memory: int = MEMORY) -> list[bytes]:
    """The tokens that all vocabularies have, sorted; drawn evenly where the largest R would exceed
    `memory` bytes.
    """
    shared = sorted(
        set.intersection(*(set(text_model.vocabulary.texts) for text_model in text_models))
    )
    if not shared:
        raise InvalidOption(
            "fusion", "relative", "the members' vocabularies share no token; use `fusion` bytes"
        )
    most = max(
        1, memory // (4 * max(len(text_model.vocabulary.texts) for text_model in text_models))
    )
    if len(shared) <= most:
        return shared
    return [
        shared[i] for i in sorted(np.random.default_rng(0).choice(len(shared), most, replace=False))
    ]


def relative_representations(text_model: TextModel, anchors: Sequence[bytes]) -> Tensor:
    """R: (M, anchors) float32 on the CPU, rows summing to 1, of the tokens in the order of the
    vocabulary.
    """
    vocabulary, weight = text_model.vocabulary, _embedding(text_model)
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
    """A distribution q, near `start`, whose q R is nearer to `aim`: AdamW on the logits of q, loss
    KL(aim || q R).

    Where `start` is right already it stays: AdamW would make full steps of what rounding leaves of
    the gradient.

    Args:
        start: (..., M), each summing to 1.
        aim: (..., anchors), each summing to 1.
        relative: R, (M, anchors), rows summing to 1.
        rate: about how far a step moves a logit.
        steps: how many.
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
            (-(aim * reached.log()).sum()).backward()  # KL but for a constant
            optimizer.step()
    return logits.detach().softmax(-1)
