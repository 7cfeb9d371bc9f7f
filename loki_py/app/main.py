"""The command `loki-py`.

Exit statuses: 0 done, 1 the server or a file said no, 2 the command is wrong.

Commands import what they need when they run: a query must not wait for the
libraries that the server needs.
"""

import gc
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from loki_py.app import client_commands, index_commands, inspect_commands
from loki_py.app.connection_options import Connection
from loki_py.app.options import in_front_moved
from loki_py.client.connection import RequestFailed
from loki_py.errors import ConfigInvalid, LokiError

HINTS = {
    0: "Does it run there? --addr or LOKI_ADDR says where; `loki-py serve` starts one.",
    401: "It asks who you are: --org-id or LOKI_ORG_ID names the tenant, --bearer-token"
    " or LOKI_BEARER_TOKEN shows a token.",
}
"""What may help, by the status of an answer; 0 is none."""

app = typer.Typer(
    help="A log store that speaks Loki's API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
client_commands.add_to(app)
index_commands.add_to(app)
app.add_typer(inspect_commands.app, name="inspect")


ConfigFile: TypeAlias = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML; every key is optional.")
]
Target: TypeAlias = Annotated[
    str, typer.Option(help="What this process runs; all if not given.")
]
DataDir: TypeAlias = Annotated[
    str, typer.Option(help="Where everything is kept; ./data if not given.")
]
HttpPort: TypeAlias = Annotated[
    int | None,
    typer.Option(
        min=0, max=65_535, help="Of the API; 3100 if not given, 0: any free one."
    ),
]
GrpcPort: TypeAlias = Annotated[
    int | None,
    typer.Option(min=0, max=65_535, help="Inside a cluster; 9095 if not given."),
]
Assignments: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="key.path=value of any key, repeatable; the value is YAML."
    ),
]
ExpandEnv: TypeAlias = Annotated[
    bool,
    typer.Option("--config.expand-env", help="Replace ${NAME:default} in the file."),
]


@app.command()
def serve(
    *,
    config: ConfigFile = None,
    target: Target = "",
    data_dir: DataDir = "",
    http_port: HttpPort = None,
    grpc_port: GrpcPort = None,
    assignments: Assignments = None,
    expand_env: ExpandEnv = False,
) -> None:
    """Run the server until it is told to stop."""
    # What a start makes, it keeps; `serve` lets collections begin behind it.
    gc.disable()
    from loki_py.app.settings import read_config  # noqa: PLC0415  # see the module

    shortcuts = {
        "target": target,
        "common.path_prefix": data_dir,
        "server.http_listen_port": http_port,
        "server.grpc_listen_port": grpc_port,
    }
    given = [
        f"{key}={value}" for key, value in shortcuts.items() if value not in {"", None}
    ]
    settings = read_config(
        config, [*given, *(assignments or [])], expand_env=expand_env
    )
    from loki_py.app.memory import (  # noqa: PLC0415  # see the module
        keep_freed_memory,
        leave_out_unused,
    )

    keep_freed_memory()
    leave_out_unused()
    from loki_py.app import serve as server  # noqa: PLC0415  # after the settings

    raise typer.Exit(server.serve(settings))


@app.command()
def token(name: Annotated[str, typer.Argument(help="Who will show it.")]) -> None:
    """Make a token: the secret for a client, and what the server's file says of it."""
    from loki_py.app.new_token import new_token  # noqa: PLC0415  # see the module

    print(new_token(name))


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as version_of  # noqa: PLC0415

    print(version_of("loki-py"))


def main() -> None:
    """Run the command line; errors are one line on standard error."""
    try:
        app(in_front_moved(sys.argv[1:], Connection))
    except BrokenPipeError:
        # Who read our output has enough of it, as `head` has.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except ConfigInvalid as error:
        print(f"loki-py: {error}", file=sys.stderr)
        sys.exit(2)
    except RequestFailed as error:
        print(f"loki-py: {error}", file=sys.stderr)
        if error.status in HINTS:
            print(HINTS[error.status], file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"loki-py: {where}{error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    except LokiError as error:
        print(f"loki-py: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
