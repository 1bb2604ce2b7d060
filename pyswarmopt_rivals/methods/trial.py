"""What a method that looks at dev items or texts is given: a resident model with a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pyswarmopt_llm.common.interfaces import Patch, Score
    from pyswarmopt_llm.engine.transformers import TransformersEngine
    from pyswarmopt_llm.experts.base import BaseModel
    from pyswarmopt_llm.scores.choices import Choices


class Trial(Protocol):
    """A resident model and an evaluation budget; what goes beyond the budget raises
    RuntimeError.
    """

    model: Any  # a transformers causal LM, with the patch that was loaded or scored last
    tokenizer: Any
    base: BaseModel
    engine: TransformersEngine
    choices: Sequence[Choices]  # the dev items that have a right answer, as they are scored
    spent: int  # item evaluations so far

    @property
    def left(self) -> int:
        """Number of times that the rest of the budget covers all dev items."""

    @property
    def items_left(self) -> int:
        """Item evaluations left in the budget."""

    def score(self, patch: Patch) -> Score:
        """The candidate's score on dev; one pass over dev."""

    def score_items(self, patch: Patch, items: Sequence[int]) -> Score:
        """The candidate's score on these dev items alone, given by index; one pass over each."""

    def loss(self, patch: Patch) -> float:
        """Mean over dev items of -ln P(right answer | question), in nats; one pass over dev."""

    def load(self, patch: Patch) -> None:
        """Make the model ``base + patch``."""

    def prompts(self, expert: str) -> Sequence[str]:
        """Prompts up to the answer: from the expert's own data if given, else from dev."""

    def examples(self, expert: str) -> Sequence[Mapping[str, Any]]:
        """The expert's own training chats; empty if none were given."""

    def spend(self, items: int) -> None:
        """Charge passes over single items; a forward and a backward pass together count as
        three.
        """
