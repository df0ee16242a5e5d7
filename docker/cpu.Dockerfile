# medical-team for a CPU, with the versions of the lock. From the checkout's root, and how to use it: docs/docker.md.
#
#   docker build -f docker/cpu.Dockerfile -t medical-team .

FROM python:3.12-slim-bookworm AS build
# What `make quickstart` installs too. TORCH_INDEX: an index of torch's builds, such as PyTorch's own for a CPU.
ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
RUN python -m venv /opt/medical-team
COPY requirements/package.txt requirements/package.txt
RUN /opt/medical-team/bin/pip install --no-deps -r requirements/package.txt
RUN /opt/medical-team/bin/pip install "$TORCH" ${TORCH_INDEX:+--index-url "$TORCH_INDEX"}
COPY pyproject.toml README.md LICENSE ./
COPY medical_team medical_team
RUN /opt/medical-team/bin/pip install --no-deps --no-build-isolation .

FROM python:3.12-slim-bookworm
COPY --from=build /opt/medical-team /opt/medical-team
# Runs and data lie in /project, models in /cache: both belong to a user who is not root, and outlive the container.
RUN useradd --create-home --uid 1000 researcher && mkdir /project /cache && chown researcher: /project /cache
ENV PATH=/opt/medical-team/bin:$PATH XDG_CACHE_HOME=/cache PYTHONUNBUFFERED=1
USER researcher
WORKDIR /project
VOLUME ["/project", "/cache"]
ENTRYPOINT ["medical-team"]
CMD ["--help"]
