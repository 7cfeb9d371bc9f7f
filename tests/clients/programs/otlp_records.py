"""What the OpenTelemetry programs log: the messages of standard input."""

import json
import sys
import time

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource


def log_through(exporter, app):
    provider = LoggerProvider(
        resource=Resource.create({"service.name": app, "team.name": "checkout"})
    )
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    logger = provider.get_logger("shop.cart", "1.2.3")
    for number, message in enumerate(json.load(sys.stdin)):
        is_odd = number % 2
        logger.emit(
            LogRecord(
                timestamp=time.time_ns(),
                trace_id=0xABC0 + number,
                span_id=0xDE0 + number,
                severity_number=SeverityNumber.WARN if is_odd else SeverityNumber.INFO,
                severity_text="WARN" if is_odd else "INFO",
                body=message,
                attributes={"number": number, "cart.size": 3},
            )
        )
    provider.shutdown()
