"""What everything stands on: the state of a swarm, input checks, checkpoints, flat views, memory."""
