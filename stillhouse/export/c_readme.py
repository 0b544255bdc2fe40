"""The page beside a student in C: what the files are, how it is built and called, and what it takes."""

from __future__ import annotations

from stillhouse.export.c_build import Footprint
from stillhouse.export.c_source import Source

__all__ = ["read_me"]

PAGE = """# {name} in C

A student that Stillhouse wrote as C99. It needs no library, takes no memory while it runs, and computes with whole
numbers alone, so it gives the same answers on every machine whose `int` has 32 bits.

| file | what it is |
|---|---|
| `student.h` | three functions and the sizes |
| `student.c` | the code: take it and `student.h`, `student_data.h` into your program |
| `student_data.h` | weights (int8) and tables |
| `main.c` | a program around it: {reads} in, labels out |
| `Makefile` | `make` builds the program, `make size` tells the sections |
| `student.json` | labels, sizes and what was measured |

{sizes}

## Try it

```sh
make
{example}
```

It prints the label{fields} and, after a tab, how sure the student is (0 to 1). With `--scores` it prints the raw
scores of all labels in 1/65536.

## Call it

```c
#include "student.h"

static int32_t scores[STUDENT_LABELS];
uint32_t share;
student_scores({call}, scores);
int label = student_pick(scores, 0, &share);   /* share is how sure it is, in 1/65536 */
const char *name = student_label(0, label);
```

It keeps its buffers in static memory, so one call may run at a time.
{more}"""
TEXTS = """
## What it reads

UTF-8 of any length. {reading}
"""
WORDS = (
    "Letters, white space and lower case are those of Python's Unicode tables. Grams of a text are told apart by two "
    "hashes of 32 bits each instead of by their letters."
)
STATIC = (
    "The tokenizer's tables are taken from the tokenizer itself, character by character. Combining marks that follow "
    "one another are not brought into canonical order, which matters only for the few that are kept."
)


def read_me(source: Source, name: str, footprint: Footprint | None) -> str:
    """The page as Markdown."""
    sizes = (
        f"Compiled for this machine (-Os, {footprint.compiler}), without `main.c`: {footprint.flash:,} bytes of flash, "
        f"{footprint.ram:,} of RAM, at most {footprint.stack:,} of stack. Another processor has other code "
        f"({footprint.code:,} bytes here), and the same constants."
        if footprint
        else "It was not compiled where it was written, so its sizes are not known; `make size` tells them."
    )
    text = source.kind == "text"
    reading = WORDS if "words.c" in source.parts else STATIC
    return PAGE.format(
        name=name,
        reads="a text a line" if text else "pictures as raw bytes",
        sizes=sizes,
        example='echo "your text" | ./student' if text else "./student < pictures.raw",
        fields="" if len(source.answers.labels) == 1 else " of each field",
        call="(const unsigned char *)text, bytes" if text else "pixels",
        more=TEXTS.format(reading=reading) if text else "",
    )
