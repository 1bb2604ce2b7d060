"""Names that are in no table."""

from __future__ import annotations

import pytest

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.registry import lookup, unknown


@pytest.mark.parametrize(
    ("where", "name", "advice", "message"),
    [
        ("--method", "tise", None, "--method tise: unknown; did you mean ties?"),
        ("--method", "x", None, "--method x: unknown; use one of: ties, slerp"),
        ("--method", "x", "use all", "--method x: unknown; use all"),
        ("--method", "tise", "use all", "--method tise: unknown; did you mean ties?"),
        ("builtin:", "slurp", None, "builtin:slurp: unknown; did you mean builtin:slerp?"),
        ("--methods vote:", "tise", None, "--methods vote:tise: unknown; did you mean vote:ties?"),
    ],
)
def test_the_closest_name_is_suggested_as_the_user_would_write_it(
    where: str, name: str, advice: str | None, message: str
) -> None:
    assert str(unknown(where, name, ("ties", "slerp"), advice)) == message


def test_a_known_name_gives_its_entry_and_an_unknown_one_an_error() -> None:
    assert lookup("--method", "ties", {"ties": 3}) == 3
    with pytest.raises(UserError, match=r"--method tie: unknown; did you mean ties\?"):
        lookup("--method", "tie", {"ties": 3})
