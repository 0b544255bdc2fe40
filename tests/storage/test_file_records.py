"""File records: an upload that is pending too long has expired."""

from __future__ import annotations

from dataclasses import replace

from stillhouse.storage.file_records import NewFile, Upload, UploadState


def test_only_a_pending_upload_expires():
    upload = Upload("upload_1", 100, 200, NewFile("a.txt", "user_data"), 5)
    assert upload.at(199) == UploadState.PENDING
    assert upload.at(200) == UploadState.EXPIRED
    assert replace(upload, state=UploadState.COMPLETED).at(200) == UploadState.COMPLETED
