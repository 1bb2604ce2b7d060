"""Moves of a swarm: the update of all particles or of one, random factors, buffers."""
