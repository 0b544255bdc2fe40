"""What methods of generation bring over plain labels: several annotators, augmentation, context, reasons, preferences.

    python benchmarks/generation.py [--data DIR] [--seeds N] [--only PART] [--home DIR] [--quick] [--json] [--out F]

Parts: `labels` (generation_labels.py), `augmentation` and `context` (generation_texts.py), `rationales` and
`preferences` (generation_writers.py); each says what it measures on which data, and what stands in for a large model.
Every gain is told with its 95 % interval, over items or over trials, and next to what the same number of answers buys
as plain labels. A target that is missed says so.

`--home` keeps finished trials of language models, so that a run that was stopped goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from generation_labels import labels_part
from generation_texts import Texts, augmentation, context
from generation_writers import Plan, preferred, rationales
from trials import begin, clear, finish, goal, parser_of, words_of

PARTS = ("labels", "augmentation", "context", "rationales", "preferences")


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--home", type=Path, help="keep finished trials of language models here")
    options = parser.parse_args()
    started = time.monotonic()
    begin(options)
    seeds = 2 if options.quick else options.seeds
    plan = Plan(seeds, options.quick, options.device, options.home)
    wanted = [options.only] if options.only else list(PARTS)
    found: dict[str, Any] = {}
    if "labels" in wanted:
        found["labels"] = labels_part(options.data, 0, options.quick)
    if {"augmentation", "context"} & set(wanted):
        texts = Texts(options.data, options.quick)
        parts = {"augmentation": augmentation, "context": context}
        found |= {name: part(texts, seeds) for name, part in parts.items() if name in wanted}
    if "rationales" in wanted:
        found["rationales"] = rationales(options.data, plan)
    if "preferences" in wanted:
        found["preferences"] = preferred(options.data, plan)
    return finish("generation", options, started, {**found, "targets": targets(found)}, lines)


def targets(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each method should reach, and whether it did."""
    made: list[dict[str, Any]] = []
    for name, one in found.get("labels", {}).items():
        way = "dawid-skene" if "dawid-skene" in one["accuracy"] else "one coin"
        gain = one["over_a_single_one"][way]
        made.append(
            goal(f"{name}: {way} over a single annotator, lower end of 95 %", "> 0", gain["low"], gain["low"] > 0)
        )
        votes, shares = one["accuracy"]["majority"], one["accuracy"][way]
        made.append(goal(f"{name}: {way} less majority", ">= 0", shares - votes, shares >= votes))
    for each, one in found.get("augmentation", {}).items():
        gain = one["over_rows_alone"]["generated, judged, new"]
        made.append(goal(f"augmentation of {each} rows a label: gain", "> 0, sure", gain["mean"], clear(gain)))
    if "context" in found:
        gain = found["context"]["gain_of_context"]
        made.append(goal("context distillation: gain of the student", "> 0, sure", gain["mean"], clear(gain)))
    for name, one in found.get("rationales", {}).items():
        gain = one["over_labels"]["labels and reasons, as many calls"]
        made.append(goal(f"{name}: gain of reasons, as many calls", "> 0, sure", gain["mean"], clear(gain)))
    if "preferences" in found:
        gain = found["preferences"]["gain_of_dpo"]
        made.append(goal("preferences: gain of DPO", "> 0, sure", gain["mean"], clear(gain)))
    return made


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The result as people read it."""
    for name, one in found.get("labels", {}).items():
        yield f"{name}: {one['items']:,} items, {one['annotators']} annotators"
        for way, accuracy in one["accuracy"].items():
            yield f"    {way:20} {100 * accuracy:5.1f} %"
        agreed = one["all_agree"]
        yield f"    where all agree      {100 * agreed['accuracy']:5.1f} % of {100 * agreed['share']:.0f} % of all"
    parts = {
        **{f"augmentation, {each} rows a label": one for each, one in found.get("augmentation", {}).items()},
        **{f"rationales, {name}": one for name, one in found.get("rationales", {}).items()},
        **{name: found[name] for name in ("context", "preferences") if name in found},
    }
    for name, one in parts.items():
        yield name
        for way, accuracy in one["accuracy"].items():
            yield f"    {way:40} {words_of(accuracy, 100, 1)} %"


if __name__ == "__main__":
    raise SystemExit(main())
