"""Words shared by several generated skills."""

from __future__ import annotations

_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

FEMALE = (
    "Anna", "Beth", "Clara", "Dora", "Emma", "Fay", "Grace", "Helen", "Iris", "Julia", "Kate", "Lucy",
    "Mary", "Nina", "Olga", "Paula",
)  # fmt: skip
MALE = (
    "Adam", "Ben", "Carl", "David", "Eric", "Frank", "George", "Harry", "Ivan", "Jack", "Kevin", "Leo",
    "Mark", "Noah", "Oscar", "Paul",
)  # fmt: skip
NAMES = FEMALE + MALE
FRUITS = ("apples", "pears", "plums", "lemons", "melons", "cherries")


def in_words(n: int) -> str:
    """The English number word of 0 <= n <= 99.

    Example:
        >>> in_words(7), in_words(40), in_words(42)
        ('seven', 'forty', 'forty-two')
    """
    if n < 20:
        return _SMALL[n]
    tens, ones = divmod(n, 10)
    return _TENS[tens - 2] + (f"-{_SMALL[ones]}" if ones else "")
