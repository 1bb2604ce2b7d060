"""Size of tests and coverage of intervals, simulated through the functions that users' numbers come from.

Each row draws samples of a law whose mean is known: the share of the 95% intervals that hold it, and
of the tests that find a difference where there is none (nominal 5%). Seeds are fixed.

    python research/benchmarks/size_and_coverage.py [--samples 2000]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pyswarmopt_llm.common.interfaces import Score
from pyswarmopt_llm.common.paired import PairedComparison, compare_paired, corrected, paired_test
from pyswarmopt_llm.common.statistics import LEVEL, interval, score_of
from pyswarmopt_llm.run.combined import combined_difference, combined_interval
from pyswarmopt_llm.scores.metrics.combine import Combine, find_combine
from pyswarmopt_rivals.comparison.summary import interval_over_seeds

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator
Outcome = tuple[bool, bool | None]  # whether the interval holds the value, and the test is wrong
Draw = Callable[[Rng, int], Floats]


@dataclass(frozen=True)
class Row:
    """One simulation.

    Attributes:
        group: the sentence that it belongs to.
        name: of the law, with its size.
        held: share of the intervals that hold the value; of the number of items the power.
        wrong: share of the tests that are wrong; None where there is a difference, or no test.
    """

    group: str
    name: str
    held: float
    wrong: float | None


def simulated(group: str, name: str, samples: int, draw: Callable[[Rng], Outcome]) -> Row:
    """The row of so many samples."""
    rng = np.random.default_rng([*f"{group} {name}".encode()])
    held, wrong = zip(*(draw(rng) for _ in range(samples)), strict=True)
    tested = None if None in wrong else float(np.mean([bool(one) for one in wrong]))
    return Row(group, name, float(np.mean(held)), tested)


def holds(ends: tuple[float, float] | None, value: float) -> bool:
    """Whether an interval holds a value."""
    return ends is not None and ends[0] - 1e-9 <= value <= ends[1] + 1e-9


# One score

GRADES: Mapping[str, tuple[Draw, float]] = {
    "uniform": (lambda rng, n: rng.random(n), 0.5),
    "at the ends": (lambda rng, n: rng.beta(0.5, 0.5, n), 0.5),
    "skewed": (lambda rng, n: rng.beta(8, 1, n), 8 / 9),
    "rarely high": (lambda rng, n: rng.choice([0.1, 0.9], n, p=[0.95, 0.05]), 0.14),
    "mostly perfect": (lambda rng, n: rng.choice([1, 0.5, 0], n, p=[0.85, 0.1, 0.05]), 0.9),
}


def one_score(samples: int) -> Iterator[Row]:
    """Intervals of a score: right and wrong with a share drawn anew each time, and grades."""
    for n in (5, 10, 20, 50, 200):

        def right(rng: Rng, n: int = n) -> Outcome:
            share = rng.random()
            return holds(interval((rng.random(n) < share).astype(float).tolist()), share), None

        yield simulated("one score, right or wrong", f"any share, {n}", samples, right)
    for name, (law, mean) in GRADES.items():
        for n in (6, 20, 100):

            def graded(rng: Rng, n: int = n, law: Draw = law, mean: float = mean) -> Outcome:
                return holds(interval(law(rng, n).tolist(), scale=(0, 1)), mean), None

            yield simulated("one score, grades", f"{name}, {n}", samples, graded)


# Paired differences


def cells(gained: float, lost: float) -> tuple[Draw, float]:
    """Differences of right and wrong answers."""
    shares = [gained, lost, 1 - gained - lost]
    return lambda rng, n: rng.choice([1.0, -1.0, 0.0], n, p=shares), gained - lost


def rarely(share: float) -> tuple[Draw, float]:
    """A model that is mostly a little worse and rarely much better."""
    values = [1 - share, -share]
    return lambda rng, n: rng.choice(values, n, p=[share, 1 - share]), 0.0


PAIRED: Mapping[str, Mapping[str, tuple[Draw, float]]] = {
    "difference, right or wrong": {
        f"gained {up}, lost {down}": cells(up, down)
        for up, down in (
            *((0.01, 0.01), (0.1, 0.1), (0.3, 0.3), (0.45, 0.45)),
            *((0.02, 0.0), (0.1, 0.0), (0.15, 0.05), (0.5, 0.1), (0.98, 0.0)),
        )
    },
    "difference, grades": {
        "five grades": (lambda rng, n: rng.choice(5, n) / 4 - rng.choice(5, n) / 4, 0.0),
        "at the ends": (lambda rng, n: rng.beta(0.5, 0.5, n) - rng.beta(0.5, 0.5, n), 0.0),
        "small": (lambda rng, n: rng.normal(0, 0.05, n), 0.0),
        "rarely different": (lambda rng, n: rng.random(n) * (rng.random(n) < 0.04), 0.02),
    },
    "difference, 5% or 10% much better": {"5%": rarely(0.05), "10%": rarely(0.1)},
    "difference, 2% much better": {"2%": rarely(0.02)},
}


def paired(samples: int) -> Iterator[Row]:
    """The test of paired differences, and its interval."""
    for group, laws in PAIRED.items():
        for name, (law, mean) in laws.items():
            for n in (6, 20, 60, 200):

                def draw(rng: Rng, n: int = n, law: Draw = law, mean: float = mean) -> Outcome:
                    p_value, ends = paired_test(law(rng, n))
                    return holds(ends, mean), p_value < LEVEL if mean == 0 else None

                yield simulated(group, f"{name}, {n}", samples, draw)


def repeated_questions(samples: int) -> Iterator[Row]:
    """Equal models on 50 questions, each asked twice or five times, or some of them more often."""
    for name, counts in {
        "each twice": [2] * 50,
        "each five times": [5] * 50,
        "some twice, some ten times": [1] * 30 + [2] * 15 + [10] * 5,
    }.items():
        asked = np.repeat(np.arange(50), counts)

        def draw(rng: Rng, asked: npt.NDArray[np.int64] = asked) -> Outcome:
            ours, theirs = ((rng.random(50) < 0.6).astype(float)[asked].tolist() for _ in range(2))
            ends = interval(ours, questions=asked.tolist())
            pair = compare_paired(ours, theirs, questions=asked.tolist())
            return holds(ends, 0.6), pair.p_value < LEVEL

        yield simulated("repeated questions", name, samples, draw)


# Several tasks


def several_tasks(samples: int) -> Iterator[Row]:
    """Combined scores and their differences: items of two models agree in part."""
    shares = {
        **{
            f"{share}": (share, share)
            for share in ((0.6, 0.6), (0.9, 0.1), (0.1, 0.5), (0.05, 0.9))
        },
        "(0.6, 0.6, 0.1)": ((0.6, 0.6, 0.1), (0.6, 0.6, 0.1)),
        "(0.8, 0.4) and (0.4, 0.8)": ((0.8, 0.4), (0.4, 0.8)),
        "(0.3, 0.9) and (0.05, 0.9)": ((0.3, 0.9), (0.05, 0.9)),
        "(0.97, 0.97) and (0.9, 0.95)": ((0.97, 0.97), (0.9, 0.95)),
    }
    for kind in "harmonic", "arithmetic":
        for name, (first, second) in shares.items():
            for n in (20, 100):
                label = f"{kind} {name}, {n}"
                yield from _combined(label, samples, find_combine(kind, 2), n, first, second)


def _combined(
    label: str,
    samples: int,
    combine: Combine,
    n: int,
    first: tuple[float, ...],
    second: tuple[float, ...],
) -> Iterator[Row]:
    totals = [combine.value(side) for side in (first, second)]

    def scores(rng: Rng, shares: tuple[float, ...], common: Floats) -> dict[str, Score]:
        own = np.where(rng.random(common.shape) < 0.6, common, rng.random(common.shape))
        return {str(k): score_of((own[k] < share).astype(float)) for k, share in enumerate(shares)}

    def one(rng: Rng) -> Outcome:
        ours = scores(rng, first, rng.random((len(first), n)))
        return holds(combined_interval(ours, combine), totals[0]), None

    def difference(rng: Rng) -> Outcome:
        common = rng.random((len(first), n))
        ours, theirs = scores(rng, first, common), scores(rng, second, common)
        pair = combined_difference(ours, theirs, combine)
        if pair is None:
            return False, None
        equal = abs(totals[0] - totals[1]) < 1e-12
        return holds(pair.interval, totals[0] - totals[1]), pair.p_value < LEVEL if equal else None

    yield simulated("several tasks, one score", label, samples, one)
    yield simulated("several tasks, difference", label, samples, difference)


# Several seeds, several baselines, numbers of items


def several_seeds(samples: int) -> Iterator[Row]:
    """Log-odds of item plus seed; the truth by 400,000 draws."""
    drawn = np.random.default_rng(0).standard_normal(400_000)
    for seeds in (2, 3, 5):
        for spread in (0.0, 0.3, 0.6, 1.0):
            for n, middle, of_items in ((20, 3.5, 0.5), (100, 0.8, 1.5), (1000, 0.8, 1.5)):
                truth = _chance(middle + np.hypot(spread, of_items) * drawn).mean()

                def draw(
                    rng: Rng,
                    shape: tuple[int, int] = (seeds, n),
                    laws: tuple[float, float, float] = (middle, of_items, spread),
                    truth: float = truth,
                ) -> Outcome:
                    odds = laws[0] + laws[1] * rng.standard_normal(shape[1])
                    odds = odds + laws[2] * rng.standard_normal((shape[0], 1))
                    right = (rng.random(shape) < _chance(odds)).astype(float)
                    return holds(interval_over_seeds(right), truth), None

                name = f"{seeds} seeds of spread {spread}, {n}"
                yield simulated("several seeds", name, samples, draw)


def _chance(odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-odds)))


def several_baselines(samples: int) -> Iterator[Row]:
    """A result and four baselines that are all equal: whether any of the four tests is below 5%."""
    for n in (40, 200, 1000):

        def draw(rng: Rng, n: int = n) -> Outcome:
            common = rng.random(n)
            models = [
                (np.where(rng.random(n) < 0.6, common, rng.random(n)) < 0.6).astype(float).tolist()
                for _ in range(5)
            ]

            def at_level(name: str, level: float) -> PairedComparison:
                return compare_paired(models[0], models[int(name)], level=level)

            tests = {str(k): at_level(str(k), LEVEL) for k in range(1, 5)}
            pairs = corrected(tests, at_level).values()
            return all(not pair.sign for pair in pairs), any(p.p_value < LEVEL for p in pairs)

        yield simulated("four baselines in one verdict", f"{n}", samples, draw)


def numbers_of_items(samples: int) -> Iterator[Row]:
    """Whether with the number of items for the true difference the test finds it as often as named."""
    for gained, lost in ((0.2, 0.1), (0.12, 0.08), (0.02, 0.01)):
        law, mean = cells(gained, lost)
        variance = gained + lost - mean**2
        n = math.ceil((1.959964 + 0.841621) ** 2 * variance / mean**2)

        def draw(rng: Rng, n: int = n, law: Draw = law) -> Outcome:
            return paired_test(law(rng, n)).p_value < LEVEL, None

        yield simulated("items needed, power", f"gained {gained}, lost {lost}, {n}", samples, draw)


SIMULATIONS = (
    *(one_score, paired, repeated_questions, several_tasks, several_seeds, several_baselines),
    numbers_of_items,
)

# What docstrings and docs/how-to/metrics.md claim: least coverage, greatest size.
CLAIMS: Mapping[str, tuple[float, float | None]] = {
    "one score, right or wrong": (0.94, None),
    "one score, grades": (0.93, None),
    "difference, right or wrong": (0.88, 0.04),
    "difference, grades": (0.94, 0.06),
    "difference, 5% or 10% much better": (0.92, 0.08),
    "difference, 2% much better": (0.9, 0.1),
    "repeated questions": (0.88, 0.06),
    "several tasks, one score": (0.92, None),
    "several tasks, difference": (0.94, 0.06),
    "several seeds": (0.93, None),
    "four baselines in one verdict": (0.95, 0.05),
    "items needed, power": (0.78, None),
}


def broken(row: Row, samples: int) -> bool:
    """Whether a row is further from its claim than three standard errors explain."""
    least, most = CLAIMS[row.group]
    slack = 3 * np.sqrt(0.05 * 0.95 / samples)
    return row.held < least - slack or (row.wrong or 0.0) > (most or 0.0) + slack


def main() -> int:
    """Print a line for each simulation; 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=2000)
    samples, failed = parser.parse_args().samples, 0
    for simulation in SIMULATIONS:
        for row in simulation(samples):
            fault = int(broken(row, samples))
            failed += fault
            wrong = "" if row.wrong is None else f"{row.wrong:.3f}"
            print(
                f"{row.group:34} {row.name:44} {row.held:.3f} {wrong:5} {'!' * fault}", flush=True
            )
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
