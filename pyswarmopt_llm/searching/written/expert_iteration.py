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
from functools import partial
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
        value: of these replies on dev.
    """

    model: Answerer
    kept: int
    replies: Sequence[Reply]
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
        return max(each.seconds for each in logs)  # each counts from its first entry to its last

    def value_of(replies: Sequence[Reply]) -> float:
        return combine(list(dev.scores(replies).values())).value

    def in_round(number: int, share: float) -> None:
        progress((number - 0.5 + share / 2) / rounds)  # training is the second half of a round

    start = mixtures.realise(position)
    model, name = Answerer(start), "start"
    pool = _Pool(log.greedy("base", Answerer(Patch())), log.greedy(name, model))
    base, before = dev.greedy("base", Answerer(Patch())), dev.greedy(name, model)
    samples = samples or samples_of(len(pool.floor), len(base))
    schedule = ON_SPARE if spare else FULL
    value, passes, latest = value_of(before), 0, samples * log.seconds / 2
    done: list[Round] = []
    for number in range(1, rounds + 1):
        lead = f"expert iteration: round {number}: "
        begun = elapsed()
        if seconds is not None and begun + latest > seconds:
            say(f"{lead}no time is left for it")
            break
        taught = teachers if number == 1 else ()
        for teacher, other in enumerate(taught, start=1):
            pool.add(log.greedy(f"teacher-{teacher}", Answerer(mixtures.realise(other))))
        for sample in log.sampled(name, model, max(samples - len(taught), 0)):
            pool.add(sample)
        items = log.training_items(pool.better())
        lead += f"{len(items)} of {len(pool.floor)} prompts have a better reply"
        identities = [log.identities[prompt] for prompt in items]
        if len(set(identities)) < LEAST_TRAINED:
            say(f"{lead}: too few to train on")
            break
        name, prompts = f"round-{number}", list(items)
        fitting = Fitting(
            engine,
            start,
            list(items.values()),
            pattern,
            seed,
            folder / name,
            schedule,
            identities,
            partial(in_round, number),
        )
        unseen = [([prompts[k] for k in fold], patch) for fold, patch in fitting.without_folds()]
        model = Answerer(fitting.whole(), unseen)
        passes += schedule.passes(len(items))
        replies = dev.greedy(name, model)
        if not spare:
            pool.add(replies)
        done.append(Round(model, len(items), replies, value_of(replies)))
        latest = elapsed() - begun
        gain = f"dev {value:.3f} to {done[-1].value:.3f}"
        say(f"{lead} than the base's or the mixture's; trained on them, {gain}")
        if number > 1 and not gains(before, replies):
            break
        before, value = replies, done[-1].value
    best = best_round(done)
    written = sum(each.count for each in logs)
    use = Iterated(
        rounds=len(done),
        round=0 if best is None else done.index(best) + 1,
        kept=0 if best is None else best.kept,
        replies=written,
        tokens=sum(each.tokens for each in logs),
        spare=len(pool.floor) if spare else 0,
    )
    final = {} if best is None else dev.final(best.replies, best.model)
    return Iteration(best, final, dev.scores(base), use, written + passes)


class _Pool:
    """All replies to each prompt so far.

    Attributes:
        floor: value that a reply has to exceed to be learned from: the lower one of base and
            mixture.
    """

    def __init__(self, base: Sequence[Reply], mixture: Sequence[Reply]) -> None:
        self._replies = [list(pair) for pair in zip(base, mixture, strict=True)]
        self.floor = [min(reply.value for reply in replies) for replies in self._replies]

    def add(self, replies: Sequence[Reply]) -> None:
        """Add a reply to each prompt."""
        for of_prompt, reply in zip(self._replies, replies, strict=True):
            of_prompt.append(reply)

    def better(self) -> list[Reply | None]:
        """The best reply to each prompt; None where none is above the floor."""
        pairs = zip(self._replies, self.floor, strict=True)
        return [best_reply(replies, floor) for replies, floor in pairs]


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


__all__ = [
    "Iteration",
    "best_reply",
    "best_round",
    "expert_iteration",
    "gains",
]
