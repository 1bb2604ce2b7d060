"""The command line `swarm-llm`: `app` assembles it, with one file per command."""
