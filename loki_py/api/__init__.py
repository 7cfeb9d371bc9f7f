"""HTTP: thin routes over the components, with Loki's texts and shapes.

Reading order: `forms`, `params`, `tenants`, `errors`, `numbers`, `encode`,
`stats` are pure; `push`, `query`, `metadata`, `admin` answer requests;
`routes` is the one table of them, `server` the ASGI entry.
"""
