"""Ways to vote: functions from a context to what decides items; `groups.registry` lists them."""
