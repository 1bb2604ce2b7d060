"""Render a chat template once: a program of its own, since a template may never end.

It reads JSON from stdin: a template and its variables. The system ends it after `SECONDS` of CPU
time, or if it requests more than `BYTES`. Template errors are ignored here; the actual rendering
reports them.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

SECONDS = 3
BYTES = 2**31


class Generation(Extension):
    """Transformers' block `{% generation %}`, which marks text and changes nothing."""

    tags = {"generation"}  # noqa: RUF012 (Jinja's interface)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The statements inside."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def render(template: str, variables: dict[str, Any]) -> None:
    """Render a template, without limits."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, **_: json.dumps(value)
    environment.from_string(template).render(**variables)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        render(**json.load(sys.stdin))
    except MemoryError:
        raise
    except Exception:
        sys.exit(0)
