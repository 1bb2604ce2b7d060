"""The size of expert iteration: rounds, replies, and epochs; imports no model code."""

from __future__ import annotations

from pyswarmopt_llm.scores.choices import Schedule

ROUNDS, TEACHERS = 4, 4
SAMPLES, LEAST_SAMPLES = 8, 2  # replies to a prompt in a round
ON_SPARE = Schedule(without_fold=0)  # dev, which judges, is not trained on


def samples_of(prompts: int, dev: int) -> int:
    """Replies to each prompt in a round: in all as many as eight to each dev prompt, if that is two
    or more.

    Many prompts teach more than many replies to each (measured in research/notes/written-answers.md).

    Example:
        >>> samples_of(100, dev=100), samples_of(200, dev=100), samples_of(800, dev=100)
        (8, 4, 2)
    """
    return max(LEAST_SAMPLES, SAMPLES * dev // prompts)


def planned_replies(dev: int, spare: int = 0) -> int:
    """Replies that are written at most, with so many dev prompts and spare ones.

    Example:
        >>> planned_replies(1)  # base, mixture, and in four rounds eight samples and one after training
        38
        >>> planned_replies(100, spare=400)  # 2 x 500, 4 x 400 of teachers, 3 x 2 x 400 samples, 4 x 100
        5400
    """
    prompts = spare or dev
    samples = samples_of(prompts, dev)
    first = max(samples, TEACHERS)
    return 2 * (dev + spare) + (first + (ROUNDS - 1) * samples) * prompts + ROUNDS * dev
