from __future__ import annotations

import io

import pytest
from PIL import Image

from stillhouse.data.importers.options import Options
from stillhouse.data.importers.pictures import keep_file, keep_picture, shelf_of
from stillhouse.data.importers.records import Unusable
from stillhouse.errors import UsageError
from tests.data.importers.reading import picture, shelf_in


@pytest.fixture
def options(tmp_path) -> Options:
    return Options(shelf=shelf_in(tmp_path))


def exif(turned: int = 1) -> Image.Exif:
    made = Image.Exif()
    made[0x0112] = turned
    made[0x013B] = "Ada Lovelace"
    return made


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_who_took_a_picture_is_left_out_and_its_pixels_stay(options, kind):
    given = picture("green", kind, exif=exif(6))
    assert b"Lovelace" in given
    media, stripped = keep_picture(given, "a", options)
    with shelf_of(options).open(media) as file:
        kept = file.read()
    assert stripped
    assert b"Lovelace" not in kept
    with Image.open(io.BytesIO(kept)) as after, Image.open(io.BytesIO(given)) as before:
        assert after.tobytes() == before.tobytes()
        assert after.getexif().get(0x0112, 6 if kind == "PNG" else 0) == 6
    assert media.type == f"image/{kind.lower()}"


def test_a_plain_picture_is_kept_to_the_byte(options):
    media, stripped = keep_picture(picture(), "a.png", options)
    assert not stripped
    assert media.bytes == len(picture())


@pytest.mark.parametrize(
    "data", [b"", b"hello", picture()[:-30], b"\x89PNG\r\n\x1a\nrest", picture("red", "JPEG")[:200]]
)
def test_what_is_no_picture_is_refused(options, data):
    with pytest.raises(Unusable, match=r"a\.png is no picture"):
        keep_picture(data, "a.png", options)


def test_other_files_are_kept_as_they_are(options):
    assert keep_file(b"RIFF\0\0\0\0WAVEfmt ", "a.wav", options).type == "audio/wav"
    with pytest.raises(Unusable, match="empty"):
        keep_file(b"", "a.bin", options)
    with pytest.raises(UsageError, match="home folder"):
        keep_file(b"abc", "a.bin", Options())
