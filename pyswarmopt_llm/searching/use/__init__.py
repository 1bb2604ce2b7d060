"""Score one model on a task, or compare two on the same items."""
