"""Teaching PSO: test functions and an interactive lesson."""
