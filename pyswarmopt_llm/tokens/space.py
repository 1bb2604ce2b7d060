"""Averages next-token distributions, P = sum c_i P_i, for experts of any architecture (Feng et al.
2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from pyswarmopt_llm.common.config import MIXTURE, SearchConfig
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Engine, Patch
from pyswarmopt_llm.mix.coefficients import CoefficientSpace
from pyswarmopt_llm.mix.kind import Pool, SpaceKind
from pyswarmopt_llm.tokens.engine import MixtureEngine
from pyswarmopt_llm.tokens.members import (
    TokenMember,
    load_members,
    open_members,
    pool_of,
    read_members,
    undamaged,
    write_members,
)
from pyswarmopt_llm.tokens.mixing import mixing_weights


class TokenSpace(CoefficientSpace):
    """A space of coefficients of next-token distributions: n numbers for n members; each member is
    a unit vector.

    Args:
        members: models and adapters.
    """

    name = "token"

    def __init__(self, members: Sequence[TokenMember]) -> None:
        super().__init__([member.name for member in members])
        self._members = tuple(members)

    def coefficients(self, position: Tensor) -> Tensor:
        """The weights at a position, (n,) float64, summing to 1."""
        return mixing_weights(position)

    def realise(self, position: Tensor) -> Patch:
        """The mixture at `position`."""
        return Patch(mixture=tuple(self.coefficients(position).tolist()))

    def save(self, position: Tensor, out: Path) -> None:
        """Write a directory with ``mixture.json``: the members' names, paths and fingerprints, and
        the weights.

        Raises:
            UserError: `out` exists already.
        """
        write_members(Path(out) / MIXTURE, self._members, self.realise(position).mixture)

    def read(self, folder: Path) -> Patch:
        """The mixture written by `save`, to the bit.

        Raises:
            UserError: the file is damaged, or a member has changed.
        """
        return read_mixture(folder)[1]


def read_mixture(folder: str | Path) -> tuple[tuple[TokenMember, ...], Patch]:
    """The members of a saved mixture, and the mixture; the members' files are checked, not loaded.

    Raises:
        UserError: the file is damaged, or a member is missing or has changed.
    """
    file = user_path(folder) / MIXTURE
    content, members = read_members(file)
    with undamaged(file):
        weights = tuple(float(row["weight"]) for row in content["members"])
    return members, Patch(mixture=weights)


def open_mixture(
    folder: str | Path,
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    fusion: str = "auto",
) -> MixtureEngine:
    """Load the mixture of a directory such as RUN/best.

    Args:
        folder: directory with ``mixture.json``.
        dtype: dtype of the weights, as in a search.
        device: where the models run.
        threads: CPU threads; None: PyTorch's choice.
        fusion: see `MixtureEngine`.

    Returns:
        An engine with all members loaded, at the stored weights.

    Raises:
        UserError: the file is damaged, or a member cannot be loaded or has changed.

    Example:
        >>> members = ("models/gpt2", "models/gemma3")  # doctest: +SKIP
        >>> config = sl.SearchConfig("", members, ("questions.json",), "runs/two", space="token")  # doctest: +SKIP
        >>> engine = open_mixture(sl.search(config).run / "best")  # doctest: +SKIP
        >>> engine.weights.tolist(), engine.generate(["Hello!"], max_new_tokens=4)  # doctest: +SKIP
        ([0.3, 0.7], ['...'])
    """
    members, patch = read_mixture(folder)
    engine = MixtureEngine(load_members(members, dtype, device, threads), fusion)
    engine.load(patch)
    return engine


def prepare(kind: SpaceKind, config: SearchConfig) -> tuple[Pool, Engine]:
    """The members of a search, loaded, and the space over them.

    Raises:
        UserError: a member cannot be loaded, or they do not fit together.
    """
    members, loaded = open_members(config)
    return pool_of(TokenSpace(members), members), MixtureEngine(loaded)


Token = SpaceKind(
    "token",
    make=prepare,
    library="",
    saved_as=MIXTURE,
    open=open_mixture,
    description=(
        "A weighted sum of the next-token distributions of {experts} `mixture.json` names the "
        "models, which stay where they are. Use this directory as a base model:"
    ),
)
