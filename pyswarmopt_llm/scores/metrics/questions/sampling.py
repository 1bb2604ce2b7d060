"""Several sampled answers to an item, whose value is the mean of theirs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from pyswarmopt_llm.common.errors import InvalidOption
from pyswarmopt_llm.common.interfaces import Engine


@dataclass(frozen=True)
class Sampling:
    """The sampling of answers.

    Attributes:
        temperature: above 0.
        samples: answers to an item.
        seed: of the run.
    """

    temperature: float
    samples: int
    seed: int

    @classmethod
    def of(cls, temperature: float, samples: int, seed: int) -> Self | None:
        """The sampling that these settings describe; None: one greedy answer.

        Raises:
            InvalidOption: several greedy answers.
        """
        if temperature > 0:
            return cls(temperature, samples, seed)
        if samples > 1:
            raise InvalidOption(
                "samples", samples, "greedy replies are all the same; add `temperature`"
            )
        return None

    def seeds(self, prompts: Sequence[str], sample: int) -> list[int]:
        """The seed of each answer of a sample: those of all candidates are the same (common random
        numbers). Items with the same prompt have different ones.

        Example:
            >>> sampling = Sampling(1.0, 2, seed=0)
            >>> sampling.seeds(["a", "b"], 0)[1] == sampling.seeds(["b"], 0)[0] != sampling.seeds(["b"], 1)[0]
            True
        """
        draws = {prompt: random.Random(f"{self.seed} {sample} {prompt}") for prompt in prompts}
        return [draws[prompt].getrandbits(63) for prompt in prompts]

    def replies(
        self,
        engine: Engine,
        prompts: Sequence[str],
        max_new_tokens: int,
        indices: Sequence[int] | None = None,
    ) -> list[list[str]]:
        """The loaded model's answers, sample by sample; with `indices`, to the prompts there alone.

        Raises:
            TypeError: the engine does not sample.
        """
        from pyswarmopt_llm.engine.generation import Draw
        from pyswarmopt_llm.engine.transformers import on_transformers

        indices = range(len(prompts)) if indices is None else indices
        seeds: list[int] = []
        for sample in range(self.samples):
            of_sample = self.seeds(prompts, sample)
            seeds += [of_sample[index] for index in indices]
        draw = Draw(self.temperature, tuple(seeds))
        repeated = [prompts[index] for index in indices] * self.samples
        texts = on_transformers(engine, "replies are sampled").generate(
            repeated, max_new_tokens, draw
        )
        starts = range(0, len(texts), len(indices))
        return [texts[start : start + len(indices)] for start in starts]
