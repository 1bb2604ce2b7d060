"""Facts from model cards: the base, and the questions that an expert was trained on."""

from __future__ import annotations

import re
from hashlib import blake2b

from pyswarmopt_llm.common.files.regular import user_path

QUESTIONS = "<!-- questions:"  # in a card, before their digests; not shown to readers
_ID = re.compile(r"(?:\w[\w.-]*/)?\w[\w.-]*")  # of the Hub


def may_be_on_hub(name: str) -> bool:
    """Whether a model's name could be a Hub id: it has the form of one, and is not a local path. The
    Hub rejects a card whose base has any other name.

    Example:
        >>> may_be_on_hub("org/model"), may_be_on_hub("/home/me/model")
        (True, False)
    """
    return bool(_ID.fullmatch(name)) and not user_path(name).exists()


def digest_of(question: str) -> str:
    """A digest of a question that ignores case and spaces.

    Example:
        >>> digest_of("Who is it?") == digest_of("who  is it? ")
        True
    """
    plain = " ".join(question.casefold().split())
    return blake2b(plain.encode("utf-8", "replace"), digest_size=5).hexdigest()
