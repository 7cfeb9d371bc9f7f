"""The program: its command line, and the only place that wires services.

Reading order: `main`, then `serve` and `wiring` for the server; `options`,
`http_client`, `moments`, `printing`, `ask`, `parts`, `follow`, `live`, `stamps`,
`push` for asking servers, on top of `loki_py.client`; `inspect` for files.
"""
