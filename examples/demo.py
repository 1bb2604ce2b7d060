"""The searches of `swarm-llm demo`, over the models beside this file; a seed is for the questions and the
search.
"""

from pathlib import Path

from pyswarmopt_llm import SearchConfig
from pyswarmopt_llm.experts.quantised.embedded import NAME, spec_of

HERE = Path(__file__).resolve().parent


def adapters(*folders: Path) -> tuple[str, ...]:
    """The adapters in these folders, by path."""
    configs = [config for folder in folders for config in folder.glob("*/adapter_config.json")]
    return tuple(sorted(str(config.parent) for config in configs))


def labelled(seed: int, out: Path) -> SearchConfig:
    """Eleven small experts, five of them useful, and requests to five businesses."""
    return SearchConfig(
        base=spec_of(NAME) or NAME,
        experts=adapters(HERE / "experts", HERE / "others"),
        tasks=(f"builtin:five-desks:{seed}",),
        out=str(out),
        dev=100,
        test=200,
        scoring="likelihood",
        seed=seed,
    )


def score(seed: int, out: Path) -> SearchConfig:
    """A base of 0.9 million weights and ten experts, each with two rules for letters; a program checks
    the replies.
    """
    folder = HERE / "letters"
    return SearchConfig(
        base=str(folder / "base"),
        experts=adapters(folder / "experts"),
        tasks=(),
        prompts=str(folder / "prompts.jsonl"),
        metrics=(f"{folder / 'check.py'}:check",),
        out=str(out),
        dev=100,
        spare=400,
        max_new_tokens=6,
        dtype="float32",
        seed=seed,
    )


def token(seed: int, out: Path) -> SearchConfig:
    """A Llama, a GPT-2 and a Gemma 3, each with two of six skills; the last is wrong about the other
    four.
    """
    folder = HERE / "unlike"
    return SearchConfig(
        base="",
        experts=tuple(str(folder / name) for name in ("llama", "gpt2", "gemma3")),
        tasks=(str(folder / "task.json"),),
        out=str(out),
        space="token",
        dev=100,
        test=300,
        scoring="likelihood",
        dtype="float32",
        seed=seed,
    )
