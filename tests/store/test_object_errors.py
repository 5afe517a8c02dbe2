"""What a store's error tells, and what it must not."""

from __future__ import annotations

import pytest

from render.errors import StoreError
from render.store.object_errors import one_line, store_errors


@pytest.mark.parametrize(
    "text",
    [
        'Could not connect to the endpoint URL: "http://user:SECRET@127.0.0.1:9000/b/x"',
        "GET https://b.s3.amazonaws.com/x?X-Amz-Credential=SECRET&X-Amz-Signature=SECRET&x-amz-security-token=SECRET",
        "The AWS Access Key Id you provided (AKIASECRETSECRET) does not exist",
        "{'aws_secret_access_key': 'SECRET', 'token': 'SECRET'}",
        "password=SECRET refused",
        "Authorization: AWS4-HMAC-SHA256 Credential=SECRET/20260101/s3/aws4_request, Signature=SECRET",
    ],
)
def test_secrets_are_taken_out(text: str) -> None:
    assert "SECRET" not in one_line(text).replace("AWS_SECRET", "")


def test_harmless_words_stay() -> None:
    assert one_line("The specified bucket\ndoes not exist") == "The specified bucket does not exist"
    assert len(one_line("x" * 10_000)) == 301


def test_an_error_of_a_vendor_is_told_and_one_of_ours_is_not() -> None:
    vendor = type("NoCredentialsError", (Exception,), {"__module__": "botocore.exceptions"})
    with pytest.raises(StoreError, match=r"^s3://b/x: no credentials \(Unable to locate\)"), store_errors("s3://b/x"):
        raise vendor("Unable to locate")
    with pytest.raises(ZeroDivisionError), store_errors("s3://b/x"):
        raise ZeroDivisionError
