"""Logs the messages of standard input through python-logging-loki."""

import json
import logging
import sys
from queue import Queue

import logging_loki

url, app, version = sys.argv[1:]
paths = {"0": "/api/prom/push", "1": "/loki/api/v1/push"}
handler = logging_loki.LokiQueueHandler(
    Queue(-1), url=url + paths[version], tags={"app": app}, version=version
)
logger = logging.getLogger("shop")
logger.addHandler(handler)
logger.setLevel(logging.INFO)
for number, message in enumerate(json.load(sys.stdin)):
    level = logging.WARNING if number % 2 else logging.INFO
    logger.log(level, "%s", message, extra={"tags": {"region": "north"}})
handler.listener.stop()
