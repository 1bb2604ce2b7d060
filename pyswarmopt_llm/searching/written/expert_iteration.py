"""Expert iteration: a mixture is trained on the best of its replies, which have scores and no
labels.

Anthony, Tian & Barber 2017, arXiv 1705.08439; with language models RAFT (Dong et al. 2023, arXiv
2304.06767) and ReST (Gulcehre et al. 2023, arXiv 2308.08998).

In a round the latest model writes several replies to each prompt, at random; before the first,
other mixtures of the search that are right where this one is not write one each. The best reply so
far is kept if it is better than what the base or the mixture writes, and a new LoRA is trained on
those that are kept, on top of the mixture. The replies to dev prompts tell what a round is worth.
Trained on is what answers spare prompts; where there are too few of these, what answers dev
prompts, by cross-fitting: each is answered by what was not trained on it, and so are the samples of
the next round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pyswarmopt_llm.common.config import LEAST_TRAINED
from pyswarmopt_llm.common.interfaces import Engine, Patch, Score
from pyswarmopt_llm.common.statistics import score_of
from pyswarmopt_llm.experts.adapter import AdapterInfo
from pyswarmopt_llm.mix.delta import DeltaSpace
from pyswarmopt_llm.scores.choices import FULL
from pyswarmopt_llm.scores.metrics.combine import Combine
from pyswarmopt_llm.scores.metrics.questions.written import Written
from pyswarmopt_llm.searching.cross_fitting import Fitting
from pyswarmopt_llm.searching.scoring.result import Iterated
from pyswarmopt_llm.searching.scoring.store import Store
from pyswarmopt_llm.searching.written.reply_log import Answerer, Reply, ReplyLog
from pyswarmopt_llm.searching.written.schedule import ON_SPARE, ROUNDS, samples_of

REPLIES, SPARE = "replies", "spare"  # in the store: to dev prompts, to spare ones


@dataclass(frozen=True)
class Round:
    """The outcome of a round.

    Attributes:
        model: what was trained, which answers dev prompts that it was not trained on.
        kept: prompts with a reply that it was trained on.
        replies: greedy ones to the dev prompts.
        scores: task name -> score of greedy replies to the dev prompts, each by what was not
            trained on it.
        value: of these scores.
    """

    model: Answerer
    kept: int
    replies: Sequence[Reply]
    scores: Mapping[str, Score]
    value: float


@dataclass(frozen=True)
class Iteration:
    """The outcome of expert iteration.

    Attributes:
        best: the round with the best value on dev, of equals the last one; None if too few replies
            were kept to train on, or there was no time.
        scores: task name -> score of the best round on dev, as the search scores it.
        base: the same of the base.
        use: what it took, for ``result.json``.
        passes: forward passes of a prompt that it took, training included.
    """

    best: Round | None
    scores: Mapping[str, Score]
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
    store: Store,
    folder: Path,
    seed: int,
    *,
    spare: Mapping[str, Written] | None = None,
    teachers: Sequence[Tensor] = (),
    samples: int | None = None,
    rounds: int = ROUNDS,
    seconds: float | None = None,
    say: Callable[[str], None] = lambda text: None,
    progress: Callable[[float], None] = lambda share: None,
) -> Iteration:
    """Train a mixture on the best of its replies, again while dev gains more than a standard error.

    A round begins if there is time for one like the latest; the first, for writing its samples one
    after the other.

    The first round is always followed by a second: it is compared with a mixture that was chosen by
    the same prompts, whose score is optimistic. What store and folder hold already is not made again.

    Args:
        engine: the one on transformers.
        mixtures: of experts.
        position: that of the mixture to begin with, or of an expert, or of the base (all 0).
        tasks: name -> dev prompts, and how replies are scored.
        combine: of the tasks' scores.
        pattern: an expert, whose rank, scale and modules the LoRAs have.
        store: has, or will have, replies and their scores.
        folder: holds, or will hold, the LoRAs of each round in ``round-N``.
        seed: of samples and training.
        spare: name -> spare prompts; replies to them are trained on, if there are any.
        teachers: positions of other mixtures; each takes the place of a sample in the first round.
        samples: replies to a prompt in a round; None: see `samples_of`.
        rounds: maximum number of rounds.
        seconds: that are left; None: any number.
        say: called with a sentence on each round.
        progress: called with the share that is done of what all rounds take, in 0..1.
    """
    folder.mkdir(exist_ok=True)
    dev = log = ReplyLog(engine, tasks, combine, store, seed, REPLIES)
    if spare:
        log = ReplyLog(engine, spare, combine, store, seed, SPARE)
    logs = [dev, log] if spare else [dev]

    def elapsed() -> float:
        return max(each.seconds for each in logs)  # each counts from its first line to its last

    start = mixtures.realise(position)
    pool = [list(pair) for pair in zip(*_plain(log, start), strict=True)]
    least = [min(reply.value for reply in replies) for replies in pool]
    base, before = _plain(dev, start)
    samples = samples or samples_of(len(pool), len(base))
    schedule = ON_SPARE if spare else FULL
    value = _value(combine, dev.scores(before))
    name, model = "start", Answerer(start)
    done: list[Round] = []
    passes = 0
    latest = samples * log.seconds / 2
    for number in range(1, rounds + 1):
        lead = f"expert iteration: round {number}: "
        begun = elapsed()
        if seconds is not None and begun + latest > seconds:
            say(f"{lead}no time is left for it")
            break
        count = samples
        if number == 1:
            count = max(samples - len(teachers), 0)
            for teacher, place in enumerate(teachers, start=1):
                _add(pool, log.greedy(f"teacher-{teacher}", Answerer(mixtures.realise(place))))
        for sample in log.sampled(name, model, count):
            _add(pool, sample)
        kept = [best_reply(replies, floor) for replies, floor in zip(pool, least, strict=True)]
        items = log.training_items(kept)
        share = f"{len(items)} of {len(pool)} prompts have a better reply"
        lead += share
        if len({log.identities[place] for place in items}) < LEAST_TRAINED:
            say(f"{lead}: too few to train on")
            break
        name = f"round-{number}"
        training = _second_half(progress, number, rounds)
        places = list(items)
        fitting = Fitting(
            engine,
            start,
            list(items.values()),
            pattern,
            seed,
            folder / name,
            schedule,
            [log.identities[place] for place in places],
            training,
        )
        unseen = [([places[k] for k in fold], patch) for fold, patch in fitting.without_folds()]
        model = Answerer(fitting.whole(), unseen)
        passes += schedule.passes(len(items))
        written = dev.greedy(name, model)
        if not spare:
            _add(pool, written)
        scores = dev.scores(written)
        done.append(Round(model, len(items), written, scores, _value(combine, scores)))
        latest = elapsed() - begun
        gain = f"dev {value:.3f} to {done[-1].value:.3f}"
        say(f"{lead} than the base's or the mixture's; trained on them, {gain}")
        if number > 1 and not gains(before, written):
            break
        before, value = written, done[-1].value
    best = best_round(done)
    number = 0 if best is None else done.index(best) + 1
    replies = sum(each.count for each in logs)
    tokens = sum(each.tokens for each in logs)
    used = 0 if best is None else best.kept
    use = Iterated(len(done), number, used, replies, tokens, len(pool) if spare else 0)
    final = {} if best is None else dev.final(best.replies, best.model)
    return Iteration(best, final, dev.scores(base), use, replies + passes)


def _plain(log: ReplyLog, start: Patch) -> tuple[list[Reply], list[Reply]]:
    """Replies of base and mixture."""
    return log.greedy("base", Answerer(Patch())), log.greedy("start", Answerer(start))


def best_round(rounds: Sequence[Round]) -> Round | None:
    """The round of the highest value, of equals the last; None of none."""
    return max(reversed(rounds), key=lambda round: round.value, default=None)


def best_reply(replies: Sequence[Reply], least: float) -> Reply | None:
    """The reply of the highest value if it is above `least`; of equals the shortest, then the
    first.

    Example:
        >>> best_reply([Reply("No.", 0.0), Reply("Yes, sure.", 1.0), Reply("Yes.", 1.0)], 0.0).text
        'Yes.'
    """
    best = max(replies, key=lambda reply: (reply.value, -len(reply.text)))
    return best if best.value > least else None


def gains(before: Sequence[Reply], after: Sequence[Reply]) -> bool:
    """Whether replies to the same prompts are better, by more than a standard error of the
    differences.
    """
    gain = score_of([new.value - old.value for old, new in zip(before, after, strict=True)])
    return gain.value > gain.stderr


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


__all__ = [
    "Iteration",
    "best_reply",
    "best_round",
    "expert_iteration",
    "gains",
]
