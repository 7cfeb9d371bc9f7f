"""The program: its command line, and the only place that wires services.

Reading order: `main`, `settings`, then `serve`, `wiring` and `components` for the
server, with `targets`, `stores`, `cluster`, `member_settings`, `membership`,
`ring_views`, `ring_metrics`, `security`, `otlp`, `patterns`, and what it is on its
machine: `data_lock`, `machine`, `memory`, `http_protocol`, `websockets`.

`options`, `connection_options`, `client_commands`, `query_commands` and
`index_commands` take the commands that ask servers, on top of `loki_py.client`:
`http_client` or `stdin_client`, `moments`, `ask`, `ask_index`, `parts`, `follow`,
`live`, `printing`, `tables`, `inert`; `push` and `stamps` push. `inspect_commands`
and `inspect_wal` show files, `new_token` makes tokens.
"""
