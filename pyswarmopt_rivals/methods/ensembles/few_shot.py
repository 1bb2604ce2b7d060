"""Few-shot prompting: the base sees some dev items with answers as earlier turns of the chat.

Brown et al. 2020, arXiv 2005.14165: the alternative to training or merging for users with labelled
examples. No expert takes part. For each k in {1, 2, 4, 8}, k dev items are drawn `DRAWS` times, or
as often as the budget allows, and the base answers the other dev items; the best k and examples are
kept, on a tie the earlier draw, then the smaller k. An item is scored only after examples with
other words, so not after itself in other typography or with its options in another order. The paper
shows 10 to 100 examples, as many as its window of 2,048 tokens holds, and draws them once; fewer
examples, and choosing among draws, are ours.

An evaluation counts as one item whatever the number of examples, since a common prefix is computed
once. In use an item costs all its tokens, examples included (`FewShot.tokens_per_item`). The
earliest examples are dropped if the context window is too small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from pyswarmopt_groups.members.local import count_tokens, options_read
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.scores.metrics.accuracy import MAX_NEW_TOKENS, Accuracy
from pyswarmopt_llm.scores.tasks import Item, render_prompt
from pyswarmopt_llm.scores.words import words
from pyswarmopt_rivals.bench import Bench
from pyswarmopt_rivals.methods.ensembles.answerer import Answerer
from pyswarmopt_rivals.methods.method import Settings

SHOTS = (1, 2, 4, 8)
DRAWS = 10


class FewShot(Answerer):
    """The base with some examples, using the scoring and template of `like`; the engine is left
    without a patch.
    """

    def __init__(
        self, engine: TransformersEngine, examples: Sequence[Item], like: Accuracy
    ) -> None:
        super().__init__(self._answer, models=1)
        self.examples = tuple(examples)
        self.tokens_per_item = 0.0
        self._engine = engine
        self._turns = []
        for item in examples:
            turn = render_prompt(item, like.scoring, like.template)
            answer = item.answer  # a letter where the prompt shows letters
            if like.scoring == "likelihood":
                answer = item.answer_text
            self._turns.append((sorted(words(turn)), turn, answer))

    def tokens(self, bench: Bench) -> float:
        """Tokens per item of the latest scored split, examples included."""
        return self.tokens_per_item

    def _answer(self, questions: Accuracy) -> list[str]:
        self._engine.load(Patch())
        shown = self.shown(questions)
        answers = list(shown(self._engine).answers)
        texts = answers
        if shown.scoring != "generate":
            texts = options_of(shown)
        read = sum(len(self._engine.encode_prompt(prompt)) for prompt in shown.prompts)
        more = sum(count_tokens(self._engine, text) for text in texts)
        self.tokens_per_item = (read + more) / len(questions.items)
        return answers

    def shown(self, questions: Accuracy) -> Accuracy:
        """The items with the examples before each, except the item itself or its twin."""
        room = MAX_NEW_TOKENS
        if questions.scoring != "generate":
            sizes = [count_tokens(self._engine, text) for text in options_of(questions)]
            room = max(sizes, default=1)
        return Accuracy(
            questions.items,
            questions.scoring,
            lambda turn, earlier=(): self._chat(turn, room, earlier),
            questions.template,
        )

    def _chat(self, turn: str, room: int, earlier: Sequence[Mapping[str, str]]) -> str:
        """The examples and a user turn: the latest examples that leave room for `room` more tokens,
        none with the words of the turn.
        """
        asked = sorted(words(turn))
        window = self._engine.window
        others = [pair for shown, *pair in self._turns if shown != asked]
        for first in range(len(others) + 1):
            said: list[Mapping[str, str]] = []
            for question, answer in others[first:]:
                said.append({"role": "user", "content": question})
                said.append({"role": "assistant", "content": answer})
            text = self._engine.chat(turn, [*said, *earlier])
            if window is None or self._engine.count_tokens(text) + room <= window:
                return text
        raise UserError(
            f"the example that begins {turn[:40]!r} exceeds the model's context window; shorten the "
            "example"
        )


def options_of(questions: Accuracy) -> list[str]:
    """All options read besides the prompts."""
    return [text for item in questions.items for text in options_read(item, questions.scoring)]


def fit(settings: Settings) -> FewShot:
    """Choose k and the examples on dev."""
    trial = settings.trial
    best = None
    most = -1.0
    dev = trial.bench.labelled
    engine = trial.engine
    for chosen in draws(len(dev.items), settings.seed):
        rest = [i for i in range(len(dev.items)) if i not in set(chosen)]
        if len(rest) > trial.items_left:
            continue
        trial.spend(len(rest))
        prompted = FewShot(engine, [dev.items[i] for i in chosen], dev)
        part = Accuracy([dev.items[i] for i in rest], dev.scoring, engine.chat, dev.template)
        value = float(np.mean(part.judge(prompted.answers(part))))
        if value > most:
            best = prompted
            most = value
    if best is None:
        raise UserError(
            "few-shot: needs two dev examples and a budget that covers them; use more dev examples"
        )
    return best


def draws(items: int, seed: int) -> Iterator[list[int]]:
    """Indices of examples among dev items, `DRAWS` times for each k that leaves an item to score.

    Example:
        >>> [len(chosen) for chosen in draws(5, 0)][:4]
        [1, 2, 4, 1]
    """
    rng = np.random.default_rng(seed)
    for _ in range(DRAWS):
        yield from (rng.choice(items, size=k, replace=False).tolist() for k in SHOTS if k < items)
