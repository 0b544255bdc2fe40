"""`stillhouse generate`: a teacher makes training material; each verb inside is a function in a file of its own."""

from __future__ import annotations

import typer

from stillhouse.cli.generate_answers import generate_answers
from stillhouse.cli.generate_context import generate_context
from stillhouse.cli.generate_counterfactuals import generate_counterfactuals
from stillhouse.cli.generate_evolve import generate_evolve
from stillhouse.cli.generate_judge import generate_judge
from stillhouse.cli.generate_label import generate_label
from stillhouse.cli.generate_prompts import generate_prompts
from stillhouse.cli.generate_rationales import generate_rationales
from stillhouse.cli.generate_select import generate_select
from stillhouse.cli.generate_vote import generate_vote

__all__ = ["generate"]

generate = typer.Typer(
    name="generate",
    help="Make training material with a teacher: labels, reasons, answers and new items.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
generate.command("label")(generate_label)
generate.command("rationales")(generate_rationales)
generate.command("answers")(generate_answers)
generate.command("prompts")(generate_prompts)
generate.command("evolve")(generate_evolve)
generate.command("counterfactuals")(generate_counterfactuals)
generate.command("context")(generate_context)
generate.command("vote")(generate_vote)
generate.command("judge")(generate_judge)
generate.command("select")(generate_select)
