"""The parts of a recipe: velocity terms, topologies, boundaries, schedules, restarts, stop rules."""
