"""Who calls the objective, at the same time or not."""
