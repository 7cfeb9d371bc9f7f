"""Logs the messages of standard input through the handler of this package."""

import json
import logging
import sys

from loki_py.client import LokiHandler

url, app = sys.argv[1:]
logger = logging.getLogger("shop")
logger.setLevel(logging.INFO)
logger.addHandler(LokiHandler(url, {"app": app}))
for number, message in enumerate(json.load(sys.stdin)):
    level = logging.WARNING if number % 2 else logging.INFO
    logger.log(level, "%s", message, extra={"number": number})
