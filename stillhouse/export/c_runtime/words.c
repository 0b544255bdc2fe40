/* The `words` student: hashed n-grams of words and characters, one row of a table for each, and their sum. */

/* Two hashes of the same bytes: a CRC-32, which picks the row, and an FNV-1a, which tells grams apart beside it. */
typedef struct {
    uint32_t crc, fnv;
} hash;

static hash seen[WORDS_LIMIT]; /* the grams of the text, each once, by row; of too many the lowest rows */
static uint32_t seen_count;

static const uint32_t crc_steps[16] = {
    0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
    0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu};

static hash empty(void)
{
    hash h;
    h.crc = 0xFFFFFFFFu;
    h.fnv = 2166136261u;
    return h;
}

static hash extended(hash h, const unsigned char *bytes, uint32_t count)
{
    uint32_t at;
    for (at = 0; at < count; at++) {
        h.crc ^= bytes[at];
        h.crc = h.crc >> 4 ^ crc_steps[h.crc & 15];
        h.crc = h.crc >> 4 ^ crc_steps[h.crc & 15];
        h.fnv = (h.fnv ^ bytes[at]) * 16777619u;
    }
    return h;
}

static uint32_t row_of(hash h)
{
    return ~h.crc % (WORDS_BUCKETS - 1) + 1;
}

static int before(hash one, hash other)
{
    uint32_t mine = row_of(one), its = row_of(other);
    if (mine != its)
        return mine < its;
    return one.crc != other.crc ? one.crc < other.crc : one.fnv < other.fnv;
}

static void see(hash gram)
{
    uint32_t low = 0, high = seen_count, at;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (before(seen[middle], gram))
            low = middle + 1;
        else
            high = middle;
    }
    if (low < seen_count && seen[low].crc == gram.crc && seen[low].fnv == gram.fnv)
        return;
    if (seen_count == WORDS_LIMIT) {
        if (low == WORDS_LIMIT)
            return;
        seen_count--;
    }
    for (at = seen_count; at > low; at--)
        seen[at] = seen[at - 1];
    seen[low] = gram;
    seen_count++;
}

/* The text as far as it was read: the word at hand, the one before it, and the last characters with their lengths. */
typedef struct {
    hash word, pair, next_pair;
    unsigned char last[5][4];
    uint32_t lengths[5], characters;
    int open, paired;
} reader;

static void push(reader *r, const unsigned char *bytes, uint32_t count)
{
    uint32_t at, size;
    for (at = 0; at < 4; at++) {
        memcpy(r->last[at], r->last[at + 1], 4);
        r->lengths[at] = r->lengths[at + 1];
    }
    memcpy(r->last[4], bytes, count);
    r->lengths[4] = count;
    r->characters++;
    for (size = 3; size <= 5 && size <= r->characters; size++) {
        hash h = empty();
        for (at = 5 - size; at < 5; at++)
            h = extended(h, r->last[at], r->lengths[at]);
        see(h);
    }
}

static void end_word(reader *r)
{
    static const unsigned char space[1] = {' '};
    if (!r->open)
        return;
    push(r, space, 1);
    see(r->word);
    if (r->paired)
        see(r->pair);
    r->pair = extended(r->next_pair, space, 1);
    r->paired = 1;
    r->open = 0;
}

static void begin_word(reader *r)
{
    static const unsigned char marks[3] = {'w', 'p', ' '};
    r->word = extended(empty(), marks, 1);
    r->next_pair = extended(empty(), marks + 1, 1);
    r->characters = 0;
    push(r, marks + 2, 1);
    r->open = 1;
}

static void add_letter(reader *r, uint32_t c)
{
    unsigned char bytes[4];
    uint32_t count = encode(c, bytes);
    r->word = extended(r->word, bytes, count);
    r->next_pair = extended(r->next_pair, bytes, count);
    r->pair = extended(r->pair, bytes, count);
    push(r, bytes, count);
}

static int is_word(uint32_t c)
{
    if (c < 128)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    return IN(unicode_words, c);
}

static int is_space(uint32_t c)
{
    return c < 128 ? c == ' ' || (c >= 9 && c <= 13) || (c >= 28 && c <= 31) : IN(unicode_spaces, c);
}

/* A character in lower case. */
static void take(reader *r, uint32_t c)
{
    if (is_word(c)) {
        if (!r->open)
            begin_word(r);
        add_letter(r, c);
        return;
    }
    end_word(r);
    if (!is_space(c)) {
        begin_word(r);
        add_letter(r, c);
        end_word(r);
    }
}

static uint32_t lower(uint32_t c)
{
    uint32_t at;
    if (c < 128)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    for (at = 0; at < sizeof unicode_lower / sizeof unicode_lower[0]; at++) {
        const uint32_t *run = unicode_lower[at]; /* first, last, distance from one to the next, what is added */
        if (c >= run[0] && c <= run[1] && (c - run[0]) % run[2] == 0)
            return c + run[3];
    }
    return c;
}

/* Whether a capital sigma ends its word: letters with case before it, none after it, marks between do not count. */
static int ends_word(const unsigned char *text, uint32_t bytes, int cased_before)
{
    uint32_t at = 0, taken;
    while (cased_before && at < bytes) {
        uint32_t c = character(text + at, bytes - at, &taken);
        if (!IN(unicode_ignorable, c))
            return !IN(unicode_cased, c);
        at += taken;
    }
    return cased_before;
}

static void read_text(const unsigned char *text, uint32_t bytes)
{
    uint32_t at = 0, taken;
    int cased = 0;
    reader r;
    memset(&r, 0, sizeof r);
    seen_count = 0;
    while (at < bytes) {
        uint32_t c = character(text + at, bytes - at, &taken);
        at += taken;
        if (c == 0x3A3) {
            take(&r, ends_word(text + at, bytes - at, cased) ? 0x3C2 : 0x3C3);
        } else if (c == 0x130) {
            take(&r, 'i');
            take(&r, 0x307);
        } else {
            take(&r, lower(c));
        }
        if (!IN(unicode_ignorable, c))
            cased = IN(unicode_cased, c);
    }
    end_word(&r);
}

/* Where a row lies in the table; rows of zeros alone are left out of it. Returns -1 for such a row. */
static int32_t place_of(uint32_t row)
{
#ifdef WORDS_SPARSE
    uint32_t group = row / 32, bits = words_there[group] & (((uint32_t)1 << (row % 32)) - 1), count = words_before[group];
    if (!(words_there[group] >> (row % 32) & 1))
        return -1;
    for (; bits != 0; bits &= bits - 1)
        count++;
    return (int32_t)count;
#else
    return (int32_t)row;
#endif
}

/* scores = multiplier * sum of rows / sqrt(count) + bias */
void student_scores(const unsigned char *text, uint32_t bytes, int32_t scores[STUDENT_LABELS])
{
    uint32_t at, label, count;
    int64_t share;
    read_text(text, bytes);
    count = seen_count > 0 ? seen_count : 1;
    share = (int64_t)root(((uint64_t)1 << 60) / count); /* 2^30 / sqrt(count) */
    for (label = 0; label < STUDENT_LABELS; label++)
        scores[label] = 0;
    for (at = 0; at < count; at++) {
        int32_t place = place_of(seen_count > 0 ? row_of(seen[at]) : 0);
        for (label = 0; place >= 0 && label < STUDENT_LABELS; label++)
            scores[label] += words_table[(uint32_t)place * STUDENT_LABELS + label];
    }
    for (label = 0; label < STUDENT_LABELS; label++) {
        int64_t sum = rounded((int64_t)scores[label] * words_multipliers[label], WORDS_SHIFT);
        scores[label] = clipped(rounded(sum * share, WORDS_BITS + 14) + words_bias[label]);
    }
}
