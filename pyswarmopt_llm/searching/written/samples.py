"""How many replies expert iteration writes and trains on, and their cost; imports no model code."""

from __future__ import annotations

from pyswarmopt_llm.scores.choices import EPOCHS, fold_passes, training_passes

# most rounds, while dev gains; and other mixtures that write in the first round
ROUNDS = 6
TEACHERS = 4
SAMPLES = 8  # replies per prompt in a round
LEAST_SAMPLES = 2
BARE = 2  # times as many in the base's first round: few of its replies are good


def samples_of(prompts: int, dev: int) -> int:
    """Replies per prompt in a round: in total eight per dev prompt, but at least two per prompt.

    Many prompts teach more than many replies to each (measured in research/notes/written-answers.md).

    Example:
        >>> samples_of(100, dev=100), samples_of(200, dev=100), samples_of(800, dev=100)
        (8, 4, 2)
    """
    return max(LEAST_SAMPLES, SAMPLES * dev // prompts)


def planned_replies(dev: int, spare: int = 0) -> int:
    """The most replies to write, given the numbers of dev and spare prompts.

    Example:
        >>> planned_replies(1)  # base and mixture; each 6 after training, and 6 x 8 or 7 x 8 samples
        118
        >>> planned_replies(100, spare=400)  # 2 x 500, 12 x 100, 4 x 400 of teachers, 5 x 2 x 400, 7 x 2 x 400
        13400
    """
    prompts = spare or dev
    samples = samples_of(prompts, dev)
    written = max(samples, TEACHERS) + (2 * ROUNDS - 2 + BARE) * samples
    return 2 * (dev + spare) + written * prompts + 2 * ROUNDS * dev


def planned_passes(dev: int, spare: int) -> int:
    """The most passes of expert iteration: training on dev or spare prompts, and writing replies.

    Example:
        >>> planned_passes(100, spare=0) - planned_replies(100)  # 12 trainings of 2,000 each
        24000
        >>> planned_passes(100, spare=400) - planned_replies(100, 400)  # 12 of 4,000: no folds
        48000
    """
    passes = training_passes(spare or dev)
    if not spare:
        passes += fold_passes(dev, EPOCHS)
    return 2 * ROUNDS * passes + planned_replies(dev, spare)
