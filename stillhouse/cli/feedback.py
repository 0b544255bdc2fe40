"""`stillhouse feedback`: what people say of answers, a queue of items to look at, and what is learnt from both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from stillhouse.cli.console import actor, emit
from stillhouse.cli.data_home import AsJson, DatabaseOption, HomeOption, ProjectOption, tell_version, with_catalogue
from stillhouse.cli.kept import Where, group, tell, when, with_store
from stillhouse.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stillhouse.data.catalogue import Catalogue, Version
    from stillhouse.storage.feedback_records import StoredFeedback, StoredReview
    from stillhouse.storage.store import Store

__all__ = ["feedback"]

feedback = group("feedback", "What people say of answers: list it, look at doubtful items, and learn from both.")

Reviewer = Annotated[str | None, typer.Option(help="Who says so.")]
SHOWN = 20
KEYS = {"": "right", "w": "wrong", "s": "skip"}
"""What is typed for a verdict; anything else is the right answer."""


@feedback.command("list")
def list_feedback(
    completion: Annotated[str | None, typer.Option(help="Only on this stored call.")] = None,
    most: Annotated[int, typer.Option(min=1, max=100, help="The newest so many.")] = SHOWN,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Show what clients said of stored calls by `POST /v1/feedback`, newest first.

    For example: stillhouse feedback list --most 5
    """
    from stillhouse.storage.records import Cut

    page = with_store(Where(home, database), lambda store: store.feedback.page(project, Cut(most), completion))
    rows: Sequence[StoredFeedback] = page.rows if page else ()
    if json:
        told = [
            {"id": row.id, "created": row.created, "completion": row.completion, **orjson.loads(row.content)}
            for row in rows
        ]
        emit({"feedback": told})
        return
    if not rows:
        tell("There is no feedback yet. Clients send it to POST /v1/feedback.")
    for row in rows:
        said: dict[str, Any] = orjson.loads(row.content)
        worse = _words(said.get("rejected"))
        parts = [
            said.get("rating"),
            _words(said.get("correction")),
            worse and f"better than: {worse}",
            said.get("comment"),
        ]
        tell(f"{row.id}  {when(row.created)}  {row.completion}  {' · '.join(str(part) for part in parts if part)}")


@feedback.command("queue")
def queue(
    dataset: Annotated[str, typer.Argument(help="The dataset, `name` or `name@3`, whose doubtful items are queued.")],
    most: Annotated[int, typer.Option(min=1, help="Items that are queued at most, those worth most.")] = 100,
    clear: Annotated[bool, typer.Option("--clear", help="Take out first what waits in the queue.")] = False,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Put the items of a dataset that are worth a look into the queue, those worth most first.

    An item is worth the chance that it is wrong (teachers disagree, one was unsure, a low grade, another answer is
    known to be right) times how often its text occurs, by the logarithm. One of each text is asked about.

    For example: stillhouse feedback queue support@4 --most 50
    """
    from stillhouse.data.review import queue_of

    async def work(catalogue: Catalogue, store: Store) -> dict[str, Any]:
        version = await catalogue.find(dataset)
        cleared = await store.reviews.clear(project) if clear else 0
        found = queue_of(lambda: catalogue.read(version), version.reference, most)
        added = await store.reviews.add(project, found)
        told = {"dataset": version.reference, "worth_a_look": len(found), "added": added, "cleared": cleared}
        return told | {"counts": await store.reviews.counts(project)}

    done = with_catalogue((project, home, database), work)
    if json:
        emit(done)
        return
    tell(f"{done['added']} items of {done['dataset']} were added; {done['counts'].get('waiting', 0)} wait.")
    if not done["worth_a_look"]:
        tell("None shows a sign of being wrong. Labels of several teachers, or --samples 3, show where they differ.")
    elif done["counts"].get("waiting"):
        tell("Look at them: stillhouse feedback review")


@feedback.command("review")
def review(
    most: Annotated[int, typer.Option(min=1, help="Stop after so many.")] = 1_000,
    reviewer: Reviewer = None,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print the queue as one JSON object, and ask nothing.")] = False,
) -> None:
    """Look at the queue item by item, here in the terminal, and say what is right.

    Enter says that an item is right; any other words are the right answer or label; `w` says that it is wrong, `s`
    skips it, `q` ends. What was said is kept at once.

    For example: stillhouse feedback review --reviewer ada
    """

    async def work(store: Store) -> int:
        waiting = await store.reviews.list(project, most=most)
        if json:
            told = [{"id": each.id, "worth": each.worth, **orjson.loads(each.content)} for each in waiting]
            emit({"reviews": told, "counts": await store.reviews.counts(project)})
            return 0
        for number, each in enumerate(waiting, 1):
            said = _asked(each, f"{number} of {len(waiting)}")
            if said is None:
                return number - 1
            await _settle(store, project, each, said, reviewer)
        return len(waiting)

    done = with_store(Where(home, database), work)
    if not json:
        tell(f"{done} looked at. Make a dataset of what was said: stillhouse feedback collect NAME")


@feedback.command("answer")
def answer(
    review_id: Annotated[
        str, typer.Argument(help="The id of a review, as `review --json` or GET /v1/reviews show it.")
    ],
    right: Annotated[bool, typer.Option("--right", help="It is right.")] = False,
    wrong: Annotated[bool, typer.Option("--wrong", help="It is wrong, and what is right is not known.")] = False,
    correct: Annotated[str | None, typer.Option(help="The right answer.")] = None,
    label: Annotated[str | None, typer.Option(help="The right label.")] = None,
    skip: Annotated[bool, typer.Option("--skip", help="Nobody can tell.")] = False,
    reviewer: Reviewer = None,
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Say what is right of one item of the queue.

    For example: stillhouse feedback answer review_0643... --label card_arrival
    """
    said = _verdict(right, wrong, skip, correct, label)

    async def work(store: Store) -> StoredReview:
        found = await store.reviews.get(project, review_id)
        if found is None:
            raise UsageError(
                f"There is no review {review_id} in the project {project!r}. See: stillhouse feedback review --json"
            )
        return await _settle(store, project, found, said, reviewer)

    done = with_store(Where(home, database), work)
    if json:
        emit({"id": done.id, "state": done.state.value, **orjson.loads(done.content)})
    else:
        tell(f"{done.id} is {done.state}.")


@feedback.command("collect")
def collect(
    name: Annotated[str, typer.Argument(help="The dataset that gets a new version.")],
    project: ProjectOption = "default",
    home: HomeOption = None,
    database: DatabaseOption = None,
    json: AsJson = False,
) -> None:
    """Make a dataset of all feedback and reviews: corrected items, preferences of the right answer, and ratings.

    Items of the kind `preference` are what `stillhouse train` learns by DPO: filter them by kind, and export to dpo.

    For example: stillhouse feedback collect corrections
    """
    from stillhouse.data.catalogue import Step
    from stillhouse.data.feedback import gather
    from stillhouse.storage.audit_records import Event

    async def work(catalogue: Catalogue, store: Store) -> Version:
        items, counts = await gather(store, project)
        if not items:
            raise UsageError("Nobody has said anything yet that could be learnt. See: stillhouse feedback list")
        version = await catalogue.add(name, items, Step("feedback", settings={}, counts=counts))
        details = {kind: counts[kind] for kind in ("feedback", "reviews", "items")}
        await store.audit.tell(Event("feedback.read", actor(), project, version.reference, details=details))
        return version

    version = with_catalogue((project, home, database), work)
    if json:
        emit({"dataset": version.reference, "items": version.items, "counts": dict(version.step.counts)})
        return
    tell_version(version)


def _asked(each: StoredReview, place: str) -> dict[str, Any] | None:
    """What somebody types about an item; None to end."""
    from stillhouse.data.review import review_item

    item, why = review_item(each), orjson.loads(each.content).get("why", [])
    tell(f"\n{place}: {'; '.join(why)}")
    tell(f"  {item.text}")
    given = item.label or item.words
    tell(f"  → {given or '(no answer)'}")
    if item.soft:
        tell(
            "    "
            + ", ".join(f"{name} {share:.0%}" for name, share in sorted(item.soft.items(), key=lambda x: -x[1])[:4])
        )
    try:
        said: str = typer.prompt("right (Enter), the right answer, w, s or q", default="", show_default=False).strip()
    except typer.Abort:
        return None
    if said == "q":
        return None
    if said in KEYS:
        return {"verdict": KEYS[said]}
    if item.label is not None:
        return {"verdict": "wrong", "label": said}
    return {"verdict": "wrong", "correction": {"role": "assistant", "content": said}}


def _verdict(right: bool, wrong: bool, skip: bool, correct: str | None, label: str | None) -> dict[str, Any]:
    if sum((right, skip, wrong or correct is not None or label is not None)) != 1:
        raise UsageError("Say one thing: --right, --wrong, --skip, --correct TEXT or --label LABEL.")
    if right or skip:
        return {"verdict": "right" if right else "skip"}
    found: dict[str, Any] = {"verdict": "wrong"}
    if correct is not None:
        found["correction"] = {"role": "assistant", "content": correct}
    return found | ({} if label is None else {"label": label})


async def _settle(
    store: Store, project: str, found: StoredReview, said: dict[str, Any], reviewer: str | None
) -> StoredReview:
    from stillhouse.data.review import settled

    done = settled(found, said | ({} if reviewer is None else {"reviewer": reviewer}), said["verdict"] == "skip")
    await store.reviews.settle(project, done)
    return done


def _words(message: dict[str, Any] | None) -> str | None:
    return str(message.get("content")) if message else None
