"""Ways to vote: functions that fit a strategy in a context; their names and sources are in `collective.strategies`."""
