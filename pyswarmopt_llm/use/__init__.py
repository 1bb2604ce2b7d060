"""Using a model: score it on a task, compare two on the same items, predict, write."""
