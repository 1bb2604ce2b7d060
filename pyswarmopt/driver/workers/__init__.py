"""Workers that call the objective, at the same time or not."""
