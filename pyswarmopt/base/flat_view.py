"""Flat, zero-copy views of named tensors: a model's weights as one vector, and back.

A swarm moves flat vectors; a model needs named tensors. `FlatView` maps each name to its part of
the vector.

The weights of a network, moved by a swarm:

    >>> import pyswarmopt as pso
    >>> _ = torch.manual_seed(0)
    >>> x = torch.linspace(-3, 3, 64)[:, None]
    >>> net = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    >>> layout = FlatView(net)
    >>> starts = layout.flatten(net) + torch.randn(20, layout.size)
    >>> def loss(weights):
    ...     return (torch.func.functional_call(net, layout.views(weights), x) - torch.sin(x)).square().mean()
    >>> swarm = pso.Swarm(positions=starts, seed=0)
    >>> while swarm.iteration < 200:
    ...     weights = swarm.ask()
    ...     swarm.tell(weights, torch.vmap(loss)(weights).detach())
    >>> layout.load(net, swarm.best.x)
    >>> bool((net(x) - torch.sin(x)).square().mean() < 0.05)
    True
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import Module

from pyswarmopt.base.arrays import Floats


class FlatView:
    """The layout of named tensors, such as a state dict, in one flat vector, in the mapping's
    order.

    Args:
        named: name -> tensor, or a module, whose named parameters are used. Only shapes,
            dtypes and addresses are read.

    Attributes:
        names: names in order.
        shapes: name -> shape.
        spans: name -> slice of the vector.
        size: length of the vector.

    Raises:
        TypeError: a tensor is not floating-point: integers and packed codes would be truncated.
        ValueError: tensors share memory, such as the tied weights of a state dict: one location
            cannot hold two parts of the vector.

    Example:
        >>> layout = FlatView({"a": torch.zeros(2, 2), "b": torch.zeros(3)})
        >>> vector = torch.arange(7.0)
        >>> layout.views(vector)["b"][0] = -1.0  # writes through
        >>> vector.tolist()
        [0.0, 1.0, 2.0, 3.0, -1.0, 5.0, 6.0]
    """

    def __init__(self, named: Mapping[str, Tensor] | Module) -> None:
        named = _by_name(named)
        _refuse_other_dtypes(named)
        _refuse_shared_memory(named)
        self.names = tuple(named)
        self.shapes = {name: tuple(tensor.shape) for name, tensor in named.items()}
        self.spans: dict[str, slice] = {}
        offset = 0
        for name, shape in self.shapes.items():
            length = math.prod(shape)
            self.spans[name] = slice(offset, offset + length)
            offset += length
        self.size = offset

    def flatten(self, named: Mapping[str, Tensor] | Module) -> Tensor:
        """Copy named tensors into one vector, (size,), with a dtype that can hold all of them.

        Args:
            named: a tensor for each name, with the layout's shapes, in any order; or a module with
                these parameters.

        Raises:
            TypeError: a tensor is not floating-point.
            ValueError: names are missing or unexpected, or shapes differ.
        """
        named = self._checked(named)
        parts = [named[name].detach().flatten() for name in self.names]
        if parts:
            return torch.cat(parts)
        return torch.empty(0)

    def load(self, named: Mapping[str, Tensor] | Module, flat: Tensor | Floats) -> None:
        """Copy a vector, (size,), into the tensors or the module's parameters, which keep their
        dtype and device.

        Raises:
            TypeError: a tensor is not floating-point.
            ValueError: names are missing or unexpected, or shapes differ.
        """
        named = self._checked(named)
        with torch.no_grad():
            for name, view in self.views(flat).items():
                named[name].copy_(view)

    def _checked(self, named: Mapping[str, Tensor] | Module) -> Mapping[str, Tensor]:
        """The tensors by name, checked against the layout."""
        named = _by_name(named)
        shapes = {name: tuple(tensor.shape) for name, tensor in named.items()}
        if shapes != self.shapes:
            differs = dict(shapes.items() ^ self.shapes.items())
            raise ValueError(f"names or shapes do not match this FlatView: {sorted(differs)}")
        _refuse_other_dtypes(named)
        return named

    def views(self, flat: Tensor | Floats) -> dict[str, Tensor]:
        """Views of `flat`, (size,), a tensor or NumPy array, by name. Writing to a view writes to
        `flat`.

        Raises:
            ValueError: `flat` is not a contiguous vector of this size.
        """
        flat = torch.as_tensor(flat)
        if flat.shape != (self.size,) or not flat.is_contiguous():
            raise ValueError(
                f"flat must be a contiguous vector of {self.size} numbers, got shape {tuple(flat.shape)}"
            )
        return {name: flat[span].view(self.shapes[name]) for name, span in self.spans.items()}


def _by_name(named: Mapping[str, Tensor] | Module) -> Mapping[str, Tensor]:
    """Tensors by name."""
    if isinstance(named, Module):
        return dict(named.named_parameters())
    return named


def _refuse_other_dtypes(named: Mapping[str, Tensor]) -> None:
    for name, tensor in named.items():
        if not tensor.is_floating_point():
            raise TypeError(
                f"{name} contains {tensor.dtype} values, not floating-point numbers; remove it, or use "
                "FlatView(module), which keeps only the parameters"
            )


def _refuse_shared_memory(named: Mapping[str, Tensor]) -> None:
    """Refuse tensors that share memory: each must start after the end of the previous one."""
    spans = []
    for name, tensor in named.items():
        if tensor.numel() and tensor.device.type != "meta":
            steps = sum(
                (n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True)
            )
            first = tensor.data_ptr()
            spans.append((str(tensor.device), first, first + steps * tensor.element_size(), name))
    for (device, _, last, name), (other, first, _, next_name) in pairwise(sorted(spans)):
        if device == other and first <= last:
            raise ValueError(
                f"{name} and {next_name} share memory; leave one of them out, or use "
                "FlatView(module), which stores tied parameters once"
            )
