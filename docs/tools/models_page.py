"""Write the lesson's page with living models: nine experts of examples/letters and one that harms.

    python docs/tools/models_page.py --out models.html

The page is one file that works offline. Its weights are those files as they are (bfloat16), one after the other,
compressed: the page computes with the numbers that `swarm-llm` reads, and nothing is rounded once more.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import importlib.util
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyswarmopt.teaching import lesson

HERE = Path(__file__).resolve().parent / "models"
LETTERS = HERE.parents[2] / "examples" / "letters"
# Of the lesson, then the page's own.
SHARED = ("swarm.js", "formula.js", "draw.js", "dom.js", "dock.js", "ask.js", "write.js")
OWN = ("llama.js", "mixtures.js", "race.js", "contest.js", "page.js")
HARMFUL = LETTERS / "harmful" / "reverse-pairs"
LEFT_OUT = "back-fall"  # for the harmful one: nobody asks for its rules, and alone it is as good as the base
DEV, HELDOUT = 24, 60  # prompts: few, so that a phone scores a candidate in a second


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description="Write the lesson's page with living models.")
    parser.add_argument("--out", type=Path, default=Path("models.html"), metavar="FILE")
    out: Path = parser.parse_args().out
    size = out.write_bytes(page().encode())
    sys.stdout.write(f"wrote {out} ({size / 1e6:.1f} MB, one file, works offline)\n")


def page() -> str:
    """The page as an HTML document that needs no network and no other file."""
    shared = [lesson.read(name) for name in SHARED]
    own = [read(name) for name in OWN]
    return lesson.filled(
        read("page.html"),
        data(),
        STYLE=lesson.read("page.css") + read("page.css"),
        WEIGHTS=encoded(gzip.compress(weights(), mtime=0)),
        SCRIPTS="\n".join(shared + own),
    )


def read(name: str) -> str:
    """The text of a file of the page."""
    return (HERE / name).read_text(encoding="utf-8")


def encoded(content: bytes) -> str:
    """Bytes as text, which a page may contain."""
    return base64.b64encode(content).decode()


def weights() -> bytes:
    """All files of weights, the base first."""
    return b"".join(path.read_bytes() for path in files())


def files() -> list[Path]:
    """The base's weights, then those of ten experts by name; one of them harms."""
    useful = [path for path in LETTERS.glob("experts/*") if path.name != LEFT_OUT]
    experts = sorted([*useful, HARMFUL], key=lambda path: path.name)
    adapters = [path / "adapter_model.safetensors" for path in experts]
    return [LETTERS / "base" / "model.safetensors", *adapters]


def data() -> dict[str, Any]:
    """Contents of the page but for the weights: texts, prompts with their right replies, the model."""
    texts = tomllib.loads(read("chapters.toml"))
    return {
        **texts,
        "model": about(),
        "experts": [path.parent.name for path in files()[1:]],
        "prompts": {"dev": prompts("dev", DEV), "heldout": prompts("test", HELDOUT)},
        "landscapes": {"own": []},  # no best point is known
        "kernel": encoded((HERE / "linear.wasm").read_bytes()),
    }


def about() -> dict[str, Any]:
    """What the page has to know of the model beside its weights."""
    config = json_of(LETTERS / "base" / "config.json")
    tokenizer = json_of(LETTERS / "base" / "tokenizer.json")
    adapter = json_of(files()[1].with_name("adapter_config.json"))
    words: dict[str, int] = tokenizer["model"]["vocab"]
    return {
        "config": config,
        "sizes": [path.stat().st_size for path in files()],
        "words": sorted(words, key=words.__getitem__),
        "special": [token["id"] for token in tokenizer["added_tokens"]],
        "unknown": words[tokenizer["model"]["unk_token"]],
        "rank": adapter["r"],
        "alpha": adapter["lora_alpha"],
        "turn": "<user> {} <bot>",  # chat_template.jinja with one message
    }


def prompts(split: str, count: int) -> list[dict[str, str]]:
    """The first prompts of a split, each with the reply that examples/letters/check.py wants."""
    lines = (LETTERS / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    found = [row["prompt"] for row in map(json.loads, lines) if row["split"] == split]
    return [{"prompt": prompt, "right": right_reply(prompt)} for prompt in found[:count]]


def right_reply(prompt: str) -> str:
    """The letters that a prompt asks for.

    Example:
        >>> right_reply("Question: pairs a b c d")
        'b a d c'
    """
    rule, *letters = prompt.removeprefix("Question: ").split()
    return " ".join(rules()[rule](letters))


def rules() -> dict[str, Callable[[list[str]], list[str]]]:
    """The rules of examples/letters/check.py."""
    spec = importlib.util.spec_from_file_location("check", LETTERS / "check.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(LETTERS / "check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: dict[str, Callable[[list[str]], list[str]]] = module.RULES
    return found


def json_of(path: Path) -> dict[str, Any]:
    """A JSON object in a file."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    main()
