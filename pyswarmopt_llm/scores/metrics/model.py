"""The model being scored, as a metric function sees it."""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.scores.metrics.accuracy import MAX_NEW_TOKENS


class ScoredModel:
    """The model being scored: the parameter ``engine`` of a metric function.

    Texts are read in batches; the order of a call's prompts does not matter. The methods raise
    `UserError` if a text exceeds the context window.

    Args:
        engine: engine with the model loaded.

    Example:
        >>> def certain(engine, items):  # doctest: +SKIP
        ...     options = [["yes", "no"]] * len(items)
        ...     nats = engine.loglikelihood([item.question for item in items], options)
        ...     return [abs(yes - no) for yes, no in nats]
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def generate(
        self, prompts: Sequence[str], max_new_tokens: int = MAX_NEW_TOKENS, chat: bool = True
    ) -> list[str]:
        """The model's greedy reply to each prompt.

        Args:
            prompts: user turns.
            max_new_tokens: maximum length of a reply.
            chat: whether prompts get the model's chat template; else the model continues the texts.
        """
        return self._engine.generate(self._contexts(prompts, chat), max_new_tokens)

    def loglikelihood(
        self, prompts: Sequence[str], options: Sequence[Sequence[str]], chat: bool = True
    ) -> list[list[float]]:
        """Natural log of the probability of each option after its prompt, summed over tokens.

        Args:
            prompts: user turns.
            options: for each prompt a list of texts, none of them empty.
            chat: whether prompts get the model's chat template; else options continue the texts.

        Returns:
            For each prompt a list with as many numbers as it has options.

        Raises:
            TypeError: `prompts` or the options of one are a text.
            ValueError: there are more or fewer lists of options than prompts, or an option is empty.
        """
        contexts = self._contexts(prompts, chat)
        if any(isinstance(each, str) for each in options):
            raise TypeError("options: pass a list of texts for each prompt")
        pairs = [
            (context, option)
            for context, each in zip(contexts, options, strict=True)
            for option in each
        ]
        values = iter(self._engine.loglikelihood(pairs))
        return [[next(values) for _ in each] for each in options]

    def _contexts(self, prompts: Sequence[str], chat: bool) -> list[str]:
        """What the model reads before its reply."""
        if isinstance(prompts, str):
            raise TypeError("prompts: pass a list of texts")
        return [self._engine.chat(prompt) if chat else prompt for prompt in prompts]
