"""Quantised bases: of GGUF files the values are read, other formats stay packed and take changes at
run time.
"""
