"""The command line `swarm-llm`: `app` puts it together, a file a command."""
