"""Calls between components: `abc` says what may be called, `local` calls it."""
