"""Numbers in sentences."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number and its noun, whose plural ends in s.

    Example:
        >>> counted(1, "expert"), counted(1200, "item")
        ('1 expert', '1200 items')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"
