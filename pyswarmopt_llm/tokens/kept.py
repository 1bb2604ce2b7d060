"""A cache limited by bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
BYTES = 2**28


class Kept(Generic[T]):
    """Values by key; the least recently used ones are dropped beyond `most` bytes.

    Args:
        size: bytes of a key and value.
        most: total bytes; a value that is larger alone is not kept.

    Example:
        >>> kept = Kept(lambda key, value: len(value), most=5)
        >>> [kept.get(text, lambda: text.upper()) for text in ("ab", "cd", "ab", "ef")]
        ['AB', 'CD', 'AB', 'EF']
        >>> "ab" in kept, "cd" in kept
        (True, False)
    """

    def __init__(self, size: Callable[[Hashable, T], int], most: int = BYTES) -> None:
        self._size = size
        self._most = most
        self._taken = 0
        self._values: OrderedDict[Hashable, T] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The value of a key, computed if not kept."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        value = self._values[key] = compute()
        self._taken += self._size(key, value)
        while self._taken > self._most:
            self._taken -= self._size(*self._values.popitem(last=False))
        return value


def text_bytes(*parts: object) -> int:
    """Approximate bytes of texts and numbers in nested tuples.

    Example:
        >>> text_bytes(("abc", ("de", 1.5))) >= 5
        True
    """
    sizes = (
        text_bytes(*part) if isinstance(part, tuple) else 64 + 2 * len(str(part)) for part in parts
    )
    return sum(sizes)
