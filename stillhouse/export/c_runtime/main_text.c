/* Reads texts, one a line, and prints the label of each field and how sure the student is.
   With --scores it prints the raw scores of all labels, in 1/65536. */
#include <stdio.h>
#include <string.h>

#include "student.h"

static unsigned char line[65536]; /* of a longer line the rest is left out */
static int32_t scores[STUDENT_LABELS];

static void print_scores(void)
{
    int at;
    for (at = 0; at < STUDENT_LABELS; at++)
        printf(at == 0 ? "%ld" : " %ld", (long)scores[at]);
    printf("\n");
}

static void print_labels(void)
{
    int field;
    for (field = 0; field < STUDENT_FIELDS; field++) {
        uint32_t share;
        int label = student_pick(scores, field, &share);
        unsigned long parts = (unsigned long)(((uint64_t)share * 10000 + 32768) >> 16);
        printf("%s%s\t%lu.%04lu", field == 0 ? "" : "\t", student_label(field, label), parts / 10000, parts % 10000);
    }
    printf("\n");
}

int main(int count, char **words)
{
    int raw = count > 1 && strcmp(words[1], "--scores") == 0, c = getchar();
    while (c != EOF) {
        uint32_t bytes = 0;
        for (; c != EOF && c != '\n'; c = getchar())
            if (bytes < sizeof line)
                line[bytes++] = (unsigned char)c;
        student_scores(line, bytes, scores);
        if (raw)
            print_scores();
        else
            print_labels();
        if (c != EOF)
            c = getchar();
    }
    return 0;
}
