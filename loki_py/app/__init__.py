"""The program: its command line, and the only place that wires services.

Reading order: `main`, then `serve`, `wiring` and `components` for the server;
`options`, `http_client`, `moments`, `printing`, `ask`, `parts`, `follow`, `live`,
`stamps`, `push` for asking servers, on top of `loki_py.client`; `inspect_commands`
for files.
"""
