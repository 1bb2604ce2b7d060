"""Human votes on two models' replies: a CSV file of pairs to judge blind, and the outcome of the
votes.

A voter sees a prompt and two replies in random order, and enters 1, 2 or tie in the last column. A
key file, which voters do not get, says which model wrote which reply.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.json_types import typed
from pyswarmopt_llm.common.files.regular import (
    check_free,
    read_json,
    read_text,
    user_path,
    write_json,
    write_text,
)
from pyswarmopt_llm.common.paired import PairedComparison, compare_paired
from pyswarmopt_llm.common.statistics import interval
from pyswarmopt_llm.report.against import between
from pyswarmopt_llm.report.findings import Verdict
from pyswarmopt_llm.scores.metrics.accuracy import MAX_NEW_TOKENS
from pyswarmopt_llm.scores.metrics.metric import ReplyMetric
from pyswarmopt_llm.use.config import EvalConfig, OnItems
from pyswarmopt_llm.use.evaluate import Exam, two_models

COLUMNS = ["id", "prompt", "reply 1", "reply 2", "vote"]
VOTES = ("1", "2", "tie")


@dataclass(frozen=True)
class Key:
    """Which model wrote which reply.

    Attributes:
        names: names of the models, "ours" and "theirs".
        ours: id of a pair (its item's place in the split, from 1) -> number of our reply, 1 or 2.
    """

    split: str
    names: tuple[str, str]
    ours: dict[str, str]


@dataclass(frozen=True)
class Votes:
    """The result of `count_votes`.

    Attributes:
        names: names of the models, "ours" and "theirs".
        value: our share of wins; a tie is half a win.
        interval: interval of `value`.
        paired: ours minus theirs, item by item.
        verdict: verdict in words.
    """

    names: tuple[str, str]
    value: float
    interval: tuple[float, float]
    paired: PairedComparison
    verdict: Verdict


def write_pairs(config: EvalConfig, file: Path, on_items: OnItems | None = None) -> Key:
    """Write the replies of two models as pairs into a CSV file, with their key beside it; equal
    replies are left out.

    Args:
        config: two models and the items.
        file: CSV file to write.
        on_items: called with the number of replies so far, and the total.

    Raises:
        UserError: bad input, in one line; existing files are not overwritten.
    """
    if config.against is None:
        raise InvalidOption("against", None, "is missing; set it to the model to compare with")
    for path in (file, key_of(file)):
        check_free(path)
    most = config.max_new_tokens or MAX_NEW_TOKENS
    votes = ReplyMetric("human votes", needs="nothing", new_tokens=most)
    models = two_models(config)
    exam = Exam(config, list(models.values()), votes, on_items)
    ours, theirs = models
    key = Key(config.split, (ours, theirs), {})
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    replies = [[text.strip() for text in exam.replies(number)] for number in range(len(models))]
    both = zip(exam.items, *replies, strict=True)
    for number, (item, reply, rival) in enumerate(both, start=1):
        if reply == rival:
            continue
        shown = [reply, rival]
        key.ours[str(number)] = "1"
        if random.Random(f"{number} {item.question}").random() >= 0.5:
            shown.reverse()
            key.ours[str(number)] = "2"
        writer.writerow([number, *map(_no_formula, [item.question, *shown]), ""])
    write_json(key_of(file), asdict(key))
    write_text(file, text.getvalue())
    return key


def _no_formula(text: str) -> str:
    """A text that a spreadsheet does not evaluate."""
    if text.startswith(("=", "+", "@", "-")):
        return f" {text}"
    return text


def key_of(file: Path) -> Path:
    """Path of a file's key."""
    return file.with_name(f"{file.name}.key.json")


def count_votes(files: Sequence[str]) -> Votes:
    """Our win rate in the votes: copies of one file from `write_pairs`, one per voter.

    Pairs without a vote are left out, several votes on a pair are averaged, and a repeated question
    is one piece of evidence.

    Raises:
        UserError: there are no votes, a vote is invalid, a file lacks its key, or the files are not
            copies of one file.
    """
    beside = key_of(user_path(files[0]))
    try:
        key: Key = typed(read_json(beside), Key)
    except ValueError as error:
        raise UserError(
            f"{beside} is not a key file from eval --blind ({error}); restore it"
        ) from error
    votes: dict[str, list[float]] = {}
    prompts: dict[str, str] = {}
    for name in files:
        for id_, prompt, value in _read_votes(user_path(name), key):
            prompts[id_] = prompt
            votes.setdefault(id_, []).append(value)
    if not votes:
        raise UserError(f"{files[0]}: no votes yet; enter 1, 2 or tie in the vote column")
    values = [*map(fmean, votes.values())]
    asked = [prompts[id_] for id_ in votes]
    rate = fmean(values)
    paired = compare_paired(values, [1.0 - value for value in values], questions=asked)
    verdict = between(key.names, (rate, 1.0 - rate), paired, key.split)
    ends = interval(values, questions=asked)
    return Votes(key.names, rate, ends, paired, verdict)


def _read_votes(file: Path, key: Key) -> Iterator[tuple[str, str, float]]:
    """Id and prompt of each pair with a vote, and 1 for our reply, 0 against it, 0.5 for a tie."""
    text = read_text(file).lstrip("\ufeff")
    for row in csv.DictReader(io.StringIO(text, newline="")):
        id_ = row.get("id", "")
        vote = (row.get("vote") or "").strip().lower()
        if id_ not in key.ours or vote not in ("", *VOTES):
            raise UserError(
                f"{file}: pair {id_} is not in the key, or its vote {vote!r} is not 1, 2 or tie; fix the file"
            )
        if vote:
            value = {"tie": 0.5, key.ours[id_]: 1.0}.get(vote, 0.0)
            yield id_, row.get("prompt", id_), value
