"""A cache limited by size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")
BYTES = 2**28  # of answers that an engine keeps


class Kept(Generic[T]):
    """Values by key; the least recently used ones are dropped beyond `most`. Threads may share it.

    Args:
        size: size of a key and value, such as bytes.
        most: total size; a value that is larger alone is not kept.

    Example:
        >>> kept = Kept(lambda key, value: len(value), most=5)
        >>> [kept.get(text, lambda: text.upper()) for text in ("ab", "cd", "ab", "ef")]
        ['AB', 'CD', 'AB', 'EF']
        >>> [kept.get(text, lambda: "new") for text in ("ab", "cd")]
        ['AB', 'new']
    """

    def __init__(self, size: Callable[[Hashable, T], int], most: int) -> None:
        self._size = size
        self._most = most
        self._taken = 0
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The value of a key, computed if not kept; two threads may both compute it."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = compute()
        with self._lock:
            if key not in self._values:
                self._values[key] = value
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
