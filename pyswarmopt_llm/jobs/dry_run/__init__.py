"""What a command would cost: everything is loaded, a batch is timed, nothing is written (``--dry-run``)."""
