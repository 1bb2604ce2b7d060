"""Local reward models: sequence classifiers with one output, applied to the chat of prompt and reply."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.metrics.classifiers.classifier import load_classifier, padded_batches
from pyswarmopt_llm.tasks import Item

REWARD_TOKENS = 200  # maximum length of a reply and scale of its length, as in the Model Swarms reference


class RewardModel:
    """Scores replies by a sequence classifier with one label, in eval mode.

    Its tokenizer has a chat template and a pad token.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model, self._tokenizer = model, tokenizer

    @torch.inference_mode()
    def scores(self, items: Sequence[Item], texts: Sequence[str]) -> list[float]:
        """The reward of each reply: the classifier's logit."""
        encoded = [self._encode(item.question, text) for item, text in zip(items, texts, strict=True)]
        rewards = [math.nan] * len(encoded)
        for indices, ids, mask in padded_batches(encoded, self._tokenizer.pad_token_id, self._model.device):
            logits = self._model(input_ids=ids, attention_mask=mask).logits[:, 0].float()
            for i, value in zip(indices, logits.tolist(), strict=True):
                rewards[i] = value
        broken = next((item.id for item, value in zip(items, rewards, strict=True) if not math.isfinite(value)), None)
        if broken is not None:
            raise UserError(f"the reward of item {broken} is not finite; load the reward model in float32")
        return rewards

    def verbose(self, items: Sequence[Item], texts: Sequence[str]) -> list[float]:
        """The mean of reward and length, both on 0 to 1: a preference for long replies."""
        return [(reward + length) / 2 for reward, length in self._on_unit_scale(items, texts)]

    def concise(self, items: Sequence[Item], texts: Sequence[str]) -> list[float]:
        """The mean of reward and brevity: the opposite preference of `verbose`."""
        return [(reward + (1 - length)) / 2 for reward, length in self._on_unit_scale(items, texts)]

    def _on_unit_scale(self, items: Sequence[Item], texts: Sequence[str]) -> Iterator[tuple[float, float]]:
        """Reward and length of each reply, on 0 to 1."""
        # The reference scales rewards by constants of its reward model; the logistic function works for any.
        rewards = [_logistic(value) for value in self.scores(items, texts)]
        lengths = [min(1.0, len(self._tokenizer(text)["input_ids"]) / REWARD_TOKENS) for text in texts]
        return zip(rewards, lengths, strict=True)

    def _encode(self, prompt: str, reply: str) -> list[int]:
        messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]
        text = self._tokenizer.apply_chat_template(messages, tokenize=False)
        return [int(i) for i in self._tokenizer(text, add_special_tokens=False)["input_ids"]]


def preferred(rewards: Sequence[float]) -> dict[str, float]:
    """Mean probability of being preferred to a reply of reward 0 (Bradley and Terry 1952): a scale of 0 to 1.

    Example:
        >>> preferred([0.0, 0.0]), preferred([900.0])
        ({'preferred': 0.5}, {'preferred': 1.0})
    """
    return {"preferred": round(sum(map(_logistic, rewards)) / len(rewards), 9)}


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-max(min(value, 50.0), -50.0)))


def load_reward(spec: str, device: str = "cpu") -> RewardModel:
    """Load a reward model from a directory or by its hub id, in float32 on a CPU, else in its stored dtype.

    Raises:
        UserError: it cannot be loaded, or has several labels, no pad token or no chat template.
    """
    model, tokenizer = load_classifier(spec, "reward", "reward model", device)
    if model.config.num_labels != 1:
        raise InvalidOption(
            "metric", f"reward:{spec}", f"has {model.config.num_labels} outputs; a reward model has one"
        )
    if tokenizer.chat_template is None:
        raise InvalidOption("metric", f"reward:{spec}", "its tokenizer has no chat template; set one and save it")
    # The classifier reads the last token that is not padding.
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    return RewardModel(model, tokenizer)


def controllability(verbose: Sequence[str], concise: Sequence[str]) -> float:
    """How well a pair of models follows two conflicting preferences: the fraction of prompts on which the model
    optimised for verbosity writes more words than the one optimised for conciseness; ties count one half.

    0.5 is no control, 1 full control (probability of superiority, Wolfe and Hogg 1971; for conflicting rewards see
    Feng et al. 2024, section 3).

    Args:
        verbose: replies of the model optimised for verbosity.
        concise: replies of the other model to the same prompts.

    Raises:
        ValueError: no replies, or unequal numbers.

    Example:
        >>> controllability(["a long reply", "two words"], ["short", "two words"])
        0.75
    """
    if not verbose or len(verbose) != len(concise):
        raise ValueError(f"{len(verbose)} and {len(concise)} replies: give as many of each, and at least one")
    lengths = [(len(v.split()), len(c.split())) for v, c in zip(verbose, concise, strict=True)]
    return sum(1.0 if v > c else 0.5 if v == c else 0.0 for v, c in lengths) / len(lengths)
