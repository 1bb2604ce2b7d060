"""Mathematics in the manner of MATH (Hendrycks et al. 2021, arXiv 2103.03874): algebra, counting and number theory.

The problems are our own, each generated from a few small numbers, and their answers whole numbers.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from pyswarmopt_llm.tasks.builtin.sampling import Draft, wrong_answers

Problem = tuple[str, int, tuple[int, ...]]  # question, answer, results of common mistakes


def _linear(rng: random.Random) -> Problem:
    a, b, x = rng.randint(2, 9), rng.randint(1, 30), rng.randint(-9, 20)
    return f"Solve {a}x + {b} = {a * x + b} for x.", x, (a * x + b, a * x, x + b)


def _roots(rng: random.Random) -> Problem:
    low, high = sorted(rng.sample(range(1, 30), 2))
    text = f"What is the larger root of x^2 - {low + high}x + {low * high} = 0?"
    return text, high, (low, low + high, high - low)


def _system(rng: random.Random) -> Problem:
    x, y = rng.randint(2, 30), rng.randint(1, 30)
    return f"If x + y = {x + y} and x - y = {x - y}, what is xy?", x * y, (x + y, x, y, (x + y) * abs(x - y))


def _sequence(rng: random.Random) -> Problem:
    first, step, n = rng.randint(1, 20), rng.randint(2, 12), rng.randint(8, 40)
    terms = ", ".join(str(first + i * step) for i in range(3))
    last = first + (n - 1) * step
    text = f"What is term number {n} of the arithmetic sequence {terms}, ...?"
    return text, last, (last + step, n * step, last - step)


def _remainder(rng: random.Random) -> Problem:
    base, power, divisor = rng.randint(2, 12), rng.randint(3, 12), rng.randint(5, 13)
    text = f"What is the remainder when {base}^{power} is divided by {divisor}?"
    return text, pow(base, power, divisor), (base * power % divisor, base % divisor, pow(base, power - 1, divisor))


def _divisors(rng: random.Random) -> Problem:
    n = rng.randint(12, 900)
    count = sum(n % d == 0 for d in range(1, n + 1))
    return f"How many positive divisors does {n} have?", count, (count - 1, count - 2, count // 2)


def _multiple(rng: random.Random) -> Problem:
    a, b = rng.randint(6, 60), rng.randint(6, 60)
    text = f"What is the least common multiple of {a} and {b}?"
    return text, math.lcm(a, b), (a * b, math.gcd(a, b), a + b)


def _committee(rng: random.Random) -> Problem:
    n = rng.randint(5, 14)
    k = rng.randint(2, min(n - 2, 4))
    text = f"In how many ways can a committee of {k} be chosen from {n} people?"
    return text, math.comb(n, k), (math.perm(n, k), n * k, math.comb(n, k - 1))


_KINDS: tuple[Callable[[random.Random], Problem], ...] = (
    *(_linear, _roots, _system, _sequence),
    *(_remainder, _divisors, _multiple, _committee),
)


def make(rng: random.Random) -> Draft:
    """One problem; wrong options are results of common mistakes, or near the right one.

    Example:
        >>> draft = make(random.Random(2))
        >>> draft.question, draft.answer
        ('Solve 3x + 3 = 9 for x.', '2')
    """
    question, answer, mistakes = rng.choice(_KINDS)(rng)
    near = (answer - 2, answer - 1, answer + 1, answer + 2, answer + 10)
    likely = (n for n in (*mistakes, *near) if n >= min(answer, 0))  # a negative count would give itself away
    return Draft(question, str(answer), wrong_answers(rng, str(answer), map(str, likely)))
