"""HTTP: thin routes over the components, with Loki's texts and shapes.

Reading order: what is asked (`forms`, `params`, `bodies`, `tenants`), by whom
(`access`, `token_book`, `jwt_tokens`, `gate`, `audit`), and what is answered
(`answers`, `errors`, `numbers`, `points`, `encode`, `encode_streams`, `stats`,
`legacy`, `tail_encode`) are mostly pure; `services` says what routes ask of the
components and `context` what they need of the process. `push`, `otlp`, `otlp_grpc` and
`otlp_grpc_server` take logs, with `push_answers` and `late_pushes`; `query`, `index`,
`patterns`, `tail`, `admin`, `ring_routes` and `ring_pages` answer. `routes` is the one
table of routes, `route_table` finds in it, `server` is the ASGI entry, with `sending`
and `added_headers`; `parameters`, `openapi` and `docs_page` describe it all.
"""
