"""Whether adapters do what their files say."""
