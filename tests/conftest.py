"""For all tests: how hypothesis draws its examples."""

from hypothesis import settings

# `ci` comes with hypothesis: the same examples on every run. This one is `make fuzz`: new ones every time, and more.
settings.register_profile("fuzz", max_examples=1000, deadline=None, derandomize=False, print_blob=True)
