#!/usr/bin/env python3
"""Two logs of `oedit edit --log` over the same requests: how many looks at the loss each run took to
the same loss. The goal of a request is what the first run reached, or the stop if that is higher.
usage: tools/compare_steps.py FIRST.log SECOND.log [STOP]      STOP: 0.05 unless told"""
import json
import statistics
import sys


def losses(path):
    with open(path, encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines if line.strip()]
    return {(r["edit"], r["prompt"]): r["loss"] for r in records if "loss" in r}


def looks(loss, goal):
    return next((i for i, x in enumerate(loss, 1) if x <= goal), None)


if len(sys.argv) not in (3, 4):
    sys.exit(__doc__)
first, second = losses(sys.argv[1]), losses(sys.argv[2])
if first.keys() != second.keys() or not first:
    sys.exit("compare_steps: the logs are not of the same requests")
stop = float(sys.argv[3]) if len(sys.argv) == 4 else 0.05
rows = []
for key, loss in first.items():
    goal = max(min(loss), stop)
    rows.append((looks(loss, goal), looks(second[key], goal), len(second[key])))
one, two = sum(r[0] for r in rows), sum(r[1] or r[2] for r in rows)
ratios = sorted((b or n) / a for a, b, n in rows)
print(f"{len(rows)} requests: {one} looks, then {two}: {two / one:.2f} times; median of the ratios "
      f"{statistics.median(ratios):.2f}, largest {ratios[-1]:.2f}")
print(f"at most half as many: {sum(r <= 0.5 for r in ratios)}; loss not reached by the second: "
      f"{sum(b is None for _, b, _ in rows)}")
