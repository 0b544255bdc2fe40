/* Text as characters, and sets of them; and what readers of either kind compute. */

/* The next character of UTF-8, and how many bytes it took; what is no character reads as U+FFFD, as in Python. */
static uint32_t character(const unsigned char *text, uint32_t bytes, uint32_t *taken)
{
    uint32_t value = text[0], low = 0x80, high = 0xBF, more, at;
    *taken = 1;
    if (value < 0x80)
        return value;
    if (value < 0xC2 || value > 0xF4)
        return 0xFFFD;
    if (value == 0xE0)
        low = 0xA0;
    if (value == 0xED)
        high = 0x9F;
    if (value == 0xF0)
        low = 0x90;
    if (value == 0xF4)
        high = 0x8F;
    more = value < 0xE0 ? 1 : value < 0xF0 ? 2 : 3;
    value &= 0x3Fu >> more;
    for (at = 1; at <= more; at++) {
        if (at >= bytes || text[at] < low || text[at] > high)
            return 0xFFFD;
        value = value << 6 | (text[at] & 0x3Fu);
        low = 0x80;
        high = 0xBF;
        *taken = at + 1;
    }
    return value;
}

/* A character as UTF-8; returns how many bytes it took. */
static uint32_t encode(uint32_t c, unsigned char bytes[4])
{
    if (c < 0x80) {
        bytes[0] = (unsigned char)c;
        return 1;
    }
    if (c < 0x800) {
        bytes[0] = (unsigned char)(0xC0 | c >> 6);
        bytes[1] = (unsigned char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        bytes[0] = (unsigned char)(0xE0 | c >> 12);
        bytes[1] = (unsigned char)(0x80 | (c >> 6 & 0x3F));
        bytes[2] = (unsigned char)(0x80 | (c & 0x3F));
        return 3;
    }
    bytes[0] = (unsigned char)(0xF0 | c >> 18);
    bytes[1] = (unsigned char)(0x80 | (c >> 12 & 0x3F));
    bytes[2] = (unsigned char)(0x80 | (c >> 6 & 0x3F));
    bytes[3] = (unsigned char)(0x80 | (c & 0x3F));
    return 4;
}

/* Whether a set has a character. A set is the distances between the places where it begins and ends, 7 bits a byte. */
static int in_set(const unsigned char *set, uint32_t bytes, uint32_t c)
{
    uint32_t at = 0, edge = 0;
    int inside = 0;
    while (at < bytes) {
        uint32_t shift = 0;
        do {
            edge += (uint32_t)(set[at] & 0x7F) << shift;
            shift += 7;
        } while (set[at++] & 0x80);
        if (c < edge)
            return inside;
        inside = !inside;
    }
    return 0;
}

#define IN(set, c) in_set(set, (uint32_t)sizeof(set), c)

/* The root of a number, rounded down: one bit after the other. */
static uint64_t root(uint64_t x)
{
    uint64_t found = 0, bit = (uint64_t)1 << 62;
    while (bit > x)
        bit >>= 2;
    for (; bit != 0; bit >>= 2) {
        if (x >= found + bit) {
            x -= found + bit;
            found = (found >> 1) + bit;
        } else {
            found >>= 1;
        }
    }
    return found;
}
