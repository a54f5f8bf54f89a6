# docker build -t headrace .    (docs/install.md)
#
# The base needs Python 3.11 or newer with venv. Nothing here depends on the processor: packages come
# as wheels, for amd64 and arm64 alike.
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /build
# pip and what it builds with stay behind in an environment of their own.
COPY requirements.lock requirements-build.lock ./
RUN python3 -m venv tools \
    && python3 -m venv --without-pip /opt/headrace \
    && tools/bin/pip install --no-cache-dir --require-hashes --only-binary :all: \
        -r requirements-build.lock \
    && tools/bin/pip --python /opt/headrace install --no-cache-dir --no-compile \
        --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml ./
COPY api api/
COPY broker broker/
COPY storage storage/
RUN tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && tools/bin/pip --python /opt/headrace install --no-deps --no-index --no-compile dist/*.whl
COPY docker/healthcheck.py docker/prepare.py ./
RUN cp healthcheck.py /opt/headrace/ \
    && PYTHONPYCACHEPREFIX=/opt/headrace/pycache /opt/headrace/bin/python -BP prepare.py \
    && mkdir data

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="Headrace" \
    org.opencontainers.image.description="A broker server that speaks the Amazon SQS and SNS APIs"
COPY --from=build /opt/headrace /opt/headrace
COPY --from=build --chown=10001:10001 /build/data /data
# Nothing is run in this stage, so it needs no shell.
ENV PATH=/opt/headrace/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/opt/headrace/pycache \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    HEADRACE_HOST=0.0.0.0 \
    HEADRACE_STORE=sqlite:/data/headrace.db
USER 10001:10001
VOLUME /data
EXPOSE 4566 9324 4100
HEALTHCHECK --interval=2s --timeout=3s --start-period=30s --retries=5 \
    CMD ["python", "/opt/headrace/healthcheck.py"]
ENTRYPOINT ["headrace"]
CMD ["serve"]
