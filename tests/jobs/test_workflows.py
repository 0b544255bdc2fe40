"""Workflows: every one that is ordered somewhere is there, and ordering needs a store alone."""

from __future__ import annotations

import subprocess
import sys

from stillhouse.jobs.workflows import WORKFLOWS, enqueue
from stillhouse.storage.jobs import LEARN, VALIDATE
from stillhouse.storage.store import Store


def test_jobs_are_among_them_and_one_learns_at_once():
    assert {LEARN, VALIDATE, "eval_run"} <= set(WORKFLOWS)
    assert WORKFLOWS[LEARN].at_once == 1


async def test_an_order_waits_for_a_worker(tmp_path, own_database):
    store = await Store.open(own_database, tmp_path)
    await enqueue(store, LEARN, "ftjob-1")
    assert [(each.workflow, each.argument) for each in await store.orders.waiting()] == [(LEARN, "ftjob-1")]
    await store.close()


def test_neither_a_gateway_nor_a_workers_workflows_import_torch_and_a_gateway_no_dbos():
    for module, absent in (
        ("stillhouse.gateway.app", "{'dbos', 'torch', 'sqlalchemy'}"),
        ("stillhouse.jobs.worker", "{'dbos', 'torch'}"),
        ("stillhouse.jobs.durable", "{'torch'}"),
    ):
        code = f"import {module}, sys; found = {absent} & set(sys.modules); sys.exit(str(found) if found else 0)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{module} imports {done.stderr}"
