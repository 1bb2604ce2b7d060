"""How a swarm is moved: the update of all particles or of one, random factors, buffers."""
