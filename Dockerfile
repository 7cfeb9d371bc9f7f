# syntax=docker/dockerfile:1.7
#
# The server in an image:
#
#   docker build --tag loki-py:0.1.0 .
#   docker run --publish 3100:3100 --volume logs:/var/loki-py loki-py:0.1.0
#
# Everything that is installed from the package index is in requirements.lock and
# has the hash that is there. The lock holds the tools of development too: all of
# it is fetched and checked, and only what the server needs is then installed from
# there, without the index.

ARG PYTHON_IMAGE=python:3.11.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore

WORKDIR /build

# First, so that a change of the code alone fetches nothing again.
COPY requirements.lock ./
RUN pip download --quiet --require-hashes --no-deps --only-binary :all: \
        --requirement requirements.lock --dest wheels

COPY pyproject.toml README.md LICENSE ./
COPY loki_py/ loki_py/
RUN python -m venv tools \
    && tools/bin/pip install --quiet --no-index --find-links wheels hatchling \
    && tools/bin/python -m hatchling build --target wheel --directory wheels \
    && python -m venv --without-pip /opt/loki-py \
    && pip --python /opt/loki-py/bin/python install --quiet \
        --no-index --find-links wheels loki-py \
    && /opt/loki-py/bin/loki-py version

FROM ${PYTHON_IMAGE}

LABEL org.opencontainers.image.title="loki-py" \
      org.opencontainers.image.description="A multi-tenant, Loki-compatible log store on Arrow and Parquet" \
      org.opencontainers.image.licenses="Apache-2.0"

# tini is process 1: it passes signals on and buries the dead.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini=0.19.0* \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 loki \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin loki \
    && install --directory --owner=10001 --group=10001 --mode=0750 /var/loki-py

COPY --from=build /opt/loki-py /opt/loki-py

# No PYTHONOPTIMIZE: the server refuses to run without its assertions.
ENV PATH=/opt/loki-py/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /var/loki-py
VOLUME /var/loki-py
EXPOSE 3100 4317 9095
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 3100, timeout=4); c.request('GET', '/ready'); raise SystemExit(c.getresponse().status != 200)"]

ENTRYPOINT ["/usr/bin/tini", "--", "loki-py"]
CMD ["serve", "--data-dir=/var/loki-py", "--set=server.http_listen_address=0.0.0.0", "--set=server.grpc_listen_address=0.0.0.0"]
