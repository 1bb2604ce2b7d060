"""The commands of the tools; `swarm-llm` finds them by name."""
