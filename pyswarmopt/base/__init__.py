"""The foundation: the state of a swarm, input checks, checkpoints, flat views, memory."""
