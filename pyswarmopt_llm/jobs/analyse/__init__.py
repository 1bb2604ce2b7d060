"""What `swarm-llm analyse` does."""
