"""A sequence classifier (BERT, RoBERTa and others) as a member: it votes for the option named by
its label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from scipy.special import logsumexp

from pyswarmopt_groups.members.protocol import Answer, Member
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.hardware import pick_device
from pyswarmopt_llm.experts.base import BaseModel, resolve_base
from pyswarmopt_llm.experts.files import read_json
from pyswarmopt_llm.external.classifiers import Classifier
from pyswarmopt_llm.scores.tasks import AnswerFormat, Item
from pyswarmopt_llm.scores.tasks.items import normalise


def find_classifier(spec: str) -> BaseModel | None:
    """The classifier in a directory, or None."""
    config = user_path(spec) / "config.json"
    if not config.is_file():
        return None
    kinds = read_json(config).get("architectures") or [""]
    if not kinds[0].endswith("ForSequenceClassification"):
        return None
    return resolve_base(spec)


class ClassifierMember(Member):
    """A `Member` that votes for options by log-probabilities of labels.

    It reads only the question, without a template: classifiers are not trained on prompts. A label
    names an option by the option's text, else by its letter.

    Args:
        name: see `Member`.
        source: the classifier.
        device: where the classifier runs.

    Raises:
        UserError: the classifier cannot be loaded.
    """

    def __init__(self, name: str, source: BaseModel, device: str = "auto") -> None:
        super().__init__(name, source.fingerprint)
        where = f"`members` {source.spec}"
        self._model = Classifier(source.spec, where, str(pick_device(device)))
        labels = self._model.model.config.id2label
        self.labels = {normalise(str(label)): label for label in labels.values()}

    def answer(
        self, items: Sequence[Item], answer_format: AnswerFormat, template: str | None = None
    ) -> list[Answer]:
        """The option with the most probable label; `answer_format` and `template` are ignored.

        Raises:
            UserError: an item has no options, or an option without a label.
        """
        columns = [self._columns(item) for item in items]
        questions = [item.question for item in items]
        outputs = self._model.outputs(questions, **self._model.window)
        answers = []
        for question, named, logits in zip(questions, columns, outputs, strict=True):
            total = logsumexp([*logits.values()])
            scores = {letter: logits[label] - total for letter, label in named.items()}
            best = max(scores, key=lambda letter: scores[letter])
            answers.append(Answer(best, self.count(question), scores))
        return answers

    def count(self, text: str) -> int:
        """See `Member`."""
        return len(self._model.tokenizer(text, **self._model.window)["input_ids"])

    def refuse(self) -> NoReturn:
        """See `Member`."""
        raise UserError(
            f"{self.name}: a sequence classifier cannot generate text; use a vote such as majority, or "
            "remove the member"
        )

    def _columns(self, item: Item) -> dict[str, str]:
        """The label of each option."""
        if not item.choices:
            self.refuse()
        found = {}
        for letter, text in item.choices.items():
            named = [key for key in map(normalise, (text, letter)) if key in self.labels]
            if not named:
                raise UserError(
                    f"example {item.id}: choice {letter} ({text}) is not a label of {self.name} "
                    f"({', '.join(self.labels)}); remove {self.name} from `members`"
                )
            found[letter] = self.labels[named[0]]
        return found
