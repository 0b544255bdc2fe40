"""What graders may use by the settings of a server: an embedder where one is installed, a sandbox where enabled."""

from __future__ import annotations

from stillhouse.chat import Chat
from stillhouse.evaluation.graders.build import Means
from stillhouse.evaluation.graders.sandbox import Sandbox
from stillhouse.inference.sentence_vectors import SentenceVectors
from stillhouse.recipes.server import EvalsSection

__all__ = ["grader_means"]


def grader_means(chat: Chat, section: EvalsSection) -> Means:
    """The means of graders whose judges `chat` answers for."""
    return Means(chat, SentenceVectors.open(), Sandbox() if section.python_graders else None)
