"""What a search writes of its best position, and what it says about it beyond scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import Tensor

from pyswarmopt_llm.common.interfaces import Patch, Space
from pyswarmopt_llm.evaluation.record import Row
from pyswarmopt_llm.models.adapters.adapter import AdapterInfo


def save_truncated(
    space: Space, position: Tensor, rank: int, experts: Sequence[AdapterInfo], folder: Path
) -> dict[str, float]:
    """Write the adapter of that rank that is nearest to a candidate (Eckart & Young 1936).

    Returns:
        `rank`, and `relative_error` in the Frobenius norm over all weights.
    """
    from pyswarmopt_llm.baselines.truncate import truncate_low_rank
    from pyswarmopt_llm.spaces.one_base import save_patch

    cut = {name: truncate_low_rank(change, rank) for name, change in space.realise(position).low_rank.items()}
    save_patch(Patch(low_rank={name: part.change for name, part in cut.items()}), experts, folder)
    lost, whole = sum(part.lost for part in cut.values()), sum(part.whole for part in cut.values())
    return {"rank": rank, "relative_error": math.sqrt(lost / whole) if whole else 0.0}


def items_saved(rows: Iterable[Row], items: int) -> float:
    """Share of the items of all evaluated positions that did not have to be scored.

    Args:
        rows: of the journal.
        items: of a complete evaluation.
    """
    searched = [row for row in rows if row.phase == "search"]
    whole = len({row.key for row in searched}) * items
    return round(1 - sum(row.n for row in searched) / whole, 4)
