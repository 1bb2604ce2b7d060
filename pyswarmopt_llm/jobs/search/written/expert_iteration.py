"""Expert iteration: a mixture is trained on the best of its replies, which have scores and no
labels.

Anthony, Tian & Barber 2017, arXiv 1705.08439; with language models RAFT (Dong et al. 2023, arXiv
2304.06767) and ReST (Gulcehre et al. 2023, arXiv 2308.08998).

In a round the latest model writes several replies to each dev prompt, at random. The best one so
far is kept if it is better than what the base or the mixture writes, and a new LoRA is trained on
those that are kept, on top of the mixture. Cross-fitting tells what a round is worth on dev: each
prompt is answered by what was not trained on it. So are the samples of the next round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pyswarmopt_llm.common.interfaces import Engine, Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.evaluation.result import Iterated
from pyswarmopt_llm.jobs.search.cross_fitting import read_trained, train_on_dev
from pyswarmopt_llm.jobs.search.validate import LEAST_TRAINED
from pyswarmopt_llm.jobs.search.written.reply_log import Reply, ReplyLog
from pyswarmopt_llm.metrics.combine import Combine
from pyswarmopt_llm.metrics.questions.written import Written
from pyswarmopt_llm.models.adapters.adapter import AdapterInfo
from pyswarmopt_llm.models.choices import cross_fitting_passes
from pyswarmopt_llm.spaces.cross_fitted import CrossFittedSpace
from pyswarmopt_llm.spaces.delta import DeltaSpace

SAMPLES = 8  # replies to a prompt in a round
ROUNDS = 4
FILE = "replies.jsonl"


@dataclass(frozen=True)
class Round:
    """What a round trained.

    Attributes:
        space: of the mixtures and the LoRA.
        kept: prompts with a reply that it was trained on.
        scores: task name -> score of greedy replies to the dev prompts, each by what was not
            trained on it.
        value: of these scores.
    """

    space: CrossFittedSpace
    kept: int
    scores: Mapping[str, Score]
    value: float


@dataclass(frozen=True)
class Iteration:
    """The outcome of expert iteration.

    Attributes:
        best: the round with the best value on dev, of equals the last one; None if too few replies
            were kept to train on, or there was no time.
        base: task name -> score of the base on dev.
        use: what it took, for ``result.json``.
        passes: forward passes of a prompt that it took, training included.
    """

    best: Round | None
    base: Mapping[str, Score]
    use: Iterated
    passes: int


def expert_iteration(
    engine: Engine,
    mixtures: DeltaSpace,
    position: Tensor,
    tasks: Mapping[str, Written],
    combine: Combine,
    pattern: AdapterInfo,
    folder: Path,
    seed: int,
    *,
    samples: int = SAMPLES,
    rounds: int = ROUNDS,
    seconds: float | None = None,
    say: Callable[[str], None] = lambda text: None,
    progress: Callable[[float], None] = lambda share: None,
) -> Iteration:
    """Train a mixture on the best of its replies, again while dev gains more than a standard error.

    A round begins if there is time for one like the latest; the first, for writing its samples one
    after the other.

    The first round is always followed by a second: it is compared with a mixture that was chosen by
    the same prompts, whose score is optimistic. What the folder holds already is not made again.

    Args:
        engine: the one on transformers.
        mixtures: of experts.
        position: that of the mixture to begin with, or of an expert, or of the base (all 0).
        tasks: name -> dev prompts, and how replies are scored.
        combine: of the tasks' scores.
        pattern: an expert, whose rank, scale and modules the LoRAs have.
        folder: holds, or will hold, ``replies.jsonl`` and the LoRAs of each round in ``round-N``.
        seed: of samples and training.
        samples: replies to a prompt in a round.
        rounds: maximum number of rounds.
        seconds: that are left; None: any number.
        say: called with a sentence on each round.
        progress: called with the share that is done of what all rounds take, in 0..1.
    """
    log = ReplyLog(engine, tasks, folder / FILE, seed)
    start = mixtures.realise(position)
    base, before = log.greedy("base", Patch()), log.greedy("start", start)
    least = [min(pair[0].value, pair[1].value) for pair in zip(base, before, strict=True)]
    pool = [list(pair) for pair in zip(base, before, strict=True)]
    value = _value(combine, log.scores(before))
    name, patch = "start", start
    done: list[Round] = []
    passes = 0
    latest = samples * log.seconds / 2
    for number in range(1, rounds + 1):
        lead = f"expert iteration: round {number}: "
        begun = log.seconds
        if seconds is not None and begun + latest > seconds:
            say(f"{lead}no time is left for it")
            break
        for sample in log.sampled(name, patch, samples):
            _add(pool, sample)
        kept = [best_reply(replies, floor) for replies, floor in zip(pool, least, strict=True)]
        items = log.training_items(kept)
        share = f"{len(items)} of {len(pool)} dev prompts have a better reply"
        lead += share
        if len({item.pairs[0][0] for item in items}) < LEAST_TRAINED:
            say(f"{lead}: too few to train on")
            break
        name = f"round-{number}"
        training = _second_half(progress, number, rounds)
        train_on_dev(engine, start, items, pattern, folder / name, seed, training)
        passes += cross_fitting_passes(len(items))
        space = read_trained(mixtures, folder / name, items, seed)
        patch = space.realise(space.on_top_of(position))
        replies = log.greedy(name, patch)
        _add(pool, replies)
        scores = log.scores(replies)
        done.append(Round(space, len(items), scores, _value(combine, scores)))
        latest = log.seconds - begun
        gain = f"dev {value:.3f} to {done[-1].value:.3f}"
        say(f"{lead} than the base's or the mixture's; trained on them, {gain}")
        if number > 1 and not gains(before, replies):
            break
        before, value = replies, done[-1].value
    best = max(reversed(done), key=lambda round: round.value, default=None)
    number = 0 if best is None else done.index(best) + 1
    use = Iterated(len(done), number, 0 if best is None else best.kept, log.count, log.tokens)
    return Iteration(best, log.scores(base), use, log.count + passes)


def best_reply(replies: Sequence[Reply], least: float) -> Reply | None:
    """The reply of the highest value if it is above `least`; of equals the shortest, then the
    first.

    Example:
        >>> best_reply([Reply("No.", 0.0), Reply("Yes, sure.", 1.0), Reply("Yes.", 1.0)], 0.0)
        Reply(text='Yes.', value=1.0)
    """
    best = max(replies, key=lambda reply: (reply.value, -len(reply.text)))
    return best if best.value > least else None


def gains(before: Sequence[Reply], after: Sequence[Reply]) -> bool:
    """Whether replies to the same prompts are better, by more than a standard error of the
    differences.
    """
    gain = score_of([new.value - old.value for old, new in zip(before, after, strict=True)])
    return gain.value > gain.stderr


def planned_replies() -> int:
    """Replies to each dev prompt that are written at most.

    Example:
        >>> planned_replies()  # base, mixture, and in four rounds eight samples and one after training
        38
    """
    return 2 + ROUNDS * (SAMPLES + 1)


def _value(combine: Combine, scores: Mapping[str, Score]) -> float:
    return combine(list(scores.values())).value


def _second_half(
    progress: Callable[[float], None], number: int, rounds: int
) -> Callable[[float], None]:
    """Tell of the training, the second half of a round of this number."""

    def tell(share: float) -> None:
        progress((number - 0.5 + share / 2) / rounds)

    return tell


def _add(pool: Sequence[list[Reply]], replies: Sequence[Reply]) -> None:
    for of_prompt, reply in zip(pool, replies, strict=True):
        of_prompt.append(reply)


__all__ = ["Iteration", "best_reply", "expert_iteration", "gains", "planned_replies"]
