"""Fixtures of all tests with language models."""

from llm_fixtures import *  # noqa: F403
