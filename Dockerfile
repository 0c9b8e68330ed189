# The default session in a container, with the rights that a container has by default: isolation level L1 (README).
#
#   docker build -t harness .
#   docker run --rm -it -v "$PWD/sessions:/work/sessions" harness preset=smoke
#
# --build-arg EXTRAS=openai adds a provider; a GPU needs --gpus all.
FROM python:3.12-slim AS base
ARG EXTRAS=""
RUN apt-get update \
    && apt-get install -y --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/harness
COPY pyproject.toml constraints.txt README.md LICENSE program.md ./
COPY harness harness
COPY guards guards
COPY conf conf
COPY tasks tasks
RUN pip install --no-cache-dir -c constraints.txt ".${EXTRAS:+[$EXTRAS]}"
# Not below /root, and open to others: a trial runs as a user of its own and must get to Python and to its folders.
ENV HARNESS_CACHE=/work/cache
RUN mkdir -p /work/sessions /work/cache && chmod 755 /work
WORKDIR /work
ENTRYPOINT ["harness"]

# For .devcontainer: the tools of `make`, the checkout is mounted.
FROM base AS dev
RUN apt-get update \
    && apt-get install -y --no-install-recommends make procps \
    && rm -rf /var/lib/apt/lists/*
ENTRYPOINT []
