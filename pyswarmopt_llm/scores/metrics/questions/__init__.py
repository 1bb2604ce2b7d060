"""From items to prompts: answer formats and generated answers."""
