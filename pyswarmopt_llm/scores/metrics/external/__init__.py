"""External metrics: Python functions, `evaluate`, lm-evaluation-harness."""
