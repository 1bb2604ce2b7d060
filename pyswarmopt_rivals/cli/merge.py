"""`swarm-llm merge`: experts combined by a fixed rule, or by a method that uses a task."""

from __future__ import annotations

from pyswarmopt.base.words import counted
from pyswarmopt_llm.cli.options import Json, names_block
from pyswarmopt_llm.cli.running import (
    check_adapters,
    interruptible,
    loading,
    nothing_written,
    print_either,
)
from pyswarmopt_llm.common.files.regular import check_free, user_path
from pyswarmopt_llm.experts.files import require_inputs
from pyswarmopt_rivals.merge_config import MergeConfig
from pyswarmopt_rivals.methods import METHODS, SEARCHING


def command(config: MergeConfig, as_json: Json = False) -> None:
    check_free(user_path(config.out))
    require_inputs(config.experts, config.base)
    with loading(as_json):
        check_adapters(config.experts)
        from pyswarmopt_rivals.merge import merge
    with interruptible(nothing_written):
        done = merge(config)
    record = {
        "out": config.out,
        "method": config.method,
        "space": done.space,
        "experts": config.experts,
        "ranks": done.ranks,
        "relative_error": done.error,
        "items": done.items,
    }
    of = counted(len(config.experts), "expert")
    named = config.method
    if config.weights is not None:
        named += f" with weights {config.weights}"
        if config.method == MergeConfig.method:
            named = f"sum with weights {config.weights}"
    ranks = ", ".join(map(str, done.ranks))
    text = f"wrote {config.out}: {named} of {of} ({done.space} space), rank {ranks}; {done.loss()}"
    print_either(record, [text], as_json, done.note)


# \b keeps the lines.
command.__doc__ = """Merge experts by a rule, or with a task's dev examples.

Example: swarm-llm merge --base B --experts adapters/* --method ties --out merged

\b
""" + "\n".join(
    [
        *names_block("Rules", METHODS),
        *names_block("With --task", [name for name in SEARCHING if name != "data-merge"]),
    ]
)
