"""`stillhouse compress`: a model in, a smaller one that reaches a goal out."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stillhouse import settings
from stillhouse.cli.console import emit, progress, words
from stillhouse.cli.datasets import note_uses, opened_section
from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from stillhouse.recipes.compress import Compressed

__all__ = ["compress"]


def compress(
    model: Annotated[
        str,
        typer.Argument(
            help="A Transformers folder or hub id: a classifier of texts or images, a "
            "sentence encoder or a language model."
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            help="Rows it is healed and judged on, as `stillhouse train` reads them, or a version such as "
            "support@3; labels may be missing."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to make.")],
    target_mb: Annotated[
        float | None, typer.Option(help="At most so many megabytes (10^6 bytes), tokenizer included.")
    ] = None,
    target_ms: Annotated[
        float | None, typer.Option(help="At most so many milliseconds for one row, on one thread.")
    ] = None,
    max_drop: Annotated[
        float | None, typer.Option(help="At most so much quality lost: 0.01 is one point of accuracy.")
    ] = None,
    selection: Annotated[
        Path | None,
        typer.Option(help="Rows to choose by, best ones that the model has not learnt; by default a tenth of --data."),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(help="Rows that the model has not learnt, for the proof; by default some of --data."),
    ] = None,
    levers: Annotated[
        str | None,
        typer.Option(
            help="Only these ways, such as layers,precision; by default all of layers, ffn, "
            "width, rank, vocabulary and precision that the model has."
        ),
    ] = None,
    trials: Annotated[int, typer.Option(help="Combinations that are made, healed and measured at most.")] = 4,
    epochs: Annotated[int, typer.Option(help="How often a smaller form sees the rows while it is healed.")] = 3,
    heal: Annotated[
        bool, typer.Option(help="Let smaller forms learn from the whole model; --no-heal shows what that is worth.")
    ] = True,
    learn_bits: Annotated[
        bool,
        typer.Option(
            "--learn-bits",
            help="Then let the form that was found learn its integers, and keep them if they are better.",
        ),
    ] = False,
    rate: Annotated[
        float | None, typer.Option(help="Peak learning rate of healing; by default what suits the model.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Rows a step of healing.")] = 32,
    tokens: Annotated[
        int, typer.Option(help="Longer texts are cut: conversations lose their beginning, others their end.")
    ] = 128,
    margin: Annotated[float, typer.Option(help="How much worse it may be and still be called non-inferior.")] = 0.02,
    risk: Annotated[
        float, typer.Option(help="Largest share of disagreement among the answers it keeps in a cascade.")
    ] = 0.02,
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.")] = 0,
    home: Annotated[Path | None, typer.Option(help="The folder that holds unfinished and finished stages.")] = None,
    fresh: Annotated[bool, typer.Option(help="Do every stage again, whatever was finished before.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Make a model smaller until it reaches a goal of size, speed or quality.

    Every way of making it smaller is measured alone. Then combinations of fewer layers, narrower ones, low-rank
    factors, fewer tokens and fewer bits are tried, each healed by distillation from the whole model and measured as it
    would be served. The folder holds the ONNX graph, the model in float32, compression.json, and report.html with the
    picture of all that was tried; a classifier also gets its certificate, and one of texts is a bundle that
    `stillhouse serve --model` takes. Interrupted, the same command goes on where it stopped.

    Example: stillhouse compress my-classifier --data rows.jsonl --target-mb 5 --out small
    """
    from stillhouse.extras import require

    require("train", "compress a model")
    if learn_bits and not heal:
        raise UsageError("--no-heal lets nothing learn, and --learn-bits lets integers learn. Leave one of them out.")
    from stillhouse.cli.display import Display
    from stillhouse.compression.search import Goal
    from stillhouse.evaluation.answers import Terms
    from stillhouse.recipes.compress import compress as run
    from stillhouse.recipes.compression import CompressRecipe, Heal, task_of
    from stillhouse.recipes.sections import DataSection, TrainingSection

    given = DataSection(train=data, selection=selection, test=test, tokens=tokens)
    section = opened_section(given, settings.home(home))
    recipe = CompressRecipe(
        model=model,
        task=task_of(model),
        out=out,
        data=section,
        goal=Goal(None if target_mb is None else target_mb * 1e6, target_ms, max_drop),
        levers=tuple(part.strip() for part in levers.split(",")) if levers else (),
        trials=trials,
        healing=TrainingSection(epochs=epochs, rate=rate),
        heal=Heal.BITS if learn_bits else Heal.WEIGHTS if heal else Heal.NOTHING,
        batch=batch,
        terms=Terms(margin=margin, risk=risk),
        seed=seed,
    )
    with Display(progress()) as display:
        done = run(recipe, settings.home(home), display, fresh=fresh, command=shlex.join(["stillhouse", *sys.argv[1:]]))
    note_uses((section.train, section.selection, section.test), "compression", done.out, settings.home(home))
    emit(done.to_json()) if json else _show(done)


def _show(done: Compressed) -> None:
    """The forms in a short table, and what was chosen."""
    from rich.table import Table

    from stillhouse.reports.compression_report import headline

    console, record = words(), done.record
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("form")
    for name in ("MB", "ms", "quality", "lost"):
        table.add_column(name, justify="right")
    for at, form in enumerate((record.whole, *record.forms)):
        mark = "→ " if at - 1 == record.chosen else "  "
        figures = (f"{form.bytes / 1e6:.2f}", f"{form.ms:.2f}", f"{form.quality:.2%}", f"{form.drop:.2%}")
        table.add_row(f"{mark}{form.words if at else 'the whole model'}", *figures)
    console.print()
    console.print(table)
    console.print(f"\n{headline(record)}", markup=False, highlight=False)
    if done.certificate is not None:
        console.print(f"{done.certificate.verdict}: {done.certificate.reason}", markup=False, highlight=False)
    console.print(f"Folder: {done.out}\nReport: {done.out}/report.html", markup=False, highlight=False, soft_wrap=True)
