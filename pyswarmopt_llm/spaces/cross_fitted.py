"""Weight changes of the experts and of one more, which was trained on the dev items themselves, on top of a mixture.

Where 200 examples do not teach a task, what experts know of related ones does, and training goes further from there
than from the base. So the new expert is a mixture M of the others and a LoRA that was trained with M in place; M is the
best on dev of the experts and of a few even sums, the base among them (`tried`).

All of it is made once on all of dev, and for each fold of dev again without it. On dev, a fold's items are scored with
what has not seen them, choice of M included, so that a search can tell what the new expert is worth on unseen items
(cross-fitting; Wolpert 1992 for the weights of the sum).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from pyswarmopt_llm.common.config import DEV_EXPERT
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import read_json, write_json
from pyswarmopt_llm.common.interfaces import Engine, HeldOut, Patch
from pyswarmopt_llm.models.adapters.adapter import AdapterFile, AdapterInfo, Expert, read_adapter
from pyswarmopt_llm.models.adapters.write import write_adapter
from pyswarmopt_llm.models.choices import Choices
from pyswarmopt_llm.models.training.folds import Share, folds, train_folds
from pyswarmopt_llm.spaces.coefficients import CoefficientSpace
from pyswarmopt_llm.spaces.delta import DeltaSpace
from pyswarmopt_llm.spaces.one_base import AdapterSpace
from pyswarmopt_llm.spaces.starts import even_sums

MIXTURES, WHOLE = "mixtures.json", "whole"


class CrossFittedSpace(AdapterSpace, CoefficientSpace):
    """`DeltaSpace` over n experts and one that is trained on dev.

    The last coefficient v is that of M + LoRA, so that (0, ..., 0, 1) is what was trained, and the weights of the
    experts are c + v M. Until `complete` there are only the candidates with v = 0.

    Args:
        experts: the n experts; those of type `AdapterFile` are read by the first `realise`, and again after `complete`.
        granularity: see `CoefficientSpace`.

    Attributes:
        experts: as given.
    """

    name = "delta"
    linear = True

    def __init__(self, experts: Sequence[Expert], granularity: str = "model") -> None:
        modules = {f"{module}.weight" for expert in experts for module in expert.info.modules}
        super().__init__([*(expert.info.name for expert in experts), DEV_EXPERT], sorted(modules), granularity)
        self.experts, self._granularity = list(experts), granularity
        self._infos = [expert.info for expert in experts]
        self._trained: Sequence[Expert] = ()
        self._mixer: DeltaSpace | None = None
        self._mixtures = torch.zeros(0, len(experts), dtype=torch.float64)
        self._contexts: Sequence[frozenset[str]] = ()

    def tried(self) -> Tensor:
        """The candidates for M, without the new expert: `even_sums` and the n experts, (3 + n, size) float64."""
        given = self.vertices()[:-1]
        return torch.cat([even_sums(given), given])

    def weights(self, position: Tensor) -> dict[str, float]:
        """Expert -> coefficient, of those that are not 0."""
        found = zip(self.expert_names, self.coefficients(position).tolist(), strict=True)
        return {name: weight for name, weight in found if weight}

    def complete(
        self,
        trained: Sequence[Expert],
        mixtures: Sequence[Mapping[str, float]],
        contexts: Sequence[frozenset[str]],
    ) -> None:
        """Put in the new expert.

        Args:
            trained: LoRAs without each fold, and on all of dev; on modules of the experts.
            mixtures: `weights` of what each was trained on top of.
            contexts: prompts of each fold's items.
        """
        self._trained, self._mixer = trained, None
        rows = [[one.get(name, 0.0) for name in self.expert_names[:-1]] for one in mixtures]
        self._mixtures, self._contexts = torch.tensor(rows, dtype=torch.float64), contexts

    def realise(self, position: Tensor) -> Patch:
        """The mixed change; with other changes for the dev items, if it has a share of what was trained on them.

        Raises:
            ValueError: it has, before there is any.
        """
        rows, n = self.by_group(position), len(self.experts)
        if not rows[:, n:].any():
            return self._with(rows, None)
        if not self._contexts:
            raise ValueError("the expert that is trained on dev is not there yet")
        *without, whole = (self._with(rows, which) for which in range(len(self._mixtures)))
        unseen = (HeldOut(contexts, patch) for contexts, patch in zip(self._contexts, without, strict=True))
        return Patch(low_rank=whole.low_rank, held_out=tuple(unseen))

    def _with(self, rows: Tensor, which: int | None) -> Patch:
        """The mixed change with one of those that were trained on dev, or none."""
        if self._mixer is None:
            self._mixer = DeltaSpace([*self.experts, *self._trained], self._granularity)
        n, trained = len(self.experts), len(self._trained)
        given, share = rows[:, :n], rows[:, n:]
        if which is not None:
            given = given + share * self._mixtures[which]
        within = torch.cat([given, share.expand(-1, trained)], dim=1).flatten()
        return self._mixer.realise(within, [n + other for other in range(trained) if other != which])


def train_on_dev(
    space: CrossFittedSpace,
    engine: Engine,
    choices: Sequence[Choices],
    values: Sequence[Mapping[str, float]],
    folder: Path,
    base_name: str,
    seed: int,
    after_epoch: Callable[[float], None] | None = None,
) -> None:
    """Train the new expert, unless it is in `folder` already, and complete the space with it.

    Args:
        space: to be completed; the LoRAs have the rank, scale and modules of its first expert.
        engine: runs the base.
        choices: the dev items.
        values: of each of `space.tried`: prompt of a dev item -> its score.
        folder: where the adapters are or will be: the LoRAs, ``without-K`` for each fold and ``all``, the mixtures on
            top of which they were trained, and ``whole``, the new expert by itself.
        base_name: for their files.
        seed: of the training.
        after_epoch: called with the share of the training that is done, in 0..1.

    Raises:
        UserError: see `complete_from`.
    """
    if not (folder / WHOLE).exists():  # which is written last
        pattern, places = space.experts[0].info, _places(folder, len(folds(choices, seed)))
        tried = space.tried()
        chosen: list[Tensor] = []

        def load(contexts: frozenset[str]) -> None:
            chosen.append(tried[best_of(values, contexts)])
            engine.load(space.realise(chosen[-1]))

        shares = train_folds(engine, choices, pattern, seed, load, after_epoch)
        for place, share in zip(places, shares, strict=True):
            _write(place, share, pattern, base_name)
        weights = zip(places, map(space.weights, chosen), strict=True)
        write_json(folder / MIXTURES, {place.name: one for place, one in weights})
    complete_from(space, folder, choices, seed)
    if not (folder / WHOLE).exists():
        space.save(space.vertices()[-1], folder / WHOLE)


def complete_from(space: CrossFittedSpace, folder: Path, choices: Sequence[Choices], seed: int) -> None:
    """Complete the space with what `train_on_dev` wrote for these items and this seed.

    Raises:
        UserError: the folder lacks the mixtures, as one of an earlier version does, or an adapter; or it is of other
            folds, which that version had.
    """
    found = folds(choices, seed)
    places, mixtures = _places(folder, len(found)), _read(folder / MIXTURES)
    if mixtures.keys() != {place.name for place in places}:
        raise UserError(f"{folder}: trained without other folds by another version; begin a new search")
    trained = [AdapterFile(read_adapter(place, f"dev-{place.name}")) for place in places]
    space.complete(trained, [mixtures[place.name] for place in places], found)


def best_of(values: Sequence[Mapping[str, float]], contexts: frozenset[str]) -> int:
    """Which candidate is best on these prompts, the first of equals.

    Example:
        >>> best_of([{"p": 0.0, "q": 1.0}, {"p": 1.0, "q": 1.0}], frozenset({"p"}))
        1
    """
    means = [fmean(value for prompt, value in one.items() if prompt in contexts) for one in values]
    return means.index(max(means))


def _places(folder: Path, count: int) -> list[Path]:
    """Where the LoRAs are, those without a fold first."""
    return [folder / name for name in (*(f"without-{k + 1}" for k in range(count)), "all")]


def _read(file: Path) -> dict[str, dict[str, float]]:
    try:
        found: dict[str, dict[str, float]] = read_json(file)
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}; restore it, or begin a new search") from error
    return found


def _write(place: Path, share: Share, pattern: AdapterInfo, base_name: str) -> None:
    if not (place / "adapter_config.json").is_file():  # a process may have been stopped between two of them
        write_adapter(
            place,
            {name.removesuffix(".weight"): (change.b, change.a) for name, change in share.changes.items()},
            base_model_name=base_name,
            target_modules=pattern.target_modules,
        )


__all__ = ["CrossFittedSpace", "best_of", "complete_from", "train_on_dev"]
