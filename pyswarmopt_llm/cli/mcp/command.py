"""`swarm-llm mcp`: the commands that an assistant needs, as tools over stdin and stdout."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.extras import need_extra
from pyswarmopt_llm.common.options import OUTPUT, Option


def command(
    folder: Annotated[Path, Option("Directory that relative paths start from.", "DIR", OUTPUT)] = Path("."),
) -> None:
    """Let an assistant search: a server of the Model Context Protocol.

    Tools over stdin and stdout: inspect, advise, search, status, result. Searches run in the background and survive it.

    Example: swarm-llm mcp --folder my/project
    """
    need_extra("mcp", "swarm-llm mcp")
    try:
        os.chdir(folder.expanduser())
    except OSError as error:
        raise UserError(f"{folder}: cannot be entered ({error.strerror}); give --folder another one") from error
    from pyswarmopt_llm.cli.mcp.tools import make_server

    make_server().run("stdio")
