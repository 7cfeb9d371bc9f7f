"""Logs the messages of standard input through OpenTelemetry's SDK and OTLP/HTTP."""

import json
import sys
import time

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

url, app, compression = sys.argv[1:]
exporter = OTLPLogExporter(
    endpoint=f"{url}/otlp/v1/logs", compression=Compression(compression)
)
provider = LoggerProvider(
    resource=Resource.create({"service.name": app, "team.name": "checkout"})
)
provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
logger = provider.get_logger("shop.cart", "1.2.3")
for number, message in enumerate(json.load(sys.stdin)):
    logger.emit(
        LogRecord(
            timestamp=time.time_ns(),
            trace_id=0xABC0 + number,
            span_id=0xDE0 + number,
            severity_number=SeverityNumber.WARN if number % 2 else SeverityNumber.INFO,
            severity_text="WARN" if number % 2 else "INFO",
            body=message,
            attributes={"number": number, "cart.size": 3},
        )
    )
provider.shutdown()
