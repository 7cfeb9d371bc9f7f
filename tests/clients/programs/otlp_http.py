"""Logs the messages of standard input through OpenTelemetry's SDK and OTLP/HTTP."""

import sys

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from otlp_records import log_through

url, app, compression, _ = sys.argv[1:]
exporter = OTLPLogExporter(
    endpoint=f"{url}/otlp/v1/logs", compression=Compression(compression)
)
log_through(exporter, app)
