"""What the command line no longer has, and what to use instead: one table for all commands."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pyswarmopt_llm.common.errors import UserError

SERVER = "the base runs here now; docs/how-to/served-models.md shows how to serve a result"
# Command, or option with its dashes -> what to use instead.
REMOVED = {
    "find": "see examples/find_adapters.py, which ranks many adapters through the Python API",
    "perturb": "see examples/perturb.py, which scores a model on questions with typos",
    "blind": "use swarm-llm eval --blind FILE",
    "votes": "use swarm-llm eval --votes FILE",
    "--data-heldout": "nothing of --data is held out",
    "--preset": "use --paper or --reference, --draws 1 for one swarm",
    "--compat": "use --paper or --reference",
    "--grid": "use --paper for its grid, --draws 1 for one set of coefficients",
    "--engine": SERVER,
    "--server-folder": SERVER,
    "--server-slots": SERVER,
    "--utility": "write the score as a --metric FILE.py:NAME",
    "--labels": "use one spelling of each label in the file",
    "--from": "train a new adapter, or continue one with PEFT",
    "--max-len": "chats are cut to 448 tokens; TrainingOptions(max_len=...) in Python sets it",
    "--max-tokens": "use --epochs or --examples",
    "--split": "all of --data is trained on",
    "--seed": "this command draws nothing",
    "--forgetting": "use --task builtin:everyday --against base",
    "--fail-if-worse": "read paired.interval in eval --against B --json",
    "--animate": "use pyswarmopt.plot, or the picture of the search in report.html",
}


def refuse_removed(words: Sequence[str], known: Collection[str]) -> None:
    """Refuse commands and options that are gone.

    Args:
        words: commands or options as typed.
        known: what there is; a name that is still in use is never refused.

    Raises:
        UserError: names what to use instead.

    Example:
        >>> refuse_removed(["--compat=paper"], ["--seed"])
        Traceback (most recent call last):
        pyswarmopt_llm.common.errors.UserError: --compat: was removed; use --paper or --reference
    """
    for word in words:
        name = word.partition("=")[0]
        if name in REMOVED and name not in known:
            raise UserError(f"{name}: was removed; {REMOVED[name]}")
