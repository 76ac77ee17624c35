#!/usr/bin/env python3
"""Reads every dashboard with Grafana's own types (grafana-foundation-sdk, PyPI) and writes it again: what Grafana does not know gets lost,
and is an error."""

import json
import pathlib
import sys

import grafana_foundation_sdk.cog.plugins as plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard


def lost(before, after, path=""):
    """Where `after` has less than `before`, or something else; what is empty counts as absent."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from lost(value, after[key], f"{path}.{key}")
            elif value not in ({}, [], None):
                yield f"{path}.{key} = {value!r}"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for at, (one, other) in enumerate(zip(before, after)):
            yield from lost(one, other, f"{path}[{at}]")
    elif before != after:
        yield f"{path}: {before!r} is read as {after!r}"


def main():
    plugins.register_default_plugins()
    faults, count = [], 0
    for file in sorted(pathlib.Path(__file__).parent.glob("grafana/dashboards/*.json")):
        before = json.loads(file.read_text())
        after = json.loads(JSONEncoder().encode(Dashboard.from_json(before)))
        faults += [f"{file.name}: {fault}" for fault in lost(before, after)]
        count += 1
    if faults or not count:
        sys.exit("schema.py: Grafana does not know:\n" + "\n".join(faults))
    print(f"{count} dashboards are Grafana's")


if __name__ == "__main__":
    main()
