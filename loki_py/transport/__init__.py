"""Calls between components, in one process or across many.

Reading order: `abc` (what may be called), `errors_on_wire`, `tenants`,
`grpc_names`; then a call as it is answered: `sessions`, `read_unit`,
`grpc_server`; and as it is made: `remote_units`, `grpc_client`, `pool`.
"""
