/* What scores mean: labels and shares, by whole numbers alone. */

/* x / 2^shift to the nearest whole number, halves upward. C99 leaves `>>` of negative numbers open; it is not used. */
static int64_t rounded(int64_t x, int shift)
{
    if (shift == 0)
        return x;
    x += (int64_t)1 << (shift - 1);
    return x >= 0 ? x >> shift : ~(~x >> shift);
}

static int32_t clipped(int64_t x)
{
    return x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : (int32_t)x;
}

/* 2^-x, of x in 1/65536, in 1/2^30: steps of 1/32 from a table, a straight line between two. */
static uint32_t power(uint64_t x)
{
    uint32_t part = (uint32_t)(x & 0xFFFF), step = part >> 11, rest = part & 0x7FF;
    uint32_t high = answer_powers[step], low = answer_powers[step + 1];
    if (x >> 16 > 30)
        return 0;
    return (high - (uint32_t)(((uint64_t)(high - low) * rest) >> 11)) >> (x >> 16);
}

int student_pick(const int32_t scores[STUDENT_LABELS], int field, uint32_t *share)
{
    uint64_t sum = 0;
    int first = 0, best, at;
    for (at = 0; at < field; at++)
        first += answer_sizes[at];
    best = first;
    for (at = first; at < first + answer_sizes[field]; at++)
        if (scores[at] > scores[best])
            best = at;
    for (at = first; at < first + answer_sizes[field]; at++) {
        uint64_t below = (uint64_t)((int64_t)scores[best] - scores[at]);
        sum += power((below * answer_heats[field]) >> 16);
    }
    *share = (uint32_t)(((uint64_t)1 << 46) / sum);
    return best - first;
}

const char *student_label(int field, int label)
{
    const char *name = (const char *)answer_names;
    int at;
    for (at = 0; at < field; at++)
        label += answer_sizes[at];
    while (label-- > 0)
        while (*name++ != 0)
            ;
    return name;
}
