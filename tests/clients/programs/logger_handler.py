"""Logs the messages of standard input through loki-logger-handler."""

import json
import logging
import sys

from loki_logger_handler.loki_logger_handler import LokiLoggerHandler

url, app, compressed = sys.argv[1:]
logger = logging.getLogger("shop")
logger.setLevel(logging.INFO)
logger.addHandler(
    LokiLoggerHandler(
        url=f"{url}/loki/api/v1/push",
        labels={"app": app},
        label_keys=["level"],
        compressed=compressed == "gzip",
        timeout=1,
        enable_self_errors=True,
        enable_structured_loki_metadata=True,
        loki_metadata={"team": "checkout"},
        loki_metadata_keys=["number"],
    )
)
for number, message in enumerate(json.load(sys.stdin)):
    level = logging.WARNING if number % 2 else logging.INFO
    logger.log(level, "%s", message, extra={"number": number})
