"""Votes with one answer per member, equivalence of answers, weights and calibration."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from pyswarmopt_groups import voting

LETTERS = st.sampled_from(["A", "B", "C", None])
BALLOTS = st.lists(LETTERS, min_size=1, max_size=9)


@given(BALLOTS)
def test_majority_is_the_most_common_answer_and_ties_go_to_the_first_listed(
    answers: list[str | None],
) -> None:
    outcome = voting.majority(answers)
    counts = Counter(answer for answer in answers if answer is not None)
    if not counts:
        assert (outcome.answer, outcome.agreement, outcome.tied) == (None, 0.0, ())
        assert not outcome.scores
        return
    most = max(counts.values())
    assert outcome.answer == next(answer for answer in answers if answer and counts[answer] == most)
    assert set(outcome.tied) == {answer for answer in counts if counts[answer] == most}
    assert outcome.agreement == most / len(answers)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("Lima", "lima", True),
        ("Lima", " Lima. ", True),
        ("Lima", "The answer is Lima.", True),
        ("The answer is: **Lima**", r"Hence $\boxed{Lima}$.", True),
        (r"3 + 4 makes \boxed{7}, not 8", "7.0", True),
        ("1200", "1,200", True),
        ("1200", "$1,200.00", True),
        ("#### 18", "The answer is 18", True),
        ("18 apples", "18", True),
        ("-3", "3", False),
        ("3", "3.5", False),
        ("Lima", "Quito", False),
        ("La Paz", "Paz", False),
        ("5", "2024-01-05", False),
        ("5", "between 4 and 5", False),
        ("The answer is 18 because there are 9 pairs.", "\\boxed{18}", True),
        ("Answer: 18 (nine pairs)", "It is late. The answer is 18!", True),
        ("The answer is x = 18.", "18", True),
        ("The answer is 50%.", "50%", True),
        ("The answer is 18 apples, not 19.", "18", True),
        ("The answer is yes, because he did.", "Yes.", True),
        ("\\boxed{\\text{Lima}}", "Lima", True),
        ("The answer is 3 or 4.", "3", False),
        ("The answer is not 18.", "18", False),
        ("The answer is J. K. Rowling.", "The answer is J. R. Tolkien.", False),
        ("The sum is **24**.", "12 + 12 = 24" + chr(10) + "#### 24", True),
        ("I believe it's 25.", "It's 24.", False),
        ("It has 24 apples.", "24", True),
        ("We get 24", "24", True),
        ("x = 5, y = 6", "6", False),
        ("x is 5 and y is 6.", "6", False),
        ("Apollo 11", "11", False),
        ("50%", "1/2", True),
        ("2 million", "2 thousand", False),
        ("2 million", "2,000,000", True),
        ("?", "!", False),  # nothing but punctuation: compared as it stands
        ("?", "?", True),
    ],
)
def test_equivalent_answers(a: str, b: str, same: bool) -> None:
    assert voting.equivalent(a, b) is same
    assert voting.equivalent(b, a) is same
    assert voting.cluster([a, b]) == [a.strip(), a.strip() if same else b.strip()]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: voting.majority("AAB"), "not the string"),  # type: ignore[arg-type]
        (lambda: voting.majority([]), "at least one answer"),
        (lambda: voting.weighted(["A", "B"], [1.0]), "1 weights for 2 answers"),
        (lambda: voting.weighted(["A", "B"], [1.0, math.nan]), r"weights\[1\] must be .*nan"),
        (lambda: voting.weighted(["A"], [math.inf]), r"weights\[0\] must be .*inf"),
        (lambda: voting.confidence(["A"], [1.5]), r"confidences\[0\] must be .*1.5"),
        (lambda: voting.confidence(["A"], [math.nan]), r"confidences\[0\] must be .*nan"),
        (lambda: voting.confidence(["A"], [0.5, 0.5]), "2 confidences for 1 answers"),
        (lambda: voting.confidence([], []), "at least one answer"),
    ],
)
def test_bad_input_is_one_clear_line(call, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("options", [2, 3])
@pytest.mark.parametrize("accuracies", [(0.9, 0.6, 0.55), (0.7, 0.7, 0.65), (0.95, 0.3, 0.6)])
def test_log_odds_weights_choose_the_most_probable_answer(
    accuracies: tuple[float, ...], options: int
) -> None:
    """Bayes' rule by enumeration: of all rules it is right most often, and the weighted vote is
    Bayes' rule.
    """
    weights = voting.log_odds(accuracies, items=10**9, options=options)
    names = ["A", "B", "C"][:options]
    decided = 0
    for profile in itertools.product(names, repeat=3):
        votes = list(zip(accuracies, profile, strict=True))
        likelihood = {
            truth: math.prod(p if vote == truth else (1 - p) / (options - 1) for p, vote in votes)
            for truth in profile  # an answer that nobody gave cannot win a vote
        }
        best, *rest = sorted(likelihood, key=lambda truth: -likelihood[truth])
        if rest and math.isclose(likelihood[best], likelihood[rest[0]], rel_tol=1e-6):
            continue
        decided += 1
        assert voting.weighted(profile, weights).answer == best
    assert decided > options


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.floats(-3, 2))
def test_no_temperature_on_a_grid_fits_better(seed: int, options: int, log_scale: float) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(12, options)) * math.exp(log_scale)
    labels = rng.integers(options, size=12)
    loss = {
        t: -log_softmax(logits / t, axis=1)[np.arange(12), labels].sum()
        for t in [voting.fit_temperature(logits, labels.tolist()), *np.geomspace(0.01, 100, 200)]
    }
    fitted = next(iter(loss))
    assert 0.01 <= fitted <= 100
    assert loss[fitted] <= min(loss.values()) + 1e-6
