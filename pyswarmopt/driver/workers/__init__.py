"""Workers that call the objective, in parallel or not."""
