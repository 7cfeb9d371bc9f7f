"""The two ways a template fails."""


class TemplateInvalid(ValueError):
    """Source that is no template; the message is Go's, place included."""


class TemplateError(ValueError):
    """A template that failed on one entry; the message is Go's, place included."""


class CallFailed(ValueError):
    """A function that refuses its arguments; the message is Go's."""
