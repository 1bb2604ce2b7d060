"""What engines have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any


class BaseEngine(ABC):
    """Defaults of `interfaces.Engine`: one model, of unlimited length, that writes its whole answer
    at once.
    """

    window: int | None = None
    message_tokens: int = 0
    likelihoods: bool = True
    parameter_names: tuple[str, ...] = ()
    members: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def generate(self, prompts: Sequence[str], max_new_tokens: int = 64) -> list[str]:
        """See `interfaces.Engine`."""

    def count_tokens(self, text: str) -> int:
        """The sum over the members."""
        return sum(member.count_tokens(text) for member in self.members.values())

    def stream(self, prompt: str, max_new_tokens: int = 64) -> Iterator[str]:
        """The whole continuation as one piece."""
        return iter([self.generate([prompt], max_new_tokens)[0].strip()])
