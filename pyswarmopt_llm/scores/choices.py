"""Labelled items for training, and what training on them, or on replies, costs; imports no model
code.
"""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN = -1  # right option
# forward passes that a forward and a backward pass take, whatever is trained; see docs/baselines.md
PASSES = 2.5
EPOCHS = 4  # of what is trained on labelled items
RATE = 2e-3  # its peak learning rate
MOST_STARTS = 3  # models that a search trains: base, best expert, and perhaps a mixture


@dataclass(frozen=True)
class Choices:
    """An item as its options are scored.

    Attributes:
        pairs: (context, option); one pair, the answer, for an item without options.
        lengths: what each log-likelihood is divided by.
        right: index of the right option; `UNKNOWN`: nobody says.
        weight: of its loss.
    """

    pairs: tuple[tuple[str, str], ...]
    lengths: tuple[float, ...]
    right: int
    weight: float = 1.0


def training_passes(items: int, epochs: int = EPOCHS) -> int:
    """Forward passes of an item that training on so many items takes, once.

    Example:
        >>> training_passes(200)
        2000
    """
    return round(epochs * PASSES * items)


def fold_count(items: int) -> int:
    """Number of folds of cross-fitting: 2 from 67 items on, up to 5 where there are fewer.

    Half of a small set teaches much less than all of it, so that what is trained on all would be
    underrated.

    Example:
        >>> [fold_count(items) for items in (40, 50, 66, 67, 200)]
        [5, 4, 3, 2, 2]
    """
    return max(2, min(5, 200 // items))


@dataclass(frozen=True)
class Schedule:
    """The epochs of a LoRA that is trained on items, and of those that tell what it is worth.

    Attributes:
        epochs: over all items.
        without_fold: of each LoRA that is trained without a fold; 0: there are no folds.

    Example:
        >>> Schedule().passes(200), Schedule(without_fold=2).passes(200), Schedule(2, 0).passes(200)
        (4000, 3000, 1000)
    """

    epochs: int = EPOCHS
    without_fold: int = EPOCHS

    def passes(self, items: int) -> int:
        """Forward passes of an item that training on so many items takes."""
        return training_passes(items, self.epochs) + self.fold_passes(items)

    def fold_passes(self, items: int) -> int:
        """Passes of the LoRAs that are trained without a fold.

        Example:
            >>> labelled(200).fold_passes(200)
            1000
        """
        left_out = (fold_count(items) - 1) * items
        return round(self.without_fold * PASSES * left_out)


FULL = Schedule()  # the same epochs without each fold


def labelled(items: int) -> Schedule:
    """The schedule of so many labelled items.

    Half the epochs tell as much where folds are large (research/notes/without-iterations.md).

    Example:
        >>> labelled(66).without_fold, labelled(67).without_fold
        (4, 2)
    """
    return Schedule(without_fold=EPOCHS // 2 if fold_count(items) == 2 else EPOCHS)


# of expert iteration at most, while dev gains; and the other mixtures that write in the first
ROUNDS, TEACHERS = 6, 4
SAMPLES, LEAST_SAMPLES = 8, 2  # replies to a prompt in a round
BARE = 2  # times as many in the base's first round: few of its replies are good
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
        >>> planned_replies(1)  # base and mixture; each 6 after training, and 6 x 8 or 7 x 8 samples
        118
        >>> planned_replies(100, spare=400)  # 2 x 500, 12 x 100, 4 x 400 of teachers, 5 x 2 x 400, 7 x 2 x 400
        13400
    """
    prompts = spare or dev
    samples = samples_of(prompts, dev)
    written = max(samples, TEACHERS) + (2 * ROUNDS - 2 + BARE) * samples
    return 2 * (dev + spare) + written * prompts + 2 * ROUNDS * dev
