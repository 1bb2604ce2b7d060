"""What is left of an adapter after rounding: all of it, none of it, and figures worked out apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from changed_copies import changed_copy, each
from llm_fixtures import save_by_hand
from safetensors.torch import load_file

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.experts.adapter import read_adapter
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.formats import find_format
from pyswarmopt_llm.formats.gguf_types import rounded
from pyswarmopt_llm.formats.survival import Survival, survival

Q = "model.layers.0.self_attn.q_proj"  # (32, 32)
DOWN = "model.layers.0.mlp.down_proj"  # (32, 64)


@pytest.fixture(scope="module")
def gridded(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base after Q4_1, in float32."""

    def on_grid(name: str, value: torch.Tensor) -> torch.Tensor:
        return rounded(value, "Q4_1") if name.endswith("proj.weight") else value.float()

    return changed_copy(tiny_base, tmp_path_factory.mktemp("grid") / "base", each(on_grid))


def adapter(folder: Path, size: float, modules: tuple[str, ...] = (Q,)) -> Path:
    """A change of rank 1 with entries of this size, all of one sign."""
    widths = {Q: 32, DOWN: 64}
    factors = {name: ([[size]] * 32, [[1.0] * widths[name]]) for name in modules}
    return save_by_hand(folder, factors)


def found(base: Path, lora: Path, *names: str) -> list[Survival]:
    formats = [find_format(name) for name in names]
    return survival(resolve_base(str(base)), read_adapter(lora), formats)


def test_a_change_below_half_a_step_is_gone_from_a_base_on_the_grid(
    gridded: Path, tmp_path: Path
) -> None:
    """Noise of alternating sign, since a change of one sign would move the whole grid."""
    signs = [[0.004 * (-1) ** row] for row in range(32)]
    across = [[float((-1) ** (column // 3)) for column in range(32)]]
    lora = save_by_hand(tmp_path / "small", {Q: (signs, across)})
    four, eight = found(gridded, lora, "q4_1", "q8_0")
    assert four.whole.slope < 0.3 and four.lost
    assert eight.whole.slope > 0.6 and not eight.lost


def test_the_figures_are_those_of_the_rounded_matrices(tiny_base: Path, tmp_path: Path) -> None:
    lora = adapter(tmp_path / "both", 0.05, (Q, DOWN))
    (left,) = found(tiny_base, lora, "q5_0")

    stored = load_file(tiny_base / "model.safetensors")
    d, c = [], []
    for name, width in ((Q, 32), (DOWN, 64)):
        weight = stored[f"{name}.weight"].float()
        change = torch.full((32, width), 0.05)
        d.append((rounded(weight + change, "Q5_0") - rounded(weight, "Q5_0")).double().ravel())
        c.append(change.double().ravel())
    slopes = [float(one @ two / (two @ two)) for one, two in zip(d, c, strict=True)]
    all_d, all_c = torch.cat(d).numpy(), torch.cat(c).numpy()
    assert left.whole.slope == pytest.approx(all_d @ all_c / (all_c @ all_c))
    size = np.linalg.norm(all_d) * np.linalg.norm(all_c)
    assert left.whole.correlation == pytest.approx(all_d @ all_c / size)
    expected = dict(zip((Q, DOWN), slopes, strict=True))
    assert {one.module: one.slope for one in left.worst} == pytest.approx(expected)
    assert left.worst[0].slope <= left.worst[1].slope


def test_all_is_left_where_the_format_leaves_a_matrix_alone(
    tiny_base: Path, tmp_path: Path
) -> None:
    """And of a change that is zero nothing can be lost."""
    lora = adapter(tmp_path / "zero", 0.0)
    (left,) = found(tiny_base, lora, "q4_0")
    assert (left.whole.slope, left.whole.correlation) == (1.0, 1.0)


def test_a_packed_base_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    packed = changed_copy(
        tiny_base, tmp_path / "packed", quantization_config={"quant_method": "gptq"}
    )
    lora = adapter(tmp_path / "a", 0.1)
    with pytest.raises(UserError, match=r"quantised weights \(gptq\)"):
        found(packed, lora, "q4_0")
