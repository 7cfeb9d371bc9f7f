"""`python -m loki_py` is `loki-py`."""

from loki_py.app.main import main

if __name__ == "__main__":
    main()
