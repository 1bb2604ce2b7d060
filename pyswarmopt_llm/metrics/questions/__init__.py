"""How items become questions: answer formats, written answers, what fits the context window."""
