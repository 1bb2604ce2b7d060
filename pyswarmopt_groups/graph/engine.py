"""The engine of a graph of models: each reads messages of earlier models; the last one answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.tokens.members import SeveralModels, check_answers

MESSAGE_TOKENS = 64  # most tokens of a message
_MOST_KEPT = 256  # answers of models that an engine keeps
_LEAD = "Others have answered the question below. They may be wrong.\n"


@dataclass(frozen=True)
class Node:
    """A model in a graph of models that read each other's messages.

    Attributes:
        expert: number of the expert.
        reads: indices of earlier nodes whose messages it reads.
    """

    expert: int
    reads: tuple[int, ...] = ()


class GraphEngine(SeveralModels):
    """Runs a graph of models that read each other's messages (Feng et al. 2025); implements
    `interfaces.Engine`.

    Models are called in the graph's order. Each gets the question with the messages that it reads,
    and greedily writes a message; the last one writes, or scores, the answer. A prompt is a user's
    text here: every model puts it into its own chat template.

    Args:
        members: name -> expert with its weights in place.

    Raises:
        UserError: a member answers with NaN.

    Attributes:
        members: as given.
    """

    message_tokens = MESSAGE_TOKENS

    def __init__(self, members: Mapping[str, TransformersEngine]) -> None:
        check_answers(members)
        engines = list(members.values())
        self.members = dict(members)
        self.dtype = engines[0].dtype
        self._engines = engines
        self._graph: tuple[Node, ...] = ()

        # A swarm returns to the same graphs, graphs share their first nodes, and greedy answers
        # never change. Neither function refers to this engine, which would then outlive its use.
        @lru_cache(_MOST_KEPT)
        def write(expert: int, turns: tuple[str, ...], new: int) -> tuple[str, ...]:
            engine = engines[expert]
            return tuple(engine.generate([*map(engine.chat, turns)], new))

        @lru_cache(_MOST_KEPT)
        def score(expert: int, pairs: tuple[tuple[str, str], ...]) -> list[float]:
            engine = engines[expert]
            return engine.loglikelihood([(engine.chat(turn), text) for turn, text in pairs])

        self._write = write
        self._score = score

    def load(self, patch: Patch) -> None:
        """Take a graph of these members; nothing is computed."""
        self._graph = patch.graph

    def generate(self, prompts: Sequence[str], max_new_tokens: int = 64) -> list[str]:
        """The last model's greedy answers to user turns, without special tokens."""
        turns = self._turns(tuple(prompts), max_new_tokens)
        return list(self._write(self._graph[-1].expert, turns, max_new_tokens))

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Natural log of the last model's P(continuation | user turn and messages)."""
        expert = self._graph[-1].expert
        tokenizer = self._engines[expert].tokenizer
        longest = max(len(tokenizer(continuation)["input_ids"]) for _, continuation in pairs)
        # The other models see only the prompt, not the options after it.
        prompts = tuple(dict.fromkeys(prompt for prompt, _ in pairs))
        turns = dict(zip(prompts, self._turns(prompts, longest), strict=True))
        asked = tuple((turns[prompt], continuation) for prompt, continuation in pairs)
        return list(self._score(expert, asked))

    def _turns(self, prompts: tuple[str, ...], new: int) -> tuple[str, ...]:
        """Run all models but the last; return the last one's user turns."""
        messages: list[tuple[str, ...]] = []
        for node in self._graph[:-1]:
            turns = self._turns_of(node, prompts, messages, MESSAGE_TOKENS)
            messages.append(self._write(node.expert, turns, MESSAGE_TOKENS))
        return self._turns_of(self._graph[-1], prompts, messages, new)

    def _turns_of(
        self, node: Node, prompts: tuple[str, ...], messages: Sequence[tuple[str, ...]], new: int
    ) -> tuple[str, ...]:
        """User turns of a model, with room for `new` tokens."""
        engine = self._engines[node.expert]
        turns = []
        for i, prompt in enumerate(prompts):
            said = [messages[k][i] for k in node.reads]
            turns.append(fitting_turn(engine, prompt, said, new))
        return tuple(turns)


def with_messages(question: str, messages: Sequence[str]) -> str:
    """A user turn: the messages as a list, then the unchanged question.

    Example:
        >>> print(with_messages("Question: What is two plus two?", ["four", "five"]))
        Others have answered the question below. They may be wrong.
        - four
        - five
        Question: What is two plus two?
        >>> with_messages("Question: What is two plus two?", [])
        'Question: What is two plus two?'
    """
    said = [" ".join(message.split()) for message in messages]
    lines = "".join(f"- {message}\n" for message in said if message)
    if lines:
        return f"{_LEAD}{lines}{question}"
    return question


def fitting_turn(
    engine: TransformersEngine, question: str, messages: Sequence[str], new: int
) -> str:
    """`with_messages` for a model's context window, leaving room for `new` tokens: messages are
    halved until they fit.

    The question itself is never cut; the engine refuses it if it is too long without messages.
    """
    said = list(messages)
    while True:
        turn = with_messages(question, said)
        if not any(said) or engine.window is None:
            return turn
        if engine.count_tokens(engine.chat(turn)) + new <= engine.window:
            return turn
        said = [message[: len(message) // 2] for message in said]
