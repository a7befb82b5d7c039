"""Says what an error is, for logs and messages: never an empty text, as that of a TimeoutError often is."""


def error_text(error: BaseException | str) -> str:
    """Return the error's own text, or the name of its type where it has none."""
    return str(error).strip() or type(error).__name__
