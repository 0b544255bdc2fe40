"""Texts that readers are known to take differently, and many at random."""

from __future__ import annotations

import random
import unicodedata

HARD = (
    "where is my parcel",
    "  Where IS my refund?!  ",
    "",
    " \t\n ",
    "?",
    "🔥",
    "please 🙏🏽 refund 👩‍👩‍👧‍👦 now 🇩🇪 ❤️",
    "שלום, איפה החבילה שלי؟ عليكم السلام \u202e\u200f",
    "ΟΔΥΣΣΕΥΣ ΣΑΣ Σ. ΑΣ'",
    "İstanbul IĞDIR ıI ǅ Ǆ ﬁﬂ ẞß ŉ",
    "e\u0301 é ệ Å Å \u1e69 s\u0323\u0307",
    "我的包裹在哪里。 ｶﾞ が ガ 한국어 각 \u1112\u1161\u11ab",
    "豈更 \U0002f800 \U00020000\U0002a6d6 \u4dff\u9fff\ua000",
    "หนังสือ हिन्दी வணக்கம் ༀ",
    "null\0byte \x07bell \x1b[31m \x85next \u2028line \ufeffbom soft\u00adhyphen",
    "[SEP] where [CLS] is[SEP]my [MASK] [sep] [PAD][UNK]",
    "don't @you #tag 3.14 1,000 ½ ² Ⅷ ① ൧ x_y __init__ $5 £6 €7 ^~`|<>+=",
    "a" * 100 + " " + "b" * 101 + " " + "refund" * 40,
    "refund parcel late money " * 400,
    "\u0378 \U0001fae9 \U00010d50\U00010d70 \ua7cb \U0001f6dc \U000105c0 \u1c89 \U00011bc0",
    "\ue000 \U000f0000 \U0010fffd \ufdd0 \uffff \U0001fffe",
    "line one\r\nline two\rline three\u000bfour\u000cfive\u001csix\u3000seven\u00a0eight",
    "Customer: where is it\nAnswer:",
    "Customer: \nAnswer:",
    "Customer: half",
    "<script>alert(1)</script> & \"quotes\" 'single' \\back",
)


def at_random(count: int, seed: int = 0) -> list[str]:
    """Texts of characters from everywhere in Unicode, with plain words between them."""
    rng = random.Random(seed)
    pools = (
        (0x20, 0x7F),
        (0xA0, 0x250),
        (0x300, 0x600),
        (0x600, 0x1000),
        (0x1000, 0x2000),
        (0x2000, 0x3000),
        (0x3000, 0xD7FF),
        (0xE000, 0x10000),
        (0x10000, 0x20000),
        (0x1F000, 0x20000),
        (0x20000, 0x110000),
    )
    words = ("where", "Is", "my", "PARCEL", "refund", "naïve", "Σας")

    def piece() -> str:
        if rng.random() < 0.4:
            return rng.choice(words)
        low, high = rng.choice(pools)
        return "".join(chr(rng.randrange(low, high)) for _ in range(rng.randint(1, 6)))

    texts = [rng.choice(("", " ")).join(piece() for _ in range(rng.randint(1, 14))) for _ in range(count)]
    return [text.encode("utf-16", "ignore").decode("utf-16") for text in texts]


def every_character() -> list[str]:
    """Every character that this Python knows, and each block's others, among letters and spaces."""
    blocks = []
    for start in range(0, 0x110000, 256):
        points = [chr(point) for point in range(start, start + 256) if not 0xD800 <= point < 0xE000]
        known = [character for character in points if unicodedata.category(character) != "Cn"]
        blocks += [f"x{character}y" for character in points[:1] + points[-1:]]
        blocks += [" ".join(known[at : at + 32]) for at in range(0, len(known), 32)]
        blocks += ["a".join(known[at : at + 32]) for at in range(0, len(known), 32)]
    return [block for block in blocks if block]
