"""New tokens: a secret that nobody guesses, and the line for the server's file."""

import secrets
from hashlib import sha256

SECRET_BYTES = 32


def new_token(name: str) -> str:
    """Return the secret, and the configuration that lets it read one tenant."""
    secret = f"lpy_{secrets.token_urlsafe(SECRET_BYTES)}"
    digest = sha256(secret.encode()).hexdigest()
    return (
        f"# For the client; it is written down nowhere else:\n{secret}\n"
        "# For the server, below security.tokens or in its security.tokens_file:\n"
        f"- {{name: {name}, sha256: '{digest}', tenants: [fake], scopes: [read]}}"
    )
