"""Acknowledgement: only what CloudWatch itself answers counts as one."""

from __future__ import annotations

import gzip

import pytest

from event_monitor.sinks.acknowledgement import NotCloudWatchError, require_cloudwatch

URL = "http://monitoring.example"
ID = {"x-amzn-RequestId": "0b1c"}


def judge(body: bytes, headers: dict[str, str], *, status: int = 200) -> None:
    require_cloudwatch(endpoint=URL, status=status, headers=headers, body=body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b" {}\n",
        b"\xbf\xff",
        b"\xa0",
        b'<PutMetricDataResponse xmlns="x"><ResponseMetadata/></PutMetricDataResponse>',
        b'<?xml version="1.0"?><PutMetricDataResponse/>',
    ],
)
def test_an_empty_answer_with_an_id_is_an_acknowledgement(body: bytes) -> None:
    """In each of the three protocols."""
    judge(body, {**ID, "Content-Type": "whatever"})


@pytest.mark.parametrize("name", ["x-amzn-requestid", "X-AMZN-REQUESTID"])
def test_the_case_of_the_header_does_not_matter(name: str) -> None:
    judge(b"{}", {name: "1"})


@pytest.mark.parametrize("headers", [{}, {"x-amzn-RequestId": " "}, {"x-amz-request-id": "s3"}])
def test_without_an_id_it_is_not_cloudwatch(headers: dict[str, str]) -> None:
    """Whatever else it looks like; the sentence names the endpoint."""
    with pytest.raises(NotCloudWatchError, match=f"^{URL} answers with status 200, but not as"):
        judge(b"{}", headers)


@pytest.mark.parametrize("status", [199, 202, 204, 206])
def test_another_status_is_not_an_acknowledgement(status: int) -> None:
    """AWS answers with 200."""
    with pytest.raises(NotCloudWatchError, match="the status is not 200"):
        judge(b"", ID, status=status)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Sign in.</html>",
        b'{"__type": "InternalFailure", "message": "no"}',
        b'{"message": "Forbidden"}',
        b"[]",
        b"null",
        b"OK",
        b"[" * 100_000,
        gzip.compress(b"{}", mtime=0),
        b"<ErrorResponse><Error/></ErrorResponse>",
        b"\x1b[2J",
    ],
)
def test_another_body_is_not_an_acknowledgement(body: bytes) -> None:
    """An API gateway gives ids too; what is shown of the body is short and steers no terminal."""
    with pytest.raises(NotCloudWatchError) as raised:
        judge(body, ID)

    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 400
