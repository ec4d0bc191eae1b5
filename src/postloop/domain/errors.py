"""What can go wrong for a reason that is nobody's bug."""


class PostloopError(Exception):
    """Base of every error that Postloop raises on purpose; its text is for a person."""


class DataError(PostloopError):
    """A value that can never be processed, however often it is tried.

    `code` is for programs and never changes its meaning, `field` names the field ("" for the whole value),
    `text` is one sentence that names the value and the limit.
    """

    def __init__(self, code: str, field: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.field = field
        self.text = text
