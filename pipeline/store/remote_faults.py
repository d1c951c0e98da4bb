"""What the errors of remote file systems stand for: each library raises its own, with HTTP's answer somewhere in it."""

from __future__ import annotations

# Trees of their own, which do not descend from OSError.
NETWORK = ("botocore", "aiobotocore", "aiohttp", "urllib3")
# botocore's own complaints about the set-up, which no waiting mends.
SET_UP = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "ParamValidationError", "NoRegionError")


def status_of(error: BaseException | None) -> int | None:
    """HTTP's status of the answer that an error stands for. Messages hold keys, and keys hold any number."""
    while error is not None:
        response = getattr(error, "response", None)  # of botocore's errors, which s3fs raises others from
        if isinstance(response, dict):
            found: int | None = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return found
        for name in ("status", "code"):
            if isinstance(number := getattr(error, name, None), int):
                return number
        error = error.__cause__
    return None


def may_pass(error: Exception) -> bool:
    """Whether a fault of a remote store is of the passing kind: connections, time-outs, 5xx."""
    return isinstance(error, OSError) or type(error).__module__.split(".")[0] in NETWORK
