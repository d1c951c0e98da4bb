"""Text from elsewhere made fit to show: credentials taken out of addresses, control characters spelt out."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

# Everything below takes time in proportion to the text, whatever it holds: texts about foreign files come through.
_BREAK = re.compile(r"([\s\"'<>]+)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,30}://")
_VALUE = re.compile(r"(?P<name>[?#&;][^=&;?#]*=)[^&;]*")
_HIDDEN = "***"


def redact(text: str) -> str:
    """`text` with the user part and the query values of every URL in it replaced by `***`.

    Works on a bare address and on a sentence that holds some: names of query parameters stay, their values go.
    """
    if "://" not in text:
        return text
    return "".join(_redact_word(word) if "://" in word else word for word in _BREAK.split(text))


def _redact_word(word: str) -> str:
    """One or several addresses without a space or quote between them."""
    word = _without_users(word)
    scheme = _SCHEME.search(word)
    query = re.compile("[?#]").search(word, scheme.end()) if scheme else None
    return word[: query.start()] + _redact_query(word[query.start() :]) if query else word


def _without_users(word: str) -> str:
    parts, at, last = [], 0, word.rfind("@")
    for scheme in _SCHEME.finditer(word):
        if at <= scheme.start() < last and (end := _end_of_user(word, scheme.end(), last)):
            parts += [word[at : scheme.end()], _HIDDEN]
            at = end
    return "".join(parts) + word[at:]


def _end_of_user(word: str, start: int, last: int) -> int:
    """Where the `@` after user and password stands, 0 where there is none; `last`: where the last of all `@` stands.

    A password may itself hold '/', '?' or '@' (storage keys often do), so once a ':' shows that there is a user with a
    password everything up to the last '@' is hidden. Hiding too much is harmless here, hiding too little is not.
    """
    mark = re.compile("[/?#@:]").search(word, start)
    if mark is None or mark[0] in "/?#":
        return 0
    if mark[0] == ":":
        return last if last >= mark.end() else 0
    stop = re.compile("[/?#]").search(word, mark.end())
    return word.rfind("@", start, stop.start() if stop else len(word))


def redact_about(text: str, address: str) -> str:
    """As `redact`, for a text about an address, such as an error of the store, that may hold parts of it."""
    scheme = _SCHEME.match(address)
    start = scheme.end() if scheme else 0
    end = _end_of_user(address, start, address.rfind("@")) if scheme else 0
    whole = [address[start:end].rstrip("@")] if end else []
    if scheme and (query := re.compile("[?#]").search(address, max(start, end))):
        rest = address[query.start() :]
        whole += [value for _, value in parse_qsl(rest[1:])] + re.findall(r"=([^&;]+)", rest)
    # Parts of three characters or fewer are no secrets, and hiding them would garble the text.
    parts = [part for item in whole for part in item.split(":") if len(part) > 3]
    for secret in sorted(whole + parts, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return redact(text)


def _redact_query(rest: str) -> str:
    if "=" not in rest:
        return rest[0] + _HIDDEN
    return _VALUE.sub(rf"\g<name>{_HIDDEN}", rest)


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` with control characters and marks of direction spelt out; tabs and line ends stay."""
    return _CONTROL.sub(_spelt, text)


def _spelt(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
