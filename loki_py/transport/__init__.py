"""Calls between components, in one process or across many.

Reading order: `abc`, `tailing`, `pattern_source` and `transfer_target` (what may be
called), `errors_on_wire`, `tenants`, `grpc_names`; then a call as it is answered:
`sessions`, `partials`, `outbox`, `read_unit`, `grpc_reads`, `grpc_server`; and as it
is made: `grpc_calls`, `session_calls`, `remote_units`, `groups`, `remote_tail`,
`grpc_client`, `transfers`, `transfer_metrics`, `pool`.
"""
