"""Members behind an OpenAI-compatible endpoint: they write, without likelihoods."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from pyswarmopt_groups.members.protocol import GREEDY, Member, MemberDown, Sampling, Texts
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.external.endpoint import ChatClient, Completion, server_url

KEY = "SWARM_LLM_MEMBER_KEY"
_WHEN_DOWN = (
    "check its URL or remove it; with `out`, the same command resumes when the server is back"
)


def is_endpoint(spec: str) -> bool:
    """Whether a user's spec is an endpoint."""
    return spec.startswith(("http://", "https://"))


def url_and_model(spec: str) -> tuple[str, str]:
    """Both parts of ``URL#MODEL``.

    Raises:
        UserError: there is no model, or a URL with more than host, port and path.

    Example:
        >>> url_and_model("http://127.0.0.1:8000/v1#qwen")
        ('http://127.0.0.1:8000/v1', 'qwen')
    """
    url, _, model = spec.partition("#")
    url = server_url(url)
    if not model:
        raise UserError(
            f"{spec} does not name a model; use URL#MODEL, such as http://127.0.0.1:8000/v1#qwen"
        )
    return url, model


class EndpointMember(Member):
    """A `Member` behind HTTP; an API key can be given in the variable ``SWARM_LLM_MEMBER_KEY``.

    Args:
        name: name of the member.
        url: address of the server.
        model: the server's name of the model.
    """

    def __init__(self, name: str, url: str, model: str) -> None:
        super().__init__(name, f"{url}#{model}")
        self._client = ChatClient(url, model, KEY, f"member {name}", _WHEN_DOWN)

    def generate(self, prompts: Sequence[str], how: Sampling = GREEDY) -> list[Texts]:
        """One request per text; samples have different seeds, which a server may ignore.

        Raises:
            MemberDown: the server refuses, or does not respond.
        """
        options: dict[str, Any] = {"max_tokens": self.longest(how)}
        draws = [options]
        if how.temperature:
            draws = [
                options | {"temperature": how.temperature, "seed": how.seed + j}
                for j in range(how.n)
            ]
        rounds = [self._complete(prompts, draw) for draw in draws]
        replies = []
        for prompt, *completions in zip(prompts, *rounds, strict=True):
            texts = tuple(completion.text for completion in completions)
            tokens = 0
            for said in completions:
                tokens += said.tokens or self.count(prompt) + self.count(said.text)
            replies.append(Texts(texts, tokens))
        return replies

    def refuse(self) -> NoReturn:
        """See `Member`; the protocol has no likelihoods."""
        raise UserError(
            f"{self.name}: an endpoint returns no likelihoods; remove the member, or choose another strategy"
        )

    def count(self, text: str) -> int:
        """A quarter of the bytes: an average token of English text in common vocabularies."""
        return math.ceil(len(text.encode()) / 4)

    def _complete(self, prompts: Sequence[str], options: Mapping[str, Any]) -> list[Completion]:
        try:
            return self._client(prompts, options)
        except UserError as error:
            raise MemberDown(error.text) from error
