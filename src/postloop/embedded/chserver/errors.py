"""Errors in ClickHouse's own terms: number, name, HTTP status and body."""

import re

# Numbers of the errors that this server raises by itself.
UNKNOWN_QUERY = 78
SYNTAX_ERROR = 62
NOT_IMPLEMENTED = 48
UNKNOWN_SETTING = 115
TIMEOUT_EXCEEDED = 159
REQUIRED_PASSWORD = 194
TOO_MANY_QUERIES = 202
ALREADY_RUNNING = 216
ABORTED = 236
CANNOT_DECOMPRESS = 271
TOO_LARGE = 307
CANCELLED = 394
AUTHENTICATION_FAILED = 516
UNKNOWN_EXCEPTION = 1002

_NAMES = {
    UNKNOWN_QUERY: "UNKNOWN_TYPE_OF_QUERY",
    SYNTAX_ERROR: "SYNTAX_ERROR",
    NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    UNKNOWN_SETTING: "UNKNOWN_SETTING",
    TIMEOUT_EXCEEDED: "TIMEOUT_EXCEEDED",
    REQUIRED_PASSWORD: "REQUIRED_PASSWORD",
    TOO_MANY_QUERIES: "TOO_MANY_SIMULTANEOUS_QUERIES",
    ALREADY_RUNNING: "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
    ABORTED: "ABORTED",
    CANNOT_DECOMPRESS: "CANNOT_DECOMPRESS",
    TOO_LARGE: "TOO_MANY_BYTES",
    CANCELLED: "QUERY_WAS_CANCELLED",
    AUTHENTICATION_FAILED: "AUTHENTICATION_FAILED",
    UNKNOWN_EXCEPTION: "UNKNOWN_EXCEPTION",
}

# ClickHouse's mapping (src/Server/HTTP/exceptionCodeToHTTPStatus.cpp); what is not listed is a 500.
_BAD_REQUEST = (
    6,
    15,
    25,
    26,
    27,
    36,
    38,
    41,
    44,
    53,
    62,
    72,
    117,
    133,
    167,
    168,
    190,
    223,
    224,
    321,
    376,
    427,
    441,
    461,
)
_STATUS: dict[int, int] = dict.fromkeys(_BAD_REQUEST, 400) | {
    8: 400,  # THERE_IS_NO_COLUMN
    REQUIRED_PASSWORD: 401,
    192: 403,  # UNKNOWN_USER
    193: 403,  # WRONG_PASSWORD
    497: 403,  # ACCESS_DENIED
    512: 403,  # SET_NON_GRANTED_ROLE
    AUTHENTICATION_FAILED: 403,
    46: 404,  # UNKNOWN_FUNCTION
    47: 404,  # UNKNOWN_IDENTIFIER
    50: 404,  # UNKNOWN_TYPE
    56: 404,  # UNKNOWN_STORAGE
    60: 404,  # UNKNOWN_TABLE
    63: 404,  # UNKNOWN_AGGREGATE_FUNCTION
    73: 404,  # UNKNOWN_FORMAT
    UNKNOWN_QUERY: 404,
    81: 404,  # UNKNOWN_DATABASE
    UNKNOWN_SETTING: 404,
    511: 404,  # UNKNOWN_ROLE
    TIMEOUT_EXCEEDED: 408,
    381: 411,  # HTTP_LENGTH_REQUIRED
    299: 413,  # QUERY_IS_TOO_LARGE
    TOO_LARGE: 413,  # ours: a body above the limit, which ClickHouse would read to its end
    NOT_IMPLEMENTED: 501,
    76: 503,  # CANNOT_OPEN_FILE
    209: 503,  # SOCKET_TIMEOUT
    439: 503,  # CANNOT_SCHEDULE_TASK
    TOO_MANY_QUERIES: 503,  # ours: every client retries a 503
    ABORTED: 503,  # ours: the server is stopping
}

_CODE = re.compile(r"Code: (\d+)\.")
# Of a statement and of a SELECT that is fetched block by block.
_WORDLESS = ((), ("",), ("Streaming query failed: ",))
_NAME = re.compile(r"\(([A-Z][A-Z0-9_]+)\)")


class QueryError(Exception):
    """A statement failed, or was refused before it ran."""

    def __init__(self, code: int, text: str, *, name: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.name = name or _NAMES.get(code, "UNKNOWN_EXCEPTION")

    @property
    def status(self) -> int:
        """Return the HTTP status that ClickHouse answers for this error."""
        return _STATUS.get(self.code, 500)

    def body(self, version: str) -> str:
        """Return the error as ClickHouse words it, which clients parse."""
        return f"Code: {self.code}. DB::Exception: {self.text} ({self.name}) (version {version})\n"


def is_wordless(error: BaseException) -> bool:
    """Return whether the binding dropped the engine's message; on Python 3.11.2 it does so where that is not UTF-8."""
    return isinstance(error, RuntimeError) and error.args[:1] in _WORDLESS


def from_engine(error: BaseException) -> QueryError:
    """Return what the engine reported; a message that is not UTF-8 arrives as a UnicodeDecodeError."""
    message = str(error)
    for raw in (error, error.__cause__):
        if isinstance(raw, UnicodeDecodeError):
            message = bytes(raw.object).decode(errors="replace")
    found = _CODE.search(message)
    if found is None:
        return QueryError(UNKNOWN_EXCEPTION, message.strip() or type(error).__name__)
    text = message[found.end() :].removeprefix(" DB::Exception:").strip()
    names = _NAME.findall(text)
    if names and text.endswith(f"({names[-1]})"):
        return QueryError(int(found.group(1)), text.removesuffix(f"({names[-1]})").strip(), name=names[-1])
    return QueryError(int(found.group(1)), text)
