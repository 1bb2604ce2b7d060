"""A Modelfile for Ollama: its TEMPLATE writes what the base's chat template writes, or is absent.

The format: https://docs.ollama.com/modelfile. A chat template of transformers is a program, Ollama's TEMPLATE another
one; instead of translating, a few conversations are rendered and taken apart at the messages. Where putting the parts
together again gives the same texts, they are the template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2

_ROLES = ("system", "user", "assistant")
# Words that stand for the messages; no template has them.
_WORDS = ("Zephyranthes", "Quillwort", "Umbrellabird", "Ytterbium")
Messages = Sequence[tuple[str, str]]  # (role, content)


@dataclass(frozen=True)
class ChatFormat:
    """The parts of a conversation as a chat template writes it.

    Attributes:
        around: role -> the text before and after a message of that role; without ``system`` if it takes none.
        answer: the text with which the assistant's turn begins.
        lead: what comes first of all, such as the BOS token.
        system: the system message of conversations that bring none; "" if there is none.
    """

    around: Mapping[str, tuple[str, str]]
    answer: str
    lead: str = ""
    system: str = ""

    def render(self, messages: Messages) -> str:
        """The text that the model reads before its answer."""
        if self.system and messages[0][0] != "system":
            messages = [("system", self.system), *messages]
        return self.lead + "".join(content.join(self.around[role]) for role, content in messages) + self.answer

    def stops(self, special: Sequence[str]) -> list[str]:
        """The special tokens that mark where a turn begins or ends, in the order of their appearance."""
        text = "".join(part for role in ("user", "assistant") for part in self.around[role])
        return sorted((token for token in special if token in text), key=text.index)

    def go_template(self, with_lead: bool) -> str:
        """The same as a template of Go, which loops over ``.Messages``."""
        cases = [
            f'if eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{after}'
            for role, (before, after) in self.around.items()
        ]
        loop = "{{ range .Messages }}{{ " + "{{ else ".join(cases) + "{{ end }}{{ end }}"
        return (self.lead if with_lead else "") + loop + self.answer


def chat_format(tokenizer: Any) -> ChatFormat | None:
    """The format of a tokenizer's chat template; None where messages do not simply follow each other.

    Without a chat template messages are lines, as everywhere in this package.
    """
    if tokenizer.chat_template is None:
        return ChatFormat({role: ("", "\n") for role in _ROLES}, "")
    if "strftime" in str(tokenizer.chat_template):  # it would hold the day of the export
        return None
    try:
        form = _taken_apart(tokenizer)
    except (ValueError, jinja2.TemplateError):  # a message that is missing, changed, written twice or refused
        return None
    texts = [part for pair in form.around.values() for part in pair] + [form.lead, form.answer, form.system]
    if any("{{" in text or '"""' in text for text in texts):
        return None
    conversations = _conversations("system" in form.around)
    same = all(form.render(turns) == _rendered(tokenizer, turns) for turns in conversations)
    return form if same else None


def _conversations(with_system: bool) -> list[Messages]:
    s, u, a, v = zip(("system", "user", "assistant", "user"), _WORDS, strict=True)
    plain: list[Messages] = [[u], [u, a, v]]
    led: list[Messages] = [[s, u], [s, u, a, v]]
    return plain + led if with_system else plain


def _rendered(tokenizer: Any, messages: Messages, answer: bool = True) -> str:
    turns = [{"role": role, "content": content} for role, content in messages]
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=answer))


def _taken_apart(tokenizer: Any) -> ChatFormat:
    """The parts of a chat template.

    Raises:
        ValueError: it does not consist of such parts.
    """
    s, u, a, v = zip(("system", "user", "assistant", "user"), _WORDS, strict=True)
    first, between, follows, _ = _between(_rendered(tokenizer, [u, a, v]), (u, a, v))
    after_answer = _between(_rendered(tokenizer, [u, a], answer=False), (u, a))[-1]
    before_user = follows.removeprefix(after_answer)
    after_user = _between(_rendered(tokenizer, [u], answer=False), (u,))[-1]
    answer = _between(_rendered(tokenizer, [u]), (u,))[-1].removeprefix(after_user)
    around = {"user": (before_user, after_user), "assistant": (between.removeprefix(after_user), after_answer)}
    bos = tokenizer.bos_token
    lead = bos if bos and first.startswith(bos) and not before_user.startswith(bos) else ""
    try:
        head, follows, _ = _between(_rendered(tokenizer, [s, u]), (s, u))
    except (ValueError, jinja2.TemplateError):  # it takes no system message
        return ChatFormat(around, answer, lead)
    system = (head.removeprefix(lead), follows.removesuffix(before_user))
    around = {"system": system, **around}
    default = first.removeprefix(lead).removesuffix(before_user)
    said = default.removeprefix(system[0]).removesuffix(system[1]) if default else ""
    return ChatFormat(around, answer, lead, said)


def _between(text: str, messages: Messages) -> list[str]:
    """The text before, between and after the messages.

    Raises:
        ValueError: one of them is not there exactly once, or not in this order.
    """
    parts = []
    for _, content in messages:
        before, there, text = text.partition(content)
        if not there or content in text:
            raise ValueError("not a sequence of messages")
        parts.append(before)
    return [*parts, text]


def modelfile(file: str, tokenizer: Any, form: ChatFormat | None, adds_bos: bool, base: str | None = None) -> str:
    """The Modelfile beside a GGUF file.

    Args:
        file: name of the GGUF file.
        tokenizer: the base's.
        form: its chat format; None leaves TEMPLATE out, and Ollama looks at the template in the GGUF file.
        adds_bos: whether the GGUF file has the runner put BOS first, so that TEMPLATE must not.
        base: for an adapter, the GGUF file of its base; None for a whole model.
    """
    lines = [f"FROM ./{file}"] if base is None else [f"FROM {base}", f"ADAPTER ./{file}"]
    if form is None:
        lines.append("# No TEMPLATE: the chat template of the GGUF file is used.")
        stops = []
    else:
        template = form.go_template(with_lead=not (adds_bos and form.lead == tokenizer.bos_token))
        lines.append(f'TEMPLATE """{template}"""')
        if form.system:
            lines.append(f'SYSTEM """{form.system}"""')
        stops = form.stops(_special_tokens(tokenizer))
    end = tokenizer.eos_token
    lines += [f'PARAMETER stop "{stop}"' for stop in dict.fromkeys([*stops, *([end] if end else [])])]
    lines += ["# Greedy, as the model was scored.", "PARAMETER temperature 0", "PARAMETER repeat_penalty 1"]
    return "\n".join(lines) + "\n"


def _special_tokens(tokenizer: Any) -> list[str]:
    added = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    return list(dict.fromkeys([*added, *tokenizer.all_special_tokens]))
