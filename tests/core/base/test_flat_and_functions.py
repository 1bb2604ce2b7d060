"""Flat views of named tensors; the toy functions at their optima and against SciPy."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

import pyswarmopt as pso

SHAPES = st.dictionaries(
    st.text("abc.0", min_size=1), st.lists(st.integers(0, 3), max_size=3), max_size=5
)


@given(shapes=SHAPES)
def test_flatten_and_views_are_inverse_and_share_memory(shapes):
    generator = torch.Generator().manual_seed(0)
    named = {name: torch.rand(shape, generator=generator) for name, shape in shapes.items()}
    layout = pso.FlatView(named)
    flat = layout.flatten(named)
    assert flat.tolist() == [v for tensor in named.values() for v in tensor.flatten().tolist()]
    views = layout.views(flat)
    for name, tensor in named.items():
        assert torch.equal(views[name], tensor)
        views[name].add_(1.0)
    assert torch.equal(flat, layout.flatten({name: tensor + 1.0 for name, tensor in named.items()}))
    assert layout.size == flat.numel()


def test_a_module_stands_for_its_parameters():
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1))
    layout, flat = pso.FlatView(net), torch.nn.utils.parameters_to_vector(net.parameters()).detach()
    assert layout.names == tuple(dict(net.named_parameters())) and layout.size == flat.numel()
    assert torch.equal(layout.flatten(net), flat) and layout.flatten(net).dtype == torch.float32
    layout.load(net, 2 * flat.double())
    assert torch.equal(torch.nn.utils.parameters_to_vector(net.parameters()), 2 * flat)
    assert all(p.requires_grad and p.dtype == torch.float32 for p in net.parameters())
    named = {name: torch.zeros(shape) for name, shape in layout.shapes.items()}
    layout.load(named, flat)
    assert torch.equal(layout.flatten(named), flat)
    with pytest.raises(ValueError, match="names or shapes"):
        layout.load(torch.nn.Linear(2, 3), flat)


def test_flat_view_refuses_what_does_not_fit():
    layout = pso.FlatView({"a": torch.zeros(2), "b": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"\['b', 'c'\]"):
        layout.flatten({"a": torch.zeros(2), "c": torch.zeros(1)})
    with pytest.raises(ValueError, match="names or shapes"):
        layout.flatten({"a": torch.zeros(1, 2), "b": torch.zeros(1)})
    with pytest.raises(ValueError, match="vector of 3"):
        layout.views(torch.zeros(4))
    with pytest.raises(ValueError, match="contiguous"):
        layout.views(torch.zeros(6)[::2])


FUNCTIONS = list(pso.functions.ALL.values())
IN_DIMENSIONS = [(f, dim) for f in FUNCTIONS for dim in (2, 5, 10) if f.defined_in(dim)]


@pytest.mark.parametrize(
    ("function", "dim"), IN_DIMENSIONS, ids=lambda v: getattr(v, "name", str(v))
)
def test_toy_functions_have_their_optimum_where_they_say(function, dim):
    x, f = function.optimum(dim), function.optimal_value(dim)
    assert function(x) == pytest.approx(f, abs=1e-9 * max(1, abs(f)))
    low, high = function.domain
    assert (x >= low).all() and (x <= high).all() and len(function.bounds(dim)) == dim
    rng = np.random.default_rng(0)
    far = rng.uniform(low, high, (500, dim))
    near = x + rng.normal(0, 1e-3, (500, dim))
    assert (function(far) > f).all() and (function(near) > f - 1e-9 * max(1, abs(f))).all()
    # Every combination of steps of many sizes, which a random cloud would not meet.
    steps = [sign * (high - low) * 10.0**-k for k in range(1, 9) for sign in (-1, 1)] + [0.0]
    lines = np.concatenate(
        [x + np.array(steps)[:, None] * axis for axis in np.eye(dim)] + [x + np.c_[steps]]
    )
    assert (function(lines) > f - 1e-9 * max(1, abs(f))).all()


def test_toy_functions_refuse_dimensions_in_which_they_are_not_defined():
    with pytest.raises(ValueError, match="himmelblau needs points with 2"):
        pso.functions.himmelblau(np.zeros(3))
    with pytest.raises(ValueError, match=r"lunacek .* at least 2"):
        pso.functions.lunacek(np.zeros(1))


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.name)
def test_toy_functions_agree_between_numpy_torch_and_shapes(function):
    x = np.random.default_rng(1).uniform(*function.domain, (3, 4, function.max_dim or 6))
    values = function(x)
    assert values.shape == (3, 4)
    torch.testing.assert_close(
        function(torch.tensor(x)), torch.tensor(values), rtol=1e-12, atol=1e-12
    )
    assert function(torch.tensor(x, dtype=torch.float32)).dtype == torch.float32
    np.testing.assert_allclose(function(x[1, 2]), values[1, 2], rtol=1e-12)
    with pytest.raises(ValueError, match=function.name):
        function(3.0)


def test_toy_functions_at_points_worked_by_hand():
    f = pso.functions
    assert f.ellipsoid([1.0, 1.0, 1.0]) == 1 + 1e3 + 1e6
    assert f.rastrigin([0.5, 1.0]) == pytest.approx(20 + (0.25 + 10) + (1 - 10))
    assert f.ackley([1.0, 1.0]) == pytest.approx(20 - 20 * np.exp(-0.2))
    assert f.griewank([np.pi, 0.0]) == pytest.approx(2 + np.pi**2 / 4000)
    assert f.schwefel([0.0, 0.0]) == pytest.approx(837.9657745448674)
    assert f.lunacek([-2.5, 2.5]) == pytest.approx(2 + _lunacek_other_funnel(-2.5, 2.5))
    assert f.beale([1.0, 2.0]) == 2.5**2 + 5.25**2 + 9.625**2
    # a local minimum (Dixon & Szego 1978)
    assert f.goldstein_price([1.2, 0.8]) == pytest.approx(840)
    assert f.six_hump_camel([1.0, 1.0]) == pytest.approx(4 - 2.1 + 1 / 3 + 1)
    assert f.easom([np.pi, 0.0]) == pytest.approx(np.exp(-(np.pi**2)))


def _lunacek_other_funnel(*x):
    """s sum (x_i - m)^2 in two dimensions, from the formulas of Lunacek et al. 2008; the cosines
    vanish at +-2.5.
    """
    s = 1 - 1 / (2 * np.sqrt(22) - 8.2)
    m = -np.sqrt((2.5**2 - 1) / s)
    return sum(s * (xi - m) ** 2 for xi in x)


def test_rosenbrock_agrees_with_scipy():
    x = np.random.default_rng(2).normal(size=(20, 7))
    np.testing.assert_allclose(pso.functions.rosenbrock(x), optimize.rosen(x.T), rtol=1e-12)


def test_import_loads_nothing_but_itself():
    code = (
        "import sys; before = set(sys.modules); import pyswarmopt; "
        "print(*{m.split('.')[0] for m in set(sys.modules) - before} - "
        "set(sys.stdlib_module_names))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(out) == {"pyswarmopt"}


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64])
def test_a_flat_view_refuses_what_holds_no_floating_point_numbers(dtype):
    with pytest.raises(TypeError, match="codes contains"):
        pso.FlatView({"w": torch.zeros(2), "codes": torch.zeros(3, dtype=dtype)})
    layout = pso.FlatView({"codes": torch.zeros(3)})
    with pytest.raises(TypeError, match="codes contains"):
        layout.load({"codes": torch.zeros(3, dtype=dtype)}, torch.full((3,), 3.9))


def test_a_flat_view_refuses_tensors_that_share_memory():
    net = torch.nn.Sequential(torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False))
    net[1].weight = net[0].weight
    with pytest.raises(ValueError, match=r"0\.weight and 1\.weight share"):
        pso.FlatView(net.state_dict())
    assert pso.FlatView(net).size == 9
    base = torch.zeros(10)
    with pytest.raises(ValueError, match="a and b share"):
        pso.FlatView({"a": base[:6], "b": base[5:]})
    assert pso.FlatView({"a": base[:5], "b": base[5:], "c": base[:0]}).size == 10
    meta = torch.zeros(2, device="meta")
    assert pso.FlatView({"a": meta, "b": meta.clone()}).size == 4
