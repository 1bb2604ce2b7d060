"""Standard test functions, to learn and test with."""
