# medical-team with vLLM for NVIDIA GPUs. From the checkout's root, and how to use it: docs/docker.md.
#
#   docker build -f docker/cuda.Dockerfile -t medical-team:cuda .

FROM python:3.12-slim-bookworm
# The packages bring CUDA along; only the driver is the host's. Triton compiles what starts its kernels: hence a compiler.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc g++ libc6-dev \
    && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
RUN python -m venv /opt/medical-team
COPY pyproject.toml README.md LICENSE ./
COPY medical_team medical_team
# Not the lock: vLLM wants the versions of torch and CUDA that it was built for, so pip chooses.
RUN /opt/medical-team/bin/pip install '.[train,eval,judge,vllm]'
RUN useradd --create-home --uid 1000 researcher && mkdir /project /cache && chown researcher: /project /cache
ENV PATH=/opt/medical-team/bin:$PATH XDG_CACHE_HOME=/cache PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER researcher
WORKDIR /project
VOLUME ["/project", "/cache"]
ENTRYPOINT ["medical-team"]
CMD ["--help"]
