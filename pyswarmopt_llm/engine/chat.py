"""Conversations in a model's chat template, untrusted code that transformers runs in a sandbox; and
an engine's tokenizer.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache, lru_cache, partial
from typing import Any
from weakref import proxy

from pyswarmopt_llm.common.errors import UserError, first_line
from pyswarmopt_llm.common.interfaces import Engine
from pyswarmopt_llm.engine.batching import TokenPair, Tokens, encode_pair

log = logging.getLogger(__name__)
_MOST_PAIRS = 2**15  # encoded pairs that an engine keeps
# Today in every chat template, as Llama 3's have it by default: a reply depends on no calendar.
DAY = datetime(2024, 7, 26, 12)
_MARK = "\ue000"  # in no template
_OPEN_THOUGHT = re.compile(r"<think>\s*\Z")
_EMPTY_THOUGHT_AT_END = re.compile(r"<think>\s*</think>\s*\Z")
_EMPTY_THOUGHT_AT_START = re.compile(r"\A<think>\s*</think>\s*")
_BYTE_ORDER_MARK = "\ufeff"
_TODAY = re.compile(r"strftime_now\(\s*(['\"])(?P<form>.*?)\1\s*\)")
_TAKEN: dict[tuple[str, int], bool] = {}  # template, turn of `_TRIAL` -> whether it renders that

Message = Mapping[str, str]
Turns = Sequence[Message]
_TRIAL: Turns = (
    {"role": "system", "content": "Answer briefly."},
    {"role": "user", "content": "Which one?"},
)


def rendered(tokenizer: Any, messages: Turns, **options: Any) -> str:
    """Turns in a tokenizer's chat template.

    A system turn that the template refuses or drops is put before the first question.

    Args:
        tokenizer: transformers tokenizer, which runs templates in a sandbox.
        messages: the turns.
        options: variables of the template, and `add_generation_prompt`. Models do not think before
            they answer, unless `enable_thinking` is set: a thought that the template begins is
            ended.

    Raises:
        UserError: the template fails, or leaves out the last turn.
    """
    where = f"{tokenizer.name_or_path or 'the tokenizer'}: its chat template"
    try:
        turns = list(messages)
        if turns[0]["role"] == "system" and not _takes(tokenizer, 0):
            turns = _without_system_turn(turns)
        text = _render(tokenizer, turns, **{"enable_thinking": False, **options})
    except Exception as error:  # a template may raise any error, with any text
        raise UserError(
            f"{where} fails ({first_line(error)}); correct it, or use another one"
        ) from error
    if turns[-1]["content"].strip() not in text and not _takes(tokenizer, 1):
        raise UserError(f"{where} omits the user's text; correct it, or use another one")
    if options.get("add_generation_prompt") and not options.get("enable_thinking"):
        text = _without_open_thought(text)
    return text


def open_thought(prompt: str) -> str:
    """The mark at a prompt's end that begins a thought; "" if there is none.

    Example:
        >>> open_thought("<|assistant|><think>\\n"), open_thought("<|assistant|>")
        ('<think>\\n', '')
    """
    found = _OPEN_THOUGHT.search(prompt)
    return found[0] if found else ""


def _without_open_thought(prompt: str) -> str:
    """A prompt after which the reply begins: a thought that the template has begun is empty."""
    if not open_thought(prompt):
        return prompt
    return f"{prompt.rstrip()}\n\n</think>\n\n"


def _render(tokenizer: Any, turns: Turns, **variables: Any) -> str:
    """Turns in a template, in which `DAY` stands for today."""
    template = _TODAY.sub(
        lambda call: json.dumps(DAY.strftime(call["form"])), tokenizer.get_chat_template()
    )
    text = tokenizer.apply_chat_template(
        list(turns), chat_template=template, tokenize=False, **variables
    )
    return str(text)


def _takes(tokenizer: Any, turn: int) -> bool:
    """Whether a template accepts the trial's system turn (0) or question (1) and renders it; tried
    once.
    """
    key = (str(tokenizer.chat_template), turn)
    if key not in _TAKEN:
        text = ""
        with suppress(Exception):  # any error means that the template refuses these turns
            text = _render(tokenizer, _TRIAL[turn:])
        _TAKEN[key] = _TRIAL[turn]["content"] in text
        if turn == 0 and not _TAKEN[key]:
            log.warning(
                "the chat template has no system turn; the system text is put before the question"
            )
    return _TAKEN[key]


def _without_system_turn(turns: Turns) -> list[Message]:
    """The turns with the system turn's text moved into the first question."""
    system, first, *others = turns
    return [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *others]


class PromptTokenizer(Engine):
    """A tokenizer with the chat template, special tokens and context window of a causal language
    model.

    Args:
        tokenizer: tokenizer of transformers.
        window: the model's context window in tokens; None if unknown.

    Attributes:
        tokenizer, window: as given.
        system: first turn of a conversation without its own; "" for none.
        verbatim_start: the text of the tokenizer's leading special tokens.
        rows: tokens that the model knows.
    """

    rows: float = math.inf

    def __init__(self, tokenizer: Any, window: int | None) -> None:
        self.tokenizer = tokenizer
        self.window = window
        self.system = ""
        self._lead = leading_specials(tokenizer)
        self.verbatim_start = "".join(tokenizer.convert_ids_to_tokens(self._lead))
        # A race scores a different subset of the same pairs each time.
        # By a proxy: an engine that refers to itself, and its model, would outlive its use.
        self._pair = lru_cache(_MOST_PAIRS)(
            partial(encode_pair, partial(type(self).encode, proxy(self)))
        )
        # by template and system turn
        self._heads = cache(lambda template, system: chat_heads(tokenizer, system))

    def tell(self, done: int, count: int) -> None:
        """Report the texts read so far, if anyone listens."""
        if self.progress is not None:
            self.progress(done, count)

    def chat(self, user: str, earlier: Turns = ()) -> str:
        """A user turn after earlier ones, up to the start of the assistant's.

        Earlier turns may have a system turn of their own. Without a chat template: the texts, each
        followed by a line break. A user turn that is a whole conversation in the template is
        returned as is.

        Raises:
            UserError: the chat template fails.
        """
        user = user.removeprefix(_BYTE_ORDER_MARK)
        if not earlier and self._is_written_out(user):
            return user
        user = user.removeprefix(self.verbatim_start)  # it comes once, before the first turn
        messages = [*earlier, {"role": "user", "content": user}]
        if self.system and not any(message["role"] == "system" for message in earlier):
            messages.insert(0, {"role": "system", "content": self.system})
        if self.tokenizer.chat_template is None:
            return "".join(f"{message['content']}\n" for message in messages)
        thinking = self.thinking > 0
        return rendered(
            self.tokenizer, messages, add_generation_prompt=True, enable_thinking=thinking
        )

    def _is_written_out(self, user: str) -> bool:
        """Whether a user turn begins as a conversation does, with a special token of the template."""
        turn = user.removeprefix(self.verbatim_start)
        heads = self._heads(str(self.tokenizer.chat_template), self.system)
        starts = tuple(filter(None, (head.removeprefix(self.verbatim_start) for head in heads)))
        return turn.startswith(starts) and turn.startswith(
            tuple(special_tokens(self.tokenizer).values())
        )

    def verbatim(self, text: str) -> str:
        """A text that no chat template rendered, with its leading special tokens written out if
        `encode` would take it for a conversation.
        """
        if self._is_chat(text) and not text.startswith(self.verbatim_start):
            return self.verbatim_start + text
        return text

    def encode(self, text: str) -> list[int]:
        """Token ids with leading special tokens, without trailing ones.

        As in transformers: a chat template writes its special tokens itself; any other text starts
        with the tokenizer's, unless they are already written.

        Raises:
            UserError: the model does not know a token of the tokenizer.
        """
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if max(ids, default=0) >= self.rows:
            raise UserError(
                f"the tokenizer produces token id {max(ids)}, but the model has only {self.rows} "
                "embeddings; use the model's own tokenizer, or resize its embeddings"
            )
        if ids[: len(self._lead)] == self._lead or self._is_chat(text):
            return ids
        return self._lead + ids

    def _is_chat(self, text: str) -> bool:
        """Whether the chat template rendered a text, by its start."""
        return text.startswith(self._heads(str(self.tokenizer.chat_template), self.system))

    def encode_continuation(self, context: str, continuation: str) -> TokenPair:
        """Token ids of both (see `encode_pair`)."""
        pair = self._pair(context, continuation)
        self._check_length(sum(map(len, pair)), context)
        return pair

    def encode_prompt(self, prompt: str, reply: int = 0) -> Tokens:
        """Token ids of a prompt, with leading special tokens, which leave room for a reply of so
        many tokens in the context window.
        """
        ids = self.encode(prompt)
        if not ids:
            raise ValueError("prompts must not be empty")
        self._check_length(len(ids), prompt, reply)
        return tuple(ids)

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, leading special ones included; see `encode`."""
        return len(self.encode(text))

    def _check_length(self, n: int, text: str, reply: int = 0) -> None:
        """Raise `UserError` if the `n` tokens of `text` and the reply's exceed the context window."""
        if self.window is not None and n + reply > self.window:
            raise UserError(
                f"the prompt that begins {text[:40]!r} needs {needed_tokens(n, reply)}, but the model's "
                f"context window holds {self.window:,}; shorten the prompt, or use a model with a larger "
                "window"
            )


def needed_tokens(prompt: int, reply: int) -> str:
    """How many tokens a prompt and its longest reply need.

    Example:
        >>> needed_tokens(174, 128), needed_tokens(300, 0)
        ('302 tokens (prompt with instructions: 174, reply: 128)', '300 tokens')
    """
    parts = ""
    if reply:
        parts = f" (prompt with instructions: {prompt:,}, reply: {reply:,})"
    return f"{prompt + reply:,} tokens{parts}"


def chat_heads(tokenizer: Any, system: str) -> tuple[str, ...]:
    """How conversations in a chat template start: all before the text of the first turn, or of the
    turn after this system turn.
    """
    asked = {"role": "user", "content": _MARK}
    chats = [[asked]]
    for role, text in (("assistant", _MARK), ("system", _MARK), ("system", system or _MARK)):
        chats.append([{"role": role, "content": text}, asked])
    heads = []
    for chat in chats:
        with suppress(UserError):  # the template refuses such turns
            heads.append(rendered(tokenizer, chat).partition(_MARK)[0])
    return tuple(filter(None, heads))


def leading_specials(tokenizer: Any) -> list[int]:
    """The special tokens that a tokenizer puts before a text, such as BOS."""
    encoded = tokenizer("a", return_special_tokens_mask=True)
    ids: list[int] = encoded["input_ids"]
    return ids[: encoded["special_tokens_mask"].index(0)]


def window_of(config: Any) -> int | None:
    """The context window stated in a model's configuration.

    With longrope embeddings (Ding et al. 2024, arXiv 2402.13753) it is that of their first set of
    factors: a longer text would change how all texts of its batch are read.
    """
    config = config.get_text_config()
    length = getattr(config, "max_position_embeddings", None)
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") == "longrope":
        length = rope.get("original_max_position_embeddings", length)
    return length


def split_chat(tokenizer: Any, messages: Turns) -> tuple[str, str]:
    """A rendered chat up to the start of its last turn, and that turn.

    A line break after the end of the turn is never generated, so it is not included.

    Raises:
        UserError: the chat template fails, or rewrites earlier turns.
    """
    prompt = rendered(tokenizer, messages[:-1], add_generation_prompt=True)
    whole = rendered(tokenizer, messages)
    if whole.startswith(prompt):
        return prompt, whole[len(prompt) :].rstrip("\n")
    head = _EMPTY_THOUGHT_AT_END.sub("", prompt)
    if not whole.startswith(head):
        raise UserError(
            "the base model's chat template rewrites earlier turns; use another base model"
        )
    turn = _EMPTY_THOUGHT_AT_START.sub("", whole[len(head) :])
    return prompt, turn.rstrip("\n")


def reply_frame(tokenizer: Any) -> tuple[str, str]:
    """White space before an assistant's reply, and the text that ends it, in the chat template.

    Without a template, or with one that rewrites earlier turns: "" and the end-of-sequence token.
    """
    messages = [{"role": "user", "content": "question"}, {"role": "assistant", "content": "reply"}]
    try:
        _, turn = split_chat(tokenizer, messages)
    except UserError:
        return "", tokenizer.eos_token or ""
    before, _, after = turn.partition("reply")
    if before.strip():  # thoughts around it are the model's
        before = ""
    return before, after


def turn_ends(tokenizer: Any) -> set[int]:
    """The special token that ends a reply in the chat template, if any."""
    _, ending = reply_frame(tokenizer)
    ids = tokenizer(ending, add_special_tokens=False)["input_ids"]
    special = special_tokens(tokenizer)
    return {*[number for number in ids if number in special][:1]}


def special_tokens(tokenizer: Any) -> dict[int, str]:
    """The special tokens of a tokenizer: id -> text."""
    added = tokenizer.added_tokens_decoder.items()
    return {number: token.content for number, token in added if token.special}
