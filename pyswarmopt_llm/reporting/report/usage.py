"""Code and commands that use the result of a search."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from pyswarmopt_llm.spaces import space_kind

_IMPORT = "from transformers import AutoModelForCausalLM, AutoTokenizer"


def usage(config: Mapping[str, Any], base: str) -> list[tuple[str, str]]:
    """How to use the result: (purpose, code to copy).

    Args:
        config: the run's configuration.
        base: the base's public name.
    """
    folder, library = f"{config['out'].rstrip('/')}/best", space_kind(config.get("space", "factor")).library
    found = []
    if library == "transformers":
        found.append(("Load it with transformers", "\n".join([_IMPORT, "", *_loading("model", folder)])))
    elif library == "peft":
        code = ["from peft import PeftModel", _IMPORT, "", *_loading("base", base)]
        code.append(f"model = PeftModel.from_pretrained(base, {folder!r})")
        found.append(("Load it with peft", "\n".join(code)))
    run = shlex.quote(config["out"])
    found.append(("Ask a question", f'swarm-llm generate --run {run} "Which planet is the largest?"'))
    model = ["--base", config["base"], "--adapter", folder] if library == "peft" else ["--base", folder]
    for task in config["tasks"][:1]:
        command = ["swarm-llm", "eval", *model, "--task", task, "--split", "test"]
        found.append(("Evaluate it again", shlex.join(command)))
    return found


def _loading(variable: str, name: str) -> list[str]:
    return [
        f"{variable} = AutoModelForCausalLM.from_pretrained({name!r})",
        f"tokenizer = AutoTokenizer.from_pretrained({name!r})",
    ]


__all__ = ["usage"]
