"""The one error of this package: a problem that the user must fix, in one sentence."""


class EmbeddedError(Exception):
    """A server cannot be started; the message says why and what to do, and is shown as is."""
