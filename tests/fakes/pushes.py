"""What stores pushes, for routes that only hand them over."""


class Pushes:
    """Keeps what is pushed, or raises what it is told to."""

    def __init__(self, error=None):
        self.error = error
        self.taken = []

    async def push(self, tenant, batch, *, push_format):
        if self.error is not None:
            raise self.error
        self.taken.append((tenant, batch.line.to_pylist(), push_format))
