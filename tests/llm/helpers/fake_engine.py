"""An engine of tables, for utilities whose numbers are worked by hand."""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_llm.common.interfaces import Patch


class FakeEngine:
    """Answers from tables; records what it received."""

    def __init__(
        self, likelihoods: dict[str, float] | None = None, texts: dict[str, str] | None = None
    ) -> None:
        self.likelihoods, self.texts = likelihoods or {}, texts or {}
        self.received: list[tuple[str, str]] = []
        self.loaded: list[Patch] = []

    def load(self, patch: Patch) -> None:
        self.loaded.append(patch)

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        self.received += pairs
        return [self.likelihoods[continuation] for _, continuation in pairs]

    def generate(self, prompts: Sequence[str], max_new_tokens: int = 64) -> list[str]:
        return [
            next(text for key, text in self.texts.items() if key in prompt) for prompt in prompts
        ]

    def chat(self, user: str, *_: object) -> str:
        return f"<{user}>"
