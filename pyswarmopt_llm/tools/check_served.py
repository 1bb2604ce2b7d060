"""Checks that a running server applies an adapter completely, by comparing its changes there and
here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.batching import TokenPair, encode_pair
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import AdapterInfo, load_factors
from pyswarmopt_llm.experts.base import BaseModel
from pyswarmopt_llm.servers.attach import attach
from pyswarmopt_llm.servers.engine import CandidateServer, log_likelihoods

LETTERS = "ABCD"  # next tokens to compare: every server returns their log-probabilities
APART = 0.1  # share of an adapter's change that may differ, besides the bases' difference
DOUBTFUL = 0.5  # share of the change: if the bases differ by more, there is no verdict
ABSENT = 0.1  # share of the change


def check_served(
    config: SearchConfig,
    base: BaseModel,
    here: TransformersEngine,
    adapters: Sequence[AdapterInfo],
    prompts: Sequence[str],
) -> Iterator[tuple[str, str]]:
    """Adapter name -> its problem on the server; "" if there is none.

    An adapter that the server was started with, under its folder's name, is checked as it is;
    others are sent.

    Args:
        config: has the server's URL, and the folder that both can read.
        base: base that the server runs.
        here: engine with the same base, loaded here.
        adapters: adapters of the base.
        prompts: prompts whose next-token log-probabilities are compared.

    Raises:
        UserError: no server answers, or it runs another base.
    """
    pairs = [(here.chat(prompt), letter) for prompt in prompts for letter in LETTERS]
    there = attach(config, base, lambda: adapters)
    bare_here = _logprobs_here(here, Patch(), pairs)
    encoded = [encode_pair(there.encode, *pair) for pair in pairs]
    bare_there = _logprobs_there(there.server, None, encoded)
    for info in adapters:
        patch = Patch(low_rank=load_factors(info))
        meant = _logprobs_here(here, patch, pairs) - bare_here
        try:
            found = _with_adapter(there.server, info.name, patch, encoded) - bare_there
        except UserError as error:
            yield info.name, error.text
            continue
        yield info.name, verdict(meant, found, float((bare_there - bare_here).norm()))
    here.load(Patch())


def _logprobs_here(
    engine: TransformersEngine, patch: Patch, pairs: Sequence[tuple[str, str]]
) -> Tensor:
    engine.load(patch)
    return torch.tensor(engine.loglikelihood(pairs), dtype=torch.float64)


def _logprobs_there(
    server: CandidateServer, candidate: object, encoded: Sequence[TokenPair]
) -> Tensor:
    return torch.tensor(log_likelihoods(server, candidate, encoded), dtype=torch.float64)


def _with_adapter(
    server: CandidateServer, name: str, patch: Patch, encoded: Sequence[TokenPair]
) -> Tensor:
    started = server.started_with(name)
    if started is not None:
        return _logprobs_there(server, started, encoded)
    candidate = server.load(patch)
    try:
        return _logprobs_there(server, candidate, encoded)
    finally:
        server.unload(candidate)


def verdict(meant: Tensor, found: Tensor, bases: float) -> str:
    """The problem of an adapter on a server; "" if there is none.

    Args:
        meant: change of log-probabilities here, (N,).
        found: change of log-probabilities on the server, (N,).
        bases: norm of the difference between the bases.

    Example:
        >>> change = torch.tensor([3.0, -4.0])
        >>> verdict(change, change * 1.02, bases=0.1)
        ''
        >>> verdict(change, change * 0, bases=0.1).partition(":")[0]
        'is not applied on the server'
        >>> verdict(change, change / 2, bases=0.1).partition(";")[0]
        'is not applied whole on the server: 50% of its change arrives'
    """
    size = float(meant.norm())
    if 2 * bases >= DOUBTFUL * size:
        return (
            f"cannot be told on the server: its base differs from this one by {bases:.2g} nats, the "
            f"adapter by {size:.2g}; name the base that the server runs"
        )
    if float((found - meant).norm()) <= APART * size + 2 * bases:
        return ""
    share = float(found @ meant) / size**2
    if abs(share) <= ABSENT:
        return (
            "is not applied on the server: log-probabilities there are the base's; load it, and ask "
            "for it by its name"
        )
    return (
        f"is not applied whole on the server: {share:.0%} of its change arrives; look at its scale, and "
        "at the modules that the server supports"
    )
