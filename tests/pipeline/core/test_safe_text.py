from __future__ import annotations

import pytest

from pipeline.core.safe_text import redact, redact_about


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("s3://bucket/folder/file.wav", "s3://bucket/folder/file.wav"),
        ("s3://KEY:se/c?r@et@bucket/file", "s3://***@bucket/file"),
        ("https://token@host/file", "https://***@host/file"),
        ("https://host/a?X-Amz-Signature=abc&part=2", "https://host/a?X-Amz-Signature=***&part=***"),
        ("https://host/a?justatoken", "https://host/a?***"),
        ("https://host/a#access_token=abc", "https://host/a#access_token=***"),
        ("s3://bucket/who@home/file", "s3://bucket/who@home/file"),
        ("memory://cat/m.yaml", "memory://cat/m.yaml"),
        ("/folder/me@home/what?.wav", "/folder/me@home/what?.wav"),
        ("cannot read 's3://a:b@c/d': denied", "cannot read 's3://***@c/d': denied"),
        ("https://u:p@h/a?k=v and https://u:q@i/b?l=w", "https://***@h/a?k=*** and https://***@i/b?l=***"),
    ],
)
def test_credentials_never_show(address: str, shown: str) -> None:
    assert redact(address) == shown
    assert redact(redact(address)) == redact(address)


def test_errors_about_an_address_do_not_repeat_its_secrets() -> None:
    address = "s3://KEYID:secret/1@bucket/x?token=ab%20cdef"
    text = 'Invalid bucket "KEYID:secret/1@bucket", user KEYID, token "ab cdef" (ab%20cdef)'
    assert redact_about(text, address) == 'Invalid bucket "***@bucket", user ***, token "***" (***)'
