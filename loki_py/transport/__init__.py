"""Calls between components, in one process or across many.

Reading order: `abc` (what may be called), `errors_on_wire`, `tenants`,
`grpc_names`; then a call as it is answered: `sessions`, `partials`, `read_unit`,
`grpc_reads`, `grpc_server`; and as it is made: `grpc_calls`, `remote_units`,
`groups`, `grpc_client`, `transfers`, `transfer_metrics`, `pool`.
"""
