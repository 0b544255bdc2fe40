/* A student that reads pictures: int8 weights, one static buffer, no memory taken while it runs, whole numbers only. */
#ifndef STUDENT_H
#define STUDENT_H

#include <stdint.h>

@SIZES@
/* How likely the student holds every label: raw scores (logits) in 1/65536.
   `pixels` are bytes, row by row, the channels of a pixel side by side. */
void student_scores(const unsigned char pixels[STUDENT_PIXELS], int32_t scores[STUDENT_LABELS]);

/* The likeliest label of a field (there is one: 0), by number; `share` is how sure the student is, in 1/65536. */
int student_pick(const int32_t scores[STUDENT_LABELS], int field, uint32_t *share);

/* A label as text (UTF-8). */
const char *student_label(int field, int label);

#endif
