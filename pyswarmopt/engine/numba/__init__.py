"""The update as compiled loops, with the same bits; needs the extra `fast`."""
