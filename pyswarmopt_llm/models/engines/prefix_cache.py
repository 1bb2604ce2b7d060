"""A key-value cache that shares one prefix among the rows of any batch, without storing what follows."""

from __future__ import annotations

from torch import Tensor, cat
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer


class _SharedLayer(DynamicLayer):
    """The prefix of one layer, (1, heads, P, head_dim); `update` concatenates a batch without storing it."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        n = key_states.shape[0]
        keys = cat([self.keys.expand(n, -1, -1, -1), key_states], dim=-2)
        values = cat([self.values.expand(n, -1, -1, -1), value_states], dim=-2)
        return keys, values


class PrefixCache(Cache):
    """The keys and values of `cache` (a batch of one) for batches of any size, reusable."""

    def __init__(self, cache: DynamicCache) -> None:
        super().__init__(layers=[_SharedLayer(layer.keys, layer.values) for layer in cache.layers])
