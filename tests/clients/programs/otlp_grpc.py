"""Logs the messages of standard input through OpenTelemetry's SDK and OTLP/gRPC."""

import sys

import grpc
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from otlp_records import log_through

_, app, compression, port = sys.argv[1:]
exporter = OTLPLogExporter(
    endpoint=f"http://127.0.0.1:{port}", compression=grpc.Compression[compression]
)
log_through(exporter, app)
