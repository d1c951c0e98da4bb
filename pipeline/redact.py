"""Takes credentials out of addresses before they reach a message, a log or a record."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

# A password may itself hold '/', '?' or '@' (storage keys often do), so once a ':' shows that there is a user with a
# password everything up to the last '@' is hidden. Hiding too much is harmless here, hiding too little is not.
_USER = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*://)(?:[^\s/?#@:]*:[^\s\"'<>]*@|[^\s/?#\"'<>]*@)")
_QUERY = re.compile(r"(?P<address>[A-Za-z][A-Za-z0-9+.\-]*://[^\s\"'<>?#]*)(?P<rest>[?#][^\s\"'<>]*)")
_VALUE = re.compile(r"(?P<name>[?#&;][^=&;]*=)[^&;]*")
_HIDDEN = "***"


def redact(text: str) -> str:
    """`text` with the user part and the query values of every URL in it replaced by `***`.

    Works on a bare address and on a sentence that holds some: names of query parameters stay, their values go.
    """
    text = _USER.sub(rf"\g<scheme>{_HIDDEN}@", text)
    return _QUERY.sub(lambda match: match["address"] + _redact_query(match["rest"]), text)


def redact_about(text: str, address: str) -> str:
    """As `redact`, for a text about an address, such as an error of the store, that may hold parts of it."""
    user, query = _USER.match(address), _QUERY.match(address)
    whole = [user[0].split("://", 1)[1].rstrip("@")] if user else []
    if query:
        whole += [value for _, value in parse_qsl(query["rest"][1:])] + re.findall(r"=([^&;]+)", query["rest"])
    # Parts of three characters or fewer are no secrets, and hiding them would garble the text.
    parts = [part for item in whole for part in item.split(":") if len(part) > 3]
    for secret in sorted(whole + parts, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return redact(text)


def _redact_query(rest: str) -> str:
    if "=" not in rest:
        return rest[0] + _HIDDEN
    return _VALUE.sub(rf"\g<name>{_HIDDEN}", rest)
