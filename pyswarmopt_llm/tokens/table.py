"""Log-probabilities of the options under every member, computed once: any mixture's score is then
arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.tokens.mixing import log_mixture


@dataclass(frozen=True)
class OptionTable:
    """Log-probabilities of n members for the parts of some continuations.

    A part is one token where all members cut the continuations alike: then the sum over parts is,
    exactly, the likelihood under the token-level mixture. Else the whole continuation is one part.

    Attributes:
        logprobs: (T, n) float64, natural logarithms.
        owner: (T,) int64, the continuation that a part belongs to.
        n: number of continuations.
        by_token: whether parts are tokens.
    """

    logprobs: Tensor
    owner: Tensor
    n: int
    by_token: bool

    def loglikelihood(self, weights: Tensor) -> list[float]:
        """log P(continuation) under the mixture of (n,) weights: the sum over parts of log sum_i
        w_i p_i.
        """
        totals = torch.zeros(self.n, dtype=torch.float64)
        return totals.index_add_(0, self.owner, log_mixture(self.logprobs, weights)).tolist()


def ask_members(
    members: Mapping[str, TransformersEngine], pairs: Sequence[tuple[str, str]], by_token: bool
) -> OptionTable:
    """Compute every member's log P(continuation | context) of all pairs.

    Args:
        members: name -> a model with its weights in place.
        pairs: (user turn, continuation); each member puts the turn into its own chat template.
        by_token: keep the parts apart by token; possible where the members share a tokenizer,
            unless their chat templates make them split a continuation differently.

    Raises:
        UserError: a member gives NaN, or a text is longer than its context window.
    """
    columns, cuts = [], []
    for name, member in members.items():
        scores = member.score_tokens(
            [(member.chat(context), continuation) for context, continuation in pairs]
        )
        for (context, _), score in zip(pairs, scores, strict=True):
            if bool(score.logprobs.isnan().any()):
                raise UserError(
                    f"{name}: gives NaN for the item that begins {context[:40]!r}; remove the "
                    "member"
                )
        columns.append([score.logprobs for score in scores])
        cuts.append([score.tokens for score in scores])
    n = len(pairs)
    if by_token and all(cut == cuts[0] for cut in cuts):
        owner = torch.tensor(
            [k for k, tokens in enumerate(cuts[0]) for _ in tokens], dtype=torch.int64
        )
        table = torch.stack([torch.cat(column) for column in columns], dim=1)
        return OptionTable(table, owner, n, by_token=True)
    sums = [[values.sum() for values in column] for column in columns]
    table = torch.stack([torch.stack(column) for column in sums], dim=1)
    return OptionTable(table, torch.arange(n), n, by_token=False)
