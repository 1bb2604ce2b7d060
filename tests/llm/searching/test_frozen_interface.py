"""Help texts, keys of JSON and public names are as written down in tests/frozen; a change there is
made on purpose.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from frozen_interface import ALIKE, COMMANDS, FILES, MAINS, help_of, names, shapes

FROZEN = Path(__file__).parents[2] / "frozen"
HINT = "if that is on purpose: python tests/frozen/make.py snapshots"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("shapes")
    shutil.copytree(FROZEN / "models", folder, dirs_exist_ok=True)
    with contextlib.chdir(folder):
        return shapes()


@pytest.mark.parametrize("program", MAINS)
def test_the_help_of_every_command_is_as_it_was(program: str) -> None:
    assert help_of(program) == (FROZEN / f"{program}.help.txt").read_text(encoding="utf-8"), HINT


@pytest.mark.parametrize("source", [*COMMANDS, *FILES])
def test_the_keys_and_types_of_json_are_as_they_were(source: str, found: dict[str, Any]) -> None:
    kept = json.loads((FROZEN / "json-keys.json").read_text(encoding="utf-8"))
    assert found[source] == kept[ALIKE.get(source, source)], HINT


def test_public_names_are_as_they_were() -> None:
    assert names() == json.loads((FROZEN / "names.json").read_text(encoding="utf-8")), HINT
