"""For the reader of a run: live progress, closing table, the adapter's card, HTML report."""
