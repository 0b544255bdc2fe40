"""Files and uploads in the words of OpenAPI."""

from __future__ import annotations

from stillhouse.wire.files import HOUR, MONTH, PURPOSES
from stillhouse.wire.openapi.chat import cut
from stillhouse.wire.openapi.shapes import (
    BYTES,
    JSON,
    Operation,
    Schema,
    array,
    asked,
    const,
    deleted,
    or_null,
    page,
    record,
    ref,
    text,
    whole,
)
from stillhouse.wire.uploads import LARGEST_UPLOAD

__all__ = ["operations", "schemas"]

FILES, UPLOADS = "Files", "Uploads"


def operations() -> dict[tuple[str, str], Operation]:
    """By method and path."""
    file, upload = "/v1/files/{file_id}", "/v1/uploads/{upload_id}"
    pages = {**cut(), "limit": whole(1, 10_000), "purpose": text()}
    return {
        ("POST", "/v1/files"): Operation("createFile", "Keep a file.", FILES, {JSON: ref("File")}, form=ref("NewFile")),
        ("GET", "/v1/files"): Operation("listFiles", "Files.", FILES, {JSON: page("File")}, query=pages),
        ("GET", file): Operation("retrieveFile", "A file.", FILES, {JSON: ref("File")}),
        ("DELETE", file): Operation("deleteFile", "A file no longer.", FILES, {JSON: deleted("file")}),
        ("GET", f"{file}/content"): Operation("downloadFile", "The bytes of a file.", FILES, {BYTES: {}}),
        ("POST", "/v1/uploads"): Operation(
            "createUpload", "Announce a large file.", UPLOADS, {JSON: ref("Upload")}, body=ref("NewUpload")
        ),
        ("POST", f"{upload}/parts"): Operation(
            "addUploadPart", "Keep a part.", UPLOADS, {JSON: ref("UploadPart")}, form=_form({"data": _bytes()})
        ),
        ("POST", f"{upload}/complete"): Operation(
            "completeUpload", "Put the parts together.", UPLOADS, {JSON: ref("Upload")}, body=ref("UploadEnd")
        ),
        ("POST", f"{upload}/cancel"): Operation("cancelUpload", "Give it up.", UPLOADS, {JSON: ref("Upload")}),
    }


def schemas() -> dict[str, Schema]:
    """By name."""
    purpose = text(PURPOSES)
    lasts = asked({"anchor": const("created_at"), "seconds": whole(HOUR, MONTH)}, {})
    named = {"filename": text(), "purpose": text(), "bytes": whole(0), "created_at": whole()}
    part = {"id": text(), "object": const("upload.part"), "created_at": whole(), "upload_id": text()}
    name: Schema = {"type": "string", "minLength": 1, "maxLength": 512}
    wish = {"filename": name, "bytes": whole(1, LARGEST_UPLOAD), "mime_type": text(longest=256), "purpose": purpose}
    return {
        "NewFile": _form({"file": _bytes(), "purpose": purpose}, _lasting()),
        "File": record(
            {
                "id": text(),
                "object": const("file"),
                **named,
                "expires_at": or_null(whole()),
                "status": text(),
                "status_details": or_null(text()),
            }
        ),
        "NewUpload": asked(wish, {"expires_after": lasts}),
        "Upload": record(
            {
                "id": text(),
                "object": const("upload"),
                **named,
                "expires_at": whole(),
                "status": text(("pending", "completed", "cancelled", "expired")),
                "file": or_null(ref("File")),
            }
        ),
        "UploadPart": record(part),
        "UploadEnd": asked({"part_ids": array(ref("PartId"), fewest=1)}, {"md5": _md5()}),
    }


def _form(needed: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {"type": "object", "properties": {**needed, **(optional or {})}, "required": list(needed)}


def _lasting() -> dict[str, Schema]:
    """How long a file is to last, as forms tell it."""
    return {"expires_after[anchor]": const("created_at"), "expires_after[seconds]": whole(HOUR, MONTH)}


def _bytes() -> Schema:
    return {"type": "string", "format": "binary"}


def _md5() -> Schema:
    return {"type": "string", "pattern": "^[0-9a-fA-F]{32}$"}
