"""Rounding with error feedback, against a transcription of its paper, and the file's own tool."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.feedback import Rounding
from pyswarmopt_llm.engine.input_moments import input_moments
from pyswarmopt_llm.engine.mixing import PatchedWeights
from pyswarmopt_llm.formats import find_format
from pyswarmopt_llm.formats.feedback import DAMPING, block_grid, rounded_with_feedback
from pyswarmopt_llm.formats.gguf_types import rounded
from pyswarmopt_llm.formats.packed import FILE, PackedWeights, read_packed

KINDS = ("Q4_0", "Q4_1", "Q5_0", "Q5_1")
ROWS, WIDTH = 6, 64


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def inputs() -> Tensor:
    """Correlated inputs, (500, WIDTH)."""
    return normal(500, 8, seed=1) @ normal(8, WIDTH, seed=2) + 0.1 * normal(500, WIDTH, seed=3)


@pytest.fixture
def merged() -> tuple[Tensor, Tensor]:
    """A base, and the same with a change of rank 2 that is small beside a step."""
    base = normal(ROWS, WIDTH, seed=4)
    return base, base + 0.02 * normal(ROWS, 2, seed=5) @ normal(2, WIDTH, seed=6)


def by_the_paper(value: Tensor, base: Tensor, kind: str, moments: Tensor) -> np.ndarray:
    """Frantar et al. 2023, equations 2 and 3: each column is rounded, the others take over its error by the
    inverse Hessian, from which the column is then removed by Gaussian elimination. One row at a time.
    """
    hessian = moments.double().numpy()
    hessian = hessian + DAMPING * np.diag(hessian).mean() * np.eye(len(hessian))
    order = np.argsort(-np.diag(moments.double().numpy()), kind="stable")
    first = rounded(base, kind).numpy()
    found = np.empty_like(first)
    for number, row in enumerate(value.double().numpy()):
        left, inverse = row.copy(), np.linalg.inv(hessian)
        for q in order:
            block = slice(q // 32 * 32, q // 32 * 32 + 32)
            codes = gguf.quantize(first[number : number + 1], gguf.GGMLQuantizationType[kind])
            head = codes.reshape(-1, codes.size // (WIDTH // 32))[q // 32, :4].view(np.float16)
            step = float(head[0])
            count = 16 if kind.startswith("Q4") else 32
            low = float(head[1]) if kind.endswith("_1") else -step * count / 2
            values = (
                np.float32(step) * np.arange(count, dtype=np.float32) + np.float32(low)
            ).astype(float)
            ends = {values[0], values[-1]} if kind.endswith("_1") else {values[0]}
            own = first[number, block][q % 32]
            choice = own if own in ends else values[np.abs(values - left[q]).argmin()]
            found[number, q] = choice
            error = (left[q] - choice) / inverse[q, q]
            left -= error * inverse[:, q]
            inverse -= np.outer(inverse[:, q], inverse[q]) / inverse[q, q]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_papers_rule(kind: str, inputs: Tensor, merged: tuple[Tensor, Tensor]) -> None:
    base, value = merged
    moments = inputs.T @ inputs
    ours = rounded_with_feedback(value, block_grid(base, kind), moments)
    theirs = by_the_paper(value, base, kind, moments)
    # a tie may fall either way in float32
    assert (ours.numpy() == theirs).mean() > 0.98
    apart = (ours - value) @ inputs.T
    expected = (torch.from_numpy(theirs) - value) @ inputs.T
    assert apart.square().mean() == pytest.approx(float(expected.square().mean()), rel=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_the_formats_own_tool_finds_the_same_values(
    kind: str, inputs: Tensor, merged: tuple[Tensor, Tensor]
) -> None:
    base, value = merged
    found = rounded_with_feedback(value, block_grid(base, kind), inputs.T @ inputs)
    of_file = gguf.GGMLQuantizationType[kind]
    again = gguf.dequantize(gguf.quantize(found.numpy(), of_file), of_file)
    assert np.array_equal(again, found.numpy())


def test_a_change_that_nearest_rounding_erases_is_kept(
    inputs: Tensor, merged: tuple[Tensor, Tensor]
) -> None:
    base, value = merged
    on_grid = rounded(base, "Q4_1")
    change = value - base
    erased = rounded(on_grid + change, "Q4_1") - on_grid
    grid = block_grid(on_grid, "Q4_1")
    kept = rounded_with_feedback(on_grid + change, grid, inputs.T @ inputs) - on_grid

    def share(left: Tensor) -> float:
        """The share of the change of the outputs that is left."""
        wanted, found = change @ inputs.T, left @ inputs.T
        return float((wanted * found).sum() / wanted.square().sum())

    assert share(erased) < 0.3
    assert share(kept) > 0.7


def test_inputs_that_never_occur_do_no_harm(merged: tuple[Tensor, Tensor]) -> None:
    base, value = merged
    found = rounded_with_feedback(value, block_grid(base, "Q4_0"), torch.zeros(WIDTH, WIDTH))
    # nothing is known of the inputs, so each weight goes to its nearest value
    plain = rounded_with_feedback(value, block_grid(base, "Q4_0"), torch.eye(WIDTH))
    assert torch.equal(found, plain)


def test_moments_are_of_all_tokens_and_end_with_the_context() -> None:
    layer = nn.Linear(3, 2)
    texts = [normal(2, 5, 3, seed=1), normal(7, 3, seed=2)]
    with input_moments({"a": layer}) as moments:
        for text in texts:
            layer(text)
    layer(normal(4, 3, seed=3))
    rows = torch.cat([text.reshape(-1, 3) for text in texts])
    assert torch.allclose(moments["a"], rows.T @ rows)


def test_packed_weights_are_read_as_they_were_saved(tmp_path: Path) -> None:
    values = rounded(normal(ROWS, WIDTH), "Q5_1")
    folder = tmp_path / "best"
    folder.mkdir()
    PackedWeights.of([("a.weight", "Q5_1", values)]).save(folder, "q5_1")
    found = read_packed(folder, "q5_1")
    assert found.keys() == {"a.weight"}
    assert torch.equal(found["a.weight"], values)
    assert not read_packed(folder, "q4_1")
    (folder / "other").touch()
    assert (folder / FILE).stat().st_mode == (folder / "other").stat().st_mode


def test_a_file_without_a_format_is_refused(tmp_path: Path) -> None:
    save_file({"a.weight": torch.zeros(2, 20, dtype=torch.uint8)}, tmp_path / FILE)
    with pytest.raises(UserError, match="does not say its format"):
        read_packed(tmp_path, "q4_1")


class Small(nn.Module):
    """Two layers, the second of which stands on the grid of Q4_1."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH, bias=False)
        self.second = nn.Linear(WIDTH, ROWS, bias=False)
        with torch.no_grad():
            self.first.weight.copy_(normal(WIDTH, WIDTH, seed=7))
            self.second.weight.copy_(rounded(normal(ROWS, WIDTH, seed=8), "Q4_1"))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))

    def get_output_embeddings(self) -> None:
        return None

    def get_input_embeddings(self) -> None:
        return None


def test_only_what_rounding_changes_is_rounded_together(inputs: Tensor) -> None:
    model = Small()
    mixing = PatchedWeights(model)
    form = find_format("q4_1")
    mixing.load(Patch())
    assert [*Rounding(model, mixing, Patch(), form).types] == ["first.weight"]
    change = Patch({"second.weight": LowRank(normal(ROWS, 1), 0.01 * normal(1, WIDTH))})
    mixing.load(change)
    rounding = Rounding(model, mixing, change, form)
    assert [*rounding.types] == ["first.weight", "second.weight"]

    found = {name: values for name, _, values in rounding.weights(lambda: model(inputs))}
    seen = inputs @ model.first.weight.T  # by the layer before, which is not rounded yet
    value = model.second.weight.detach()
    base = value - change.low_rank["second.weight"].dense()
    expected = rounded_with_feedback(value, block_grid(base, "Q4_1"), seen.T @ seen)
    assert (found["second.weight"] == expected).float().mean() > 0.98

    mixing.load(Patch(change.low_rank, format=form, rounded=found))
    assert torch.equal(model.second.weight, found["second.weight"])
    mixing.load(Patch())
    assert torch.equal(model.second.weight, rounded(normal(ROWS, WIDTH, seed=8), "Q4_1"))


def test_layers_that_do_not_fit_into_memory_take_turns(
    inputs: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Small()
    mixing = PatchedWeights(model)
    rounding = Rounding(model, mixing, Patch(), find_format("q4_0"))
    read: list[int] = []

    def reading() -> None:
        read.append(1)
        model(inputs)

    together = [values for *_, values in rounding.weights(reading)]
    assert len(read) == 1
    monkeypatch.setattr("pyswarmopt_llm.engine.feedback.MOST_BYTES", 4 * WIDTH**2)
    apart = [values for *_, values in rounding.weights(reading)]
    assert len(read) == 3
    assert all(map(torch.equal, together, apart))
