/* The `static` student: words cut into pieces, a weighted mean of the pieces' vectors, and a small head. */

static uint32_t rows[STATIC_LONGEST]; /* the last pieces of the text, as rows of the table, in a ring */
static uint32_t row_count;
static int64_t sums[STATIC_WIDTH];
static int32_t normal[STATIC_WIDTH], hidden[STATIC_WIDTH];
static int16_t small[STATIC_WIDTH];

/* The word at hand: its characters as UTF-8. */
typedef struct {
    unsigned char bytes[4 * STATIC_LETTERS];
    uint32_t count, letters;
} word;

static void keep(uint32_t row)
{
    rows[row_count++ % STATIC_LONGEST] = row;
}

/* The longest piece that the bytes begin with, of those from `low` to before `high`, in the order of their bytes.
   Returns its row and its length, or a length of 0. */
static uint32_t longest(const unsigned char *bytes, uint32_t count, uint32_t low, uint32_t high, uint32_t *length)
{
    uint32_t at, found = 0;
    *length = 0;
    for (at = 0; at < count && low < high; at++) {
        uint32_t start = low, end = high;
        while (start < end) { /* the first piece whose next byte is not below ours */
            uint32_t middle = (start + end) / 2, from = (uint32_t)piece_starts[middle] + at;
            if (from >= piece_starts[middle + 1] || piece_bytes[from] < bytes[at])
                start = middle + 1;
            else
                end = middle;
        }
        low = start;
        end = high;
        while (start < end) { /* the first piece whose next byte is above ours */
            uint32_t middle = (start + end) / 2, from = (uint32_t)piece_starts[middle] + at;
            if (from >= piece_starts[middle + 1] || piece_bytes[from] <= bytes[at])
                start = middle + 1;
            else
                end = middle;
        }
        high = start;
        if (low < high && (uint32_t)(piece_starts[low + 1] - piece_starts[low]) == at + 1) {
            found = low;
            *length = at + 1;
        }
    }
    return found;
}

static void end_word(word *w)
{
    uint32_t pieces[STATIC_LETTERS], count = 0, at = 0, each, length;
    if (w->letters > STATIC_LETTERS) {
        keep(STATIC_UNKNOWN);
    } else {
        while (at < w->count) {
            uint32_t low = at == 0 ? 0 : STATIC_FIRST, high = at == 0 ? STATIC_FIRST : STATIC_PIECES;
            pieces[count++] = longest(w->bytes + at, w->count - at, low, high, &length);
            if (length == 0) {
                pieces[0] = STATIC_UNKNOWN;
                count = 1;
                break;
            }
            at += length;
        }
        for (each = 0; each < count; each++)
            keep(pieces[each]);
    }
    w->count = 0;
    w->letters = 0;
}

static void add_letter(word *w, uint32_t c)
{
    if (w->letters < STATIC_LETTERS)
        w->count += encode(c, w->bytes + w->count);
    w->letters++;
}

/* A character as the tokenizer normalises it. */
static void take(word *w, uint32_t c)
{
    if (IN(unicode_spaces, c)) {
        end_word(w);
    } else if (IN(unicode_alone, c)) {
        end_word(w);
        add_letter(w, c);
        end_word(w);
    } else {
        add_letter(w, c);
    }
}

/* Takes what a character becomes: itself, other characters, or nothing. */
static void normalise(word *w, uint32_t c)
{
#if UNICODE_MAPPED > 0
    uint32_t low = 0, high = UNICODE_MAPPED;
#endif
    if (IN(unicode_dropped, c))
        return;
#ifdef UNICODE_HANGUL
    if (c >= 0xAC00 && c <= 0xD7A3) {
        uint32_t at = c - 0xAC00;
        take(w, 0x1100 + at / 588);
        take(w, 0x1161 + at % 588 / 28);
        if (at % 28 != 0)
            take(w, 0x11A7 + at % 28);
        return;
    }
#endif
#if UNICODE_MAPPED > 0
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (unicode_from[middle] < c)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < UNICODE_MAPPED && unicode_from[low] == c) {
        uint32_t at = unicode_at[low], end = at + unicode_lengths[low], taken;
        for (; at < end; at += taken)
            take(w, character(unicode_to + at, end - at, &taken));
        return;
    }
#endif
    take(w, c);
}

/* The special token that the bytes begin with, and its length, or a length of 0. */
static uint32_t special(const unsigned char *text, uint32_t bytes, uint32_t *length)
{
    uint32_t row = 0;
#if STATIC_SPECIAL > 0
    uint32_t at;
#endif
    *length = 0;
#if STATIC_SPECIAL > 0
    for (at = 0; at < STATIC_SPECIAL; at++) {
        uint32_t size = (uint32_t)(special_starts[at + 1] - special_starts[at]);
        if (size > *length && size <= bytes && memcmp(text, special_bytes + special_starts[at], size) == 0) {
            *length = size;
            row = special_rows[at];
        }
    }
#else
    (void)text;
    (void)bytes;
#endif
    return row;
}

static void read_text(const unsigned char *text, uint32_t bytes)
{
    uint32_t at = 0, taken;
    word w;
    w.count = 0;
    w.letters = 0;
    row_count = 0;
    while (at < bytes) {
        uint32_t row = special(text + at, bytes - at, &taken);
        if (taken != 0) {
            end_word(&w);
            keep(row);
        } else {
            normalise(&w, character(text + at, bytes - at, &taken));
        }
        at += taken;
    }
    end_word(&w);
}

static uint64_t add_row(uint32_t row)
{
    int64_t factor = (int64_t)static_weights[row] * static_scales[row];
    const signed char *vector = static_vectors + row * STATIC_WIDTH;
    uint32_t at;
    for (at = 0; at < STATIC_WIDTH; at++)
        sums[at] += factor * vector[at];
    return static_weights[row];
}

/* The weighted mean, moved and stretched to mean 0 and deviation 1 (layer norm), in 1/65536. */
static void mean(void)
{
    uint32_t at, count = row_count < STATIC_LONGEST ? row_count : STATIC_LONGEST;
    int64_t all = 0, middle = 0, deviation;
    uint64_t squares = 0;
    for (at = 0; at < STATIC_WIDTH; at++)
        sums[at] = 0;
    for (at = 0; at < count; at++)
        all += (int64_t)add_row(rows[at]);
#if STATIC_ADDED > 0
    for (at = 0; at < STATIC_ADDED; at++)
        all += (int64_t)add_row(static_added[at]);
#else
    if (count == 0)
        all += (int64_t)add_row(STATIC_EMPTY);
#endif
    for (at = 0; at < STATIC_WIDTH; at++) {
        sums[at] = sums[at] * 16 / all;
        middle += sums[at];
    }
    middle /= STATIC_WIDTH;
    for (at = 0; at < STATIC_WIDTH; at++) {
        sums[at] -= middle;
        squares += (uint64_t)(sums[at] * sums[at]);
    }
    deviation = (int64_t)root(squares / STATIC_WIDTH + STATIC_EPSILON);
    if (deviation == 0)
        deviation = 1;
    for (at = 0; at < STATIC_WIDTH; at++) {
        int64_t unit = sums[at] * 65536 / deviation;
        normal[at] = clipped(rounded(unit * static_gains[at], 16) + static_offsets[at]);
    }
}

/* Numbers of 32 bits as numbers of 16 that share a power of two, which is returned. */
static int fit(const int32_t *from)
{
    int64_t most = 0;
    int shift = 0;
    uint32_t at;
    for (at = 0; at < STATIC_WIDTH; at++) {
        int64_t size = from[at] < 0 ? -(int64_t)from[at] : from[at];
        most = size > most ? size : most;
    }
    while (rounded(most, shift) > 32767)
        shift++;
    for (at = 0; at < STATIC_WIDTH; at++)
        small[at] = (int16_t)rounded(from[at], shift);
    return shift;
}

/* A row of int8 weights times the numbers in `small`. */
static int32_t product(const signed char *weights)
{
    int32_t sum = 0;
    uint32_t at;
    for (at = 0; at < STATIC_WIDTH; at++)
        sum += (int32_t)weights[at] * small[at];
    return sum;
}

/* scores = head(normal + relu(hidden(normal))) */
void student_scores(const unsigned char *text, uint32_t bytes, int32_t scores[STUDENT_LABELS])
{
    uint32_t at;
    int shift;
    read_text(text, bytes);
    mean();
    shift = fit(normal);
    for (at = 0; at < STATIC_WIDTH; at++) {
        int64_t sum = (int64_t)product(static_hidden + at * STATIC_WIDTH) * hidden_multipliers[at];
        int64_t value = rounded(sum, HIDDEN_SHIFT - shift) + hidden_biases[at];
        hidden[at] = clipped(value > 0 ? normal[at] + value : normal[at]);
    }
    shift = fit(hidden);
    for (at = 0; at < STUDENT_LABELS; at++) {
        int64_t sum = (int64_t)product(static_head + at * STATIC_WIDTH) * head_multipliers[at];
        scores[at] = clipped(rounded(sum, HEAD_SHIFT - shift) + head_biases[at]);
    }
}
