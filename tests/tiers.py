"""Write tests/slow.txt, the second tier, from the durations of a run of all tests.

    make test-all ARGS="--durations=0 --durations-min=0.05" > durations.log
    python tests/tiers.py durations.log

A test whose calls took more than a second each, or five in all its parameters, is in the second
tier. So are files whose fixtures take long, which are written by hand and stay: a line that is a
file stands for all of its tests.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

LONGEST, LONGEST_IN_ALL = 1.0, 5.0  # seconds
SLOW = Path(__file__).with_name("slow.txt")
ROW = re.compile(r"^([\d.]+)s call\s+(\S+?)(?:\[.*)?$", flags=re.MULTILINE)


def slow_tests(log: str) -> list[str]:
    """The ids, without parameters, of the tests that take long.

    Example:
        >>> slow_tests("2.00s call     tests/a.py::test_b[1]" + chr(10) + "0.10s call     tests/a.py::test_c")
        ['tests/a.py::test_b']
    """
    calls = defaultdict(list)
    for seconds, name in ROW.findall(log):
        calls[name].append(float(seconds))
    return sorted(
        name for name, times in calls.items() if max(times) > LONGEST or sum(times) > LONGEST_IN_ALL
    )


if __name__ == "__main__":
    files = {line for line in SLOW.read_text(encoding="utf-8").split() if "::" not in line}
    tests = slow_tests(Path(sys.argv[1]).read_text(encoding="utf-8"))
    names = [*files, *(test for test in tests if test.partition("::")[0] not in files)]
    SLOW.write_text("\n".join(sorted(names)) + "\n", encoding="utf-8")
