"""Rules about the lines of `pyswarmopt_rivals`, the same as of the layer."""

from __future__ import annotations

from line_rules import files_that_spell_options, users_of_the_cores_commands

import pyswarmopt_rivals


def test_only_the_commands_import_the_cores_commands() -> None:
    assert users_of_the_cores_commands(pyswarmopt_rivals) == set()


def test_only_the_commands_spell_options() -> None:
    assert files_that_spell_options(pyswarmopt_rivals) == set()
