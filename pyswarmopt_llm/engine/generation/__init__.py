"""Generated texts: prompts are read as planned batches, then one token per row and step."""
