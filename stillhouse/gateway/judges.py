"""Judges: what graders may use at a gateway: the models that a project can ask, an embedder, a sandbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import final

from stillhouse.chat import Answer, Chat, ChatCall
from stillhouse.evaluation.graders.build import Means
from stillhouse.gateway.house import House

__all__ = ["Judges"]


@final
class Judges:
    """The means of a gateway; whom they may ask depends on whose grader it is."""

    def __init__(self, house: House, open_means: Callable[[Chat], Means] = Means) -> None:
        """`open_means` is called once, with the first grader, so that serving without graders stays light."""
        self._house, self._open = house, open_means
        self._opened: Means | None = None

    def means(self, project: str) -> Means:
        """What the graders of a project may use."""
        chat = _chat_of(self._house, project)
        if self._opened is None:
            self._opened = self._open(chat)
        return replace(self._opened, chat=chat)


def _chat_of(house: House, project: str) -> Chat:
    async def ask(call: ChatCall) -> Answer:
        answerer = await house.find(project, call.model)
        return await answerer.chat(call)

    return ask
