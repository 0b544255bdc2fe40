"""`stillhouse data`: datasets in versions; each verb inside is one function, in a file of its own where it is long."""

from __future__ import annotations

import typer

from stillhouse.cli.data_coverage import data_coverage
from stillhouse.cli.data_curate import data_curate
from stillhouse.cli.data_delete import data_delete
from stillhouse.cli.data_diff import data_diff
from stillhouse.cli.data_export import data_export
from stillhouse.cli.data_filter import data_filter
from stillhouse.cli.data_import import data_import
from stillhouse.cli.data_lineage import data_lineage
from stillhouse.cli.data_list import data_list
from stillhouse.cli.data_redact import data_redact, data_reveal
from stillhouse.cli.data_restore import data_restore
from stillhouse.cli.data_sheet import data_sheet
from stillhouse.cli.data_show import data_show
from stillhouse.cli.data_split import data_split
from stillhouse.cli.data_suspects import data_suspects

__all__ = ["data"]

data = typer.Typer(
    name="data",
    help="Keep datasets in versions: import, filter, split, compare, export, and where each row came from.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data.command("list")(data_list)
data.command("show")(data_show)
data.command("delete")(data_delete)
data.command("diff")(data_diff)
data.command("export")(data_export)
data.command("filter")(data_filter)
data.command("import")(data_import)
data.command("lineage")(data_lineage)
data.command("sheet")(data_sheet)
data.command("split")(data_split)
data.command("redact")(data_redact)
data.command("reveal")(data_reveal)
data.command("curate")(data_curate)
data.command("restore")(data_restore)
data.command("suspects")(data_suspects)
data.command("coverage")(data_coverage)
