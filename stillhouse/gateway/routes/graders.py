"""`/v1/fine_tuning/alpha/graders`: one grader run on one sample, or only looked at."""

from __future__ import annotations

import time
from typing import final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stillhouse.evaluation.graders.build import build_grader
from stillhouse.evaluation.graders.check import Known, check_grader
from stillhouse.evaluation.run import ran
from stillhouse.gateway.auth import Gate, project_of
from stillhouse.gateway.body import read_body
from stillhouse.gateway.faults import JSON
from stillhouse.gateway.judges import Judges
from stillhouse.storage.records import Scope
from stillhouse.wire.graders import read_grader_run, read_grader_validation, write_grader_run, write_grader_validation

__all__ = ["Graders"]


@final
class Graders:
    """Tries graders out."""

    def __init__(self, judges: Judges) -> None:
        self._judges = judges

    def routes(self, gate: Gate) -> list[Route]:
        """Where it is found."""
        graders = "/v1/fine_tuning/alpha/graders"
        return [
            gate.route(f"{graders}/run", self.run, Scope.TRAIN, "POST"),
            gate.route(f"{graders}/validate", self.validate, Scope.TRAIN, "POST"),
        ]

    async def run(self, request: Request) -> Response:
        """What a grader says of a sample; also what went wrong inside of it is an answer, and no failure."""
        asked = read_grader_run(await read_body(request))
        means = self._judges.means(project_of(request))
        check_grader(asked.grader, "grader", means, Known())
        started = time.perf_counter()
        grade = await build_grader(asked.grader, means)(asked.item, asked.sample.variables)
        done = ran(grade, time.perf_counter() - started)
        return Response(orjson.dumps(write_grader_run(asked.grader, done)), media_type=JSON)

    async def validate(self, request: Request) -> Response:
        """The grader as it was understood; refused when it cannot work."""
        grader = read_grader_validation(await read_body(request))
        check_grader(grader, "grader", self._judges.means(project_of(request)), Known())
        return Response(orjson.dumps(write_grader_validation(grader)), media_type=JSON)
