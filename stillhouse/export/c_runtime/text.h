/* A student that reads text: one static table of weights, no memory taken while it runs, whole numbers only. */
#ifndef STUDENT_H
#define STUDENT_H

#include <stdint.h>

@SIZES@
/* How likely the student holds every label of every field, side by side: raw scores (logits) in 1/65536.
   `text` is UTF-8 of any length; what is not UTF-8 reads as U+FFFD. */
void student_scores(const unsigned char *text, uint32_t bytes, int32_t scores[STUDENT_LABELS]);

/* The likeliest label of a field, by number; `share` is how sure the student is, in 1/65536. */
int student_pick(const int32_t scores[STUDENT_LABELS], int field, uint32_t *share);

/* A label as text (UTF-8). */
const char *student_label(int field, int label);

#endif
