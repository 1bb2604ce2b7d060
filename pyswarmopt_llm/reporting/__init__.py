"""For the reader of a run: live progress, the closing table, the adapter's card, the HTML
report.
"""
