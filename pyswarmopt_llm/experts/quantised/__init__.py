"""Quantised bases: GGUF files are dequantised, other formats stay packed and take changes at run
time.
"""
