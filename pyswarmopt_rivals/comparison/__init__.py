"""Every way to combine experts under one budget, in one table: `swarm-llm compare`."""
