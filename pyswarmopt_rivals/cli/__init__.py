"""The commands `swarm-llm compare` and `swarm-llm merge`."""
