"""What the commands `pyswarmopt` and `swarm-llm` share: how they start, what they print, how large a number may be.

It stands below both packages and needs the standard library alone (and Typer and Rich where they are used), so that a
command is interruptible and can refuse bad input before PyTorch is imported.
"""
