"""Ways to vote: functions that fit a strategy in a room; their names and sources are in `collective.strategies`."""
