# One image for worker, cutoff, beat, flower, migrate and sandbox: the command differs.

FROM python:3.11-slim AS build
WORKDIR /build
COPY requirements.lock .
# All locked packages are fetched and their hashes checked here; below, only what the
# application needs is installed, from these files and nowhere else.
RUN pip wheel --no-cache-dir --no-deps --require-hashes \
        --requirement requirements.lock --wheel-dir /wheels
COPY . .
RUN python -m venv /app \
    && /app/bin/pip install --no-cache-dir --no-index --find-links /wheels setuptools \
    && /app/bin/pip install --no-cache-dir --no-index --find-links /wheels \
        --no-build-isolation '.[mysql]' \
    && /app/bin/pip uninstall --yes pip setuptools

FROM python:3.11-slim
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --no-create-home replenish
COPY --from=build /app /app
USER replenish
WORKDIR /tmp
CMD ["celery", "-A", "replenish", "worker", "-Q", "replenish,reconcile"]
