"""Headrace measured from outside, over HTTP: `python -m tests.bench --help`."""
