"""The one error of this package: something that a person has to put right, in one sentence."""


class EmbeddedError(Exception):
    """A server cannot be started; the message says why and what to do, and is shown as it is."""
