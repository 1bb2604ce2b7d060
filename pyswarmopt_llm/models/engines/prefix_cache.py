"""A key-value cache that lends one shared prefix to every row of a batch, without storing what follows."""

from __future__ import annotations

from torch import Tensor, cat
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer


class _LentLayer(DynamicLayer):
    """The prefix of one layer, (1, heads, P, head_dim); `update` joins it with a batch and forgets the batch."""

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
    """Lends the keys and values of `cache` (a batch of one) to batches of any size, as often as needed."""

    def __init__(self, cache: DynamicCache) -> None:
        super().__init__(layers=[_LentLayer(layer.keys, layer.values) for layer in cache.layers])
