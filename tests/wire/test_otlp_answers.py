"""Answers to exports: what a protobuf runtime reads in them."""

import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceResponse,
)

from loki_py.wire.otlp_answers import encode_export_response, encode_status


@pytest.mark.parametrize("size", [0, 1, 127, 128, 20_000])
def test_status_is_read_as_google_rpc_status(size):
    found = Status.FromString(encode_status("ü" * size, code=size))

    assert (found.code, found.message, list(found.details)) == (size, "ü" * size, [])


@pytest.mark.parametrize("after_ns", [0, 1, 1_000_000_000, 90_000_000_001])
def test_time_to_try_again_is_read_as_retry_info(after_ns):
    found = Status.FromString(encode_status("x", code=8, retry_after_ns=after_ns))

    info = RetryInfo()
    assert found.details[0].Unpack(info)
    assert info.retry_delay.ToNanoseconds() == after_ns


def test_partial_success_says_how_many_and_why():
    found = ExportLogsServiceResponse.FromString(
        encode_export_response(rejected_count=300, text="too old")
    )

    assert found.partial_success.rejected_log_records == 300
    assert found.partial_success.error_message == "too old"


def test_whole_success_is_an_empty_message():
    assert encode_export_response(text="unused") == b""
