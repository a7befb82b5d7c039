"""The part of a document that a command writes, between two marks."""


def part_between(begin: str, end: str, document: str) -> str:
    """Return what stands between the marks, with them; empty where there is none."""
    _, found, rest = document.partition(begin)
    return f"{found}{rest.partition(end)[0]}{end}" if found else ""


def replaced(begin: str, end: str, document: str, part: str) -> str:
    """Return the document with ``part``, which has its marks, in place of the older one, or at its end."""
    before, found, rest = document.partition(begin)
    if not found:
        return f"{document.rstrip()}\n\n{part}\n"
    return f"{before}{part}{rest.partition(end)[2]}"
