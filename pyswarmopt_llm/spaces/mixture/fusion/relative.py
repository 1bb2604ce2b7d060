"""Fusion by relative representations (DeePEn: Huang et al. 2024, arXiv 2404.12715).

Vocabularies share some tokens: the anchors. A token is described by how alike its embedding is to the anchors', which
means the same in every model (Moschella et al. 2023, arXiv 2209.15430): row t of R is the softmax over anchors of the
cosine similarities. A distribution p becomes p R; those are added up; and the sum is brought back into the vocabulary
of the member with the greatest weight by a search for the distribution q with least KL(sum || q R), starting from the
member's own. The paper's search steps along the gradient; here the steps are exponentiated (Kivinen and Warmuth 1997),
which keeps q a distribution.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.spaces.mixture.incremental import IncrementalDecoder, TextModel

ANCHORS = 512
STEPS = 5
RATE = 0.5
TEMPERATURE = 0.1  # of the softmax over similarities, which differ little from token to token


class RelativeRepresentations:
    """Adds distributions up in the space of similarities to shared tokens.

    Args:
        text_models: the members.
        weights: of each.

    Raises:
        UserError: the vocabularies have no token in common.
    """

    def __init__(self, text_models: Sequence[TextModel], weights: Sequence[float]) -> None:
        self._weights = np.asarray(weights)
        self._main = int(self._weights.argmax())
        shared = set.intersection(*(set(text_model.vocabulary.texts) for text_model in text_models))
        if not shared:
            raise UserError("--fusion relative: the members' vocabularies share no token; use --fusion bytes")
        anchors = sorted(shared, key=lambda text: (-len(text), text))[:ANCHORS]  # the longest say most
        self._relative = [relative_representations(text_model, anchors) for text_model in text_models]
        self._texts = text_models[self._main].vocabulary.texts

    def __call__(self, decoders: Sequence[IncrementalDecoder]) -> bytes | None:
        """The most probable token of the main vocabulary; None for the end, which needs no translation."""
        end = sum(weight * decoder.end for weight, decoder in zip(self._weights, decoders, strict=True))
        aim = sum(w * (r.texts @ m) for w, r, m in zip(self._weights, decoders, self._relative, strict=True))
        start = decoders[self._main].texts
        found = search(start / start.sum(), aim / aim.sum(), self._relative[self._main])
        best = int(found.argmax())
        return self._texts[best] if (1.0 - end) * found[best] > end else None


def relative_representations(text_model: TextModel, anchors: Sequence[bytes]) -> NDArray[np.float32]:
    """R: (M, anchors) float32, rows summing to 1, of the tokens in the order of the vocabulary."""
    vocabulary = text_model.vocabulary
    weight = text_model.engine.model.get_output_embeddings().weight.detach()
    rows = torch.nn.functional.normalize(weight[torch.from_numpy(vocabulary.ids).to(weight.device)].float(), dim=-1)
    place = {text: k for k, text in reversed(list(enumerate(vocabulary.texts)))}
    similar = rows @ rows[[place[text] for text in anchors]].T
    return (similar / TEMPERATURE).softmax(-1).cpu().numpy()


def search(
    start: NDArray[np.float64], aim: NDArray[np.float64], relative: NDArray[np.float32], steps: int = STEPS
) -> NDArray[np.float64]:
    """A distribution q, near `start`, whose q R is nearer to `aim`: exponentiated gradient on KL(aim || q R).

    The gradient with respect to q is -R (aim / q R).

    Args:
        start: (M,) summing to 1.
        aim: (anchors,) summing to 1.
        relative: R, (M, anchors), rows summing to 1.
        steps: how many.
    """
    q = start
    for _ in range(steps):
        gradient = -(relative @ (aim / np.maximum(q @ relative, np.finfo(float).tiny)))
        log_q = np.log(np.maximum(q, np.finfo(float).tiny)) - RATE * gradient
        q = np.exp(log_q - log_q.max())
        q = q / q.sum()
    return q
