/* Reads pictures as raw bytes, one after the other, and prints the label of each and how sure the student is.
   With --scores it prints the raw scores of all labels, in 1/65536. */
#include <stdio.h>
#include <string.h>

#include "student.h"

static unsigned char pixels[STUDENT_PIXELS];
static int32_t scores[STUDENT_LABELS];

static void print_scores(void)
{
    int at;
    for (at = 0; at < STUDENT_LABELS; at++)
        printf(at == 0 ? "%ld" : " %ld", (long)scores[at]);
    printf("\n");
}

static void print_label(void)
{
    uint32_t share;
    int label = student_pick(scores, 0, &share);
    unsigned long parts = (unsigned long)(((uint64_t)share * 10000 + 32768) >> 16);
    printf("%s\t%lu.%04lu\n", student_label(0, label), parts / 10000, parts % 10000);
}

int main(int count, char **words)
{
    int raw = count > 1 && strcmp(words[1], "--scores") == 0;
    size_t read;
    while ((read = fread(pixels, 1, sizeof pixels, stdin)) == sizeof pixels) {
        student_scores(pixels, scores);
        if (raw)
            print_scores();
        else
            print_label();
    }
    if (read != 0) {
        fprintf(stderr, "The last picture has %lu bytes; it must have %lu.\n", (unsigned long)read,
                (unsigned long)sizeof pixels);
        return 1;
    }
    return 0;
}
