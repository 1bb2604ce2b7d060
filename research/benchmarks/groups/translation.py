#!/usr/bin/env python3
"""Translation and summaries by a group, each member of which knows half of the words.

Translation: eight letters of one alphabet become eight words (a cipher), scored by BLEU. Summaries:
a table's text, eight named fields in any order, becomes one line of the values of six of them,
scored by ROUGE-L. Members are word models: P(word | letter), and P(field | place in the line),
counted in a corpus of their own. Each letter and each field is rendered right in the corpora of two
of four members, and by lot in those of the others. A member keeps the words that it finds more
probable than all others together, and takes in each other place what most of the others say; a
careless one writes three words of a hundred wrong.

Rows: each member; votes on the first answers by equality (`majority`), by likeness (the answer with
the highest mean score against the others: minimum Bayes risk, Kumar and Byrne 2004) and word by
word (Fiscus 1997); fusion, the mean of the members' probabilities, of two to four, and a vote of
the six fusions of two; a specialist that knows all but a sixth, fused with a weaker model that knows
half, the weight chosen on dev, and with that model's probabilities for other letters;
`refine` and its controls: without the arguments of others, with arguments about other texts, and
ended by small differences in place of equality. 100 dev and 500 test texts, three draws.

    python research/benchmarks/groups/translation.py --outcomes research/evidence/translation.jsonl
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from programs import Program, arguments
from talking import Elsewhere as Misled
from talking import refined

from pyswarmopt_groups.context import GroupContext, Verdict
from pyswarmopt_groups.members.protocol import Member
from pyswarmopt_groups.registry import load_strategy
from pyswarmopt_llm.scores.metrics.text import bleu, rouge_l
from pyswarmopt_llm.scores.tasks import Item, Task

PAIRS = list(itertools.combinations(range(4), 2))  # of members: who knows a sixth of the letters
LETTERS = "abcdefghijklmnopqrstuvwx"
SYLLABLES = [f"{a}{b}" for a in "bdgklm" for b in "aiou"]
CIPHER = dict(zip(LETTERS, random.Random("cipher").sample(SYLLABLES, 24), strict=True))
FIELDS = ("name", "job", "town", "pet", "dish", "sport")  # of a summary, in this order
FILLERS = ("code", "page")
VALUES = [f"{a}{b}" for a in "prstvz" for b in "aeiu"]
LENGTH = 8
PROMPTS = {"translation": "Translate: {question}", "summaries": "Summarise: {question}"}
CORPUS, SMOOTHING = 60, 0.1  # texts of each kind; added to every count
DEV, TEST, SLIP = 100, 500, 0.03
NO_END: Mapping[str, Callable[..., object]] = {"agreed": lambda ballots: False}
SMALL_ENOUGH = 0.25  # of the words: two of eight
Words = tuple[str, ...]
Score = Callable[[Sequence[Item], Sequence[str]], list[float]]


@dataclass(frozen=True)
class Text:
    """A text, its right rendering, for each word of this what one has to know, and the words of
    which a guess is drawn.
    """

    kind: str
    question: str
    right: Words
    needs: Words
    guesses: Words

    def rendered(self, knowledge: Collection[str], rng: random.Random) -> Words:
        """What someone with this knowledge writes alone."""
        pairs = zip(self.right, self.needs, strict=True)
        return tuple(
            word if need in knowledge else rng.choice(self.guesses) for word, need in pairs
        )

    def value_of(self, field: str) -> str:
        """The value of a table's field."""
        words = self.question.split()
        return words[words.index(field) + 1]

    def fields_of(self, value: str) -> list[str]:
        """The fields that have a value."""
        words = self.question.split()
        return [f for f, v in zip(words[::2], words[1::2], strict=True) if v == value]


def read_text(kind: str, question: str) -> Text:
    """The text of a question."""
    words = tuple(question.split())
    if kind == "translation":
        return Text(kind, question, tuple(CIPHER[x] for x in words), words, tuple(SYLLABLES))
    values = dict(zip(words[::2], words[1::2], strict=True))
    return Text(kind, question, tuple(values[x] for x in FIELDS), FIELDS, words[1::2])


def drawn(kind: str, rng: random.Random) -> Text:
    """A text of a kind."""
    if kind == "translation":
        return read_text(kind, " ".join(rng.choices(LETTERS, k=LENGTH)))
    fields = rng.sample((*FIELDS, *FILLERS), len(FIELDS) + len(FILLERS))
    return read_text(kind, " ".join(f"{field} {rng.choice(VALUES)}" for field in fields))


def known_to(*members: int) -> list[str]:
    """The letters and fields that one of these members knows; of one of four it is the half."""
    names = [*enumerate(LETTERS), *enumerate(FIELDS)]
    return [name for i, name in names if set(members) & set(PAIRS[i % len(PAIRS)])]


# Members

Distribution = Mapping[str, float]
KNOWLEDGE = {f"member {k + 1}": known_to(k) for k in range(4)}
CAREFUL, SPECIALIST, WEAKER = "careful", "specialist", "weaker model"
# All but what members 3 and 4 alone know; and what member 4 knows, half of all, out of fewer texts.
HELPED = {SPECIALIST: (known_to(0, 1), CORPUS), WEAKER: (known_to(3), CORPUS // 4)}


class WordModel:
    """Probabilities counted in a corpus: of the word for a letter, and of the field for a place."""

    def __init__(self, knowledge: Collection[str], texts: int) -> None:
        rng = random.Random(f"corpus {sorted(knowledge)} {texts}")
        self.words = {letter: Counter(dict.fromkeys(SYLLABLES, SMOOTHING)) for letter in LETTERS}
        fields = (*FIELDS, *FILLERS)
        self.fields = {place: Counter(dict.fromkeys(fields, SMOOTHING)) for place in FIELDS}
        for number in range(2 * texts):
            text = drawn(list(PROMPTS)[number % 2], rng)
            for need, word in zip(text.needs, text.rendered(knowledge, rng), strict=True):
                if text.kind == "translation":
                    self.words[need][word] += 1
                else:
                    for field in text.fields_of(word):
                        self.fields[need][field] += 1

    def distributions(self, text: Text) -> list[Distribution]:
        """The probability of each word in each place."""
        rows: list[Distribution] = []
        for need in text.needs:
            row: Counter[str] = Counter()
            if text.kind == "translation":
                row.update(self.words[need])
            else:
                for field, count in self.fields[need].items():
                    row[text.value_of(field)] += count
            total = sum(row.values())
            rows.append({word: count / total for word, count in row.items()})
        return rows


class Fusion:
    """The weighted mean of the probabilities of several models.

    Args:
        parts: the models.
        weights: of each, summing to 1.
    """

    def __init__(self, parts: Sequence[WordModel], weights: Sequence[float]) -> None:
        self.parts, self.weights = parts, weights

    def distributions(self, text: Text) -> list[Distribution]:
        """The probability of each word in each place."""
        rows = []
        for columns in zip(*(part.distributions(text) for part in self.parts), strict=True):
            row: Counter[str] = Counter()
            for weight, column in zip(self.weights, columns, strict=True):
                for word, value in column.items():
                    row[word] += weight * value
            rows.append(dict(row))
        return rows


class Elsewhere:
    """A model that answers for the letters and places next to those that it is asked about."""

    def __init__(self, model: WordModel) -> None:
        self.model = model

    def distributions(self, text: Text) -> list[Distribution]:
        """The probability of each word in each place but one."""
        rows = self.model.distributions(text)
        return rows[1:] + rows[:1]


class Renderer(Program):
    """A member that writes what is most probable, and takes over what it does not know.

    Args:
        name: see `Member`.
        model: its probabilities.
        slip: share of the words that it writes wrong.
    """

    def __init__(self, name: str, model: WordModel | Fusion, slip: float = 0.0) -> None:
        super().__init__(name, f"renderer {name} {slip}")
        self.model, self.slip = model, slip

    def _reply(self, prompt: str, rng: random.Random) -> str:
        head, _, question = prompt.splitlines()[0].partition(": ")
        kind = next(kind for kind, form in PROMPTS.items() if form.startswith(head))
        text = read_text(kind, question)
        _, others = arguments(prompt)
        columns = [*zip(*(other.split() for other in others), strict=True)]
        said = []
        for place, row in enumerate(self.model.distributions(text)):
            word = max(row, key=lambda word: row[word])
            if columns and row[word] <= 0.5:
                word = Counter(columns[place]).most_common(1)[0][0]
            slips = rng.random() < self.slip
            said.append(rng.choice(text.guesses) if slips else word)
        return " ".join(said)


# Votes on the first answers


def by_likeness(texts: Sequence[str], score: Score) -> str:
    """The text that scores best against the others as references; the first of equals."""
    values = []
    for k, text in enumerate(texts):
        others = [Item("", "", None, other) for j, other in enumerate(texts) if j != k]
        values.append(fmean(score(others, [text] * len(others))))
    return texts[values.index(max(values))]


def word_by_word(texts: Sequence[str]) -> str:
    """In each place the word that most say; the first-listed of equals.

    Example:
        >>> word_by_word(["a b c", "a x c", "y b z"])
        'a b c'
    """
    columns = itertools.zip_longest(*(text.split() for text in texts), fillvalue="")
    return " ".join(Counter(column).most_common(1)[0][0] for column in columns).strip()


def nearly_agreed(ballots: Sequence[str | None]) -> bool:
    """Whether any two answers differ in at most `SMALL_ENOUGH` of their places."""
    rows = [(ballot or "").split() for ballot in ballots]
    return all(
        sum(a != b for a, b in itertools.zip_longest(one, other))
        <= SMALL_ENOUGH * max(len(one), len(other))
        for one, other in itertools.combinations(rows, 2)
    )


# Rows


class Study:
    """The rows of one kind, one draw and one set of members."""

    def __init__(self, members: Sequence[Member], task: Task, seed: int, label: str) -> None:
        self.members, self.task, self.seed, self.label = members, task, seed, label
        self.context = GroupContext(members, task, "generate", seed)
        self.score: Score = bleu if task.name == "translation" else rouge_l

    def row(self, method: str, said: Sequence[Verdict]) -> dict[str, Any]:
        """A line of the outcomes: scores in hundredths, two hexadecimal digits each, tokens, rounds."""
        texts = [verdict.answer or "" for verdict in said]
        scores = self.score(self.task.test, texts)
        rounds = [len(verdict.notes["rounds"]) - 1 for verdict in said if "rounds" in verdict.notes]
        return {
            "members": self.label,
            "method": method,
            "task": self.task.name,
            "seed": self.seed,
            "scores": "".join(f"{round(100 * value):02x}" for value in scores),
            "tokens": fmean(verdict.tokens for verdict in said),
            **({"rounds": fmean(rounds)} if rounds else {}),
        }

    def alone(self, member: Member) -> list[Verdict]:
        """A member's own answers."""
        said = member.answer(self.task.test, "generate", self.task.prompt)
        return [Verdict(answer.text, (), 1.0, answer.tokens) for answer in said]

    def worth(self, member: Member) -> float:
        """A member's mean score on dev."""
        said = member.answer(self.task.dev, "generate", self.task.prompt)
        return fmean(self.score(self.task.dev, [answer.text for answer in said]))

    def voted(
        self, members: Sequence[Member], vote: Callable[[Sequence[str]], str]
    ) -> list[Verdict]:
        """A vote on these members' first answers."""
        said = [self.alone(member) for member in members]
        return [
            Verdict(vote([v.answer or "" for v in row]), (), 1.0, sum(v.tokens for v in row))
            for row in zip(*said, strict=True)
        ]

    def votes(self) -> Iterator[dict[str, Any]]:
        """A line for each member and each vote."""
        worth = [self.worth(member) for member in self.members]
        for k, member in enumerate(self.members):
            yield self.row(f"member {k + 1}", self.alone(member))
        best = self.members[worth.index(max(worth))]
        yield self.row("best member on dev", self.alone(best))
        yield self.row("`majority`", load_strategy("majority").decide(self.context, self.task.test))
        if self.label == CAREFUL:
            likeness = self.voted(self.members, lambda texts: by_likeness(texts, self.score))
            yield self.row("vote by likeness", likeness)
        yield self.row("vote word by word", self.voted(self.members, word_by_word))

    def fusions(self, models: Sequence[WordModel]) -> Iterator[dict[str, Any]]:
        """Fusions of two to four members, and the vote of the fusions of two."""
        for count in (2, 3, 4):
            group = Fusion(models[:count], [1 / count] * count)
            yield self.row(f"fusion of {count}", self.alone(Renderer("fusion", group)))
        pairs: list[Member] = [
            Renderer("fusion", Fusion(pair, [0.5, 0.5]))
            for pair in itertools.combinations(models, 2)
        ]
        yield self.row("vote of six fusions of two", self.voted(pairs, word_by_word))

    def helped(self) -> Iterator[dict[str, Any]]:
        """The specialist, the weaker model, and their fusion at the weight that is best on dev."""
        strong, weak = (WordModel(*how) for how in HELPED.values())
        for name, model in ((SPECIALIST, strong), (WEAKER, weak)):
            yield self.row(name, self.alone(Renderer(name, model)))
        for name, helper in (
            ("specialist fused with the weaker model", weak),
            ("specialist fused with the weaker model, other letters", Elsewhere(weak)),
        ):
            group = {
                w: Renderer("fusion", Fusion([strong, helper], [1 - w, w]))
                for w in (0.1, 0.3, 0.5, 0.7)
            }
            chosen = max(group, key=lambda w: self.worth(group[w]))
            yield self.row(name, self.alone(group[chosen])) | {"weight": chosen}

    def negotiations(self) -> Iterator[dict[str, Any]]:
        """Refinement, until all agree or nearly, and its controls."""
        elsewhere = [Misled(member) for member in self.members]
        control = GroupContext(elsewhere, self.task, "generate", self.seed)
        nearly: Mapping[str, Callable[..., object]] = {"agreed": nearly_agreed}
        for name, group, strategy, patches in (
            ("`refine`, three rounds", self.context, "refine", NO_END),
            ("`refine`, until all agree", self.context, "refine", {}),
            ("`refine`, until differences are small", self.context, "refine", nearly),
            ("without the arguments of others", self.context, "refine:budget=0", NO_END),
            ("arguments about other texts", control, "refine", NO_END),
        ):
            yield self.row(name, refined(group, strategy, patches))


def items(kind: str, split: str, n: int, seed: int) -> tuple[Item, ...]:
    """Texts of a kind."""
    rng = random.Random(f"{kind} {split} {seed}")
    texts = [drawn(kind, rng) for _ in range(n)]
    return tuple(
        Item(f"{split}-{i}", text.question, None, " ".join(text.right))
        for i, text in enumerate(texts)
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--outcomes", type=Path, required=True, help="JSONL file, written anew")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    made = []
    models = [WordModel(knowledge, CORPUS) for knowledge in KNOWLEDGE.values()]
    for slip, kind, seed in itertools.product((0.0, SLIP), PROMPTS, args.seeds):
        members: list[Member] = [
            Renderer(name, model, slip) for name, model in zip(KNOWLEDGE, models, strict=True)
        ]
        split = {name: items(kind, name, n, seed) for name, n in (("dev", DEV), ("test", TEST))}
        task = Task(kind, split["dev"], split["test"], PROMPTS[kind])
        study = Study(members, task, seed, "careless" if slip else CAREFUL)
        lines = [*study.votes(), *study.negotiations()]
        lines += [] if slip else [*study.fusions(models), *study.helped()]
        made += lines
        for line in lines:
            print(
                line["members"],
                kind,
                line["method"],
                seed,
                fmean(bytes.fromhex(line["scores"])),
                flush=True,
            )
    args.outcomes.write_text("".join(f"{json.dumps(row)}\n" for row in made), encoding="utf-8")


if __name__ == "__main__":
    main()
