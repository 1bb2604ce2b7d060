"""Memory that texts take."""

BYTES = 2**28  # of answers that an engine keeps


def text_bytes(*parts: object) -> int:
    """Approximate bytes of texts and numbers in nested tuples.

    Example:
        >>> text_bytes(("abc", ("de", 1.5))) >= 5
        True
    """
    sizes = (
        text_bytes(*part) if isinstance(part, tuple) else 64 + 2 * len(str(part)) for part in parts
    )
    return sum(sizes)
