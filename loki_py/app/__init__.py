"""The program: its command line, and the only place that wires services.

Reading order: `main`, then `serve` and `wiring` for the server; `http_client`,
`moments`, `paging`, `printing`, `ask`, `stamps`, `push` for the client;
`inspect` for files.
"""
