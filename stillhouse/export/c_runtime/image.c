/* A network of convolutions on int8 maps [row][column][channel], step by step through one buffer. */

typedef char an_int_has_32_bits[sizeof(int) >= 4 ? 1 : -1];

static signed char arena[IMAGE_ARENA];

/* One step of the network: what it reads, what it writes, and where its weights lie. */
typedef struct {
    int kind;                                     /* one of the STEP_ numbers */
    int from, other, to;                          /* places in the arena */
    int rows, columns, channels;                  /* of what is read */
    int to_rows, to_columns, to_channels;         /* of what is written */
    int height, width, down, across, top, left;   /* of the window: size, stride, padding */
    int zero, to_zero, low, high;                 /* the numbers that stand for 0; the least and the largest written */
    int weights, constants;                       /* where its weights and its constants begin */
} step;

static const step image_steps[] = {IMAGE_STEPS};

#ifdef IMAGE_WRITES
/* (sum * multiplier) / 2^shift + zero, kept between low and high */
static signed char written(const step *s, int32_t sum, const int32_t *scale)
{
    int64_t value = rounded((int64_t)sum * scale[0], (int)scale[1]) + s->to_zero;
    return (signed char)(value < s->low ? s->low : value > s->high ? s->high : value);
}

#endif

#ifdef IMAGE_WINDOWS
/* The part of a window that lies inside a map of `size`: from its first place to before its last. */
static void inside(int begin, int window, int size, int *first, int *last)
{
    *first = begin < 0 ? -begin : 0;
    *last = begin + window > size ? size - begin : window;
}
#endif

#ifdef IMAGE_CONV
/* Constants of a channel: bias, multiplier, shift. Weights: [channel out][row][column][channel in]. */
static void conv(const step *s)
{
    const signed char *from = arena + s->from;
    signed char *to = arena + s->to;
    int y, x, o, j, k, i, first_row, last_row, first, last;
    for (y = 0; y < s->to_rows; y++) {
        int row = y * s->down - s->top;
        inside(row, s->height, s->rows, &first_row, &last_row);
        for (x = 0; x < s->to_columns; x++) {
            int column = x * s->across - s->left;
            inside(column, s->width, s->columns, &first, &last);
            for (o = 0; o < s->to_channels; o++) {
                const int32_t *constants = image_constants + s->constants + 3 * o;
                const signed char *kernel = image_weights + s->weights + o * s->height * s->width * s->channels;
                int32_t sum = constants[0];
                for (j = first_row; j < last_row; j++)
                    for (k = first; k < last; k++) {
                        const signed char *values = from + ((row + j) * s->columns + column + k) * s->channels;
                        const signed char *weights = kernel + (j * s->width + k) * s->channels;
                        for (i = 0; i < s->channels; i++)
                            sum += (values[i] - s->zero) * weights[i];
                    }
                *to++ = written(s, sum, constants + 1);
            }
        }
    }
}
#endif

#ifdef IMAGE_DEPTHWISE
/* Each channel by itself. Constants of a channel: bias, multiplier, shift. Weights: [row][column][channel]. */
static void depthwise(const step *s)
{
    const signed char *from = arena + s->from;
    signed char *to = arena + s->to;
    int y, x, o, j, k, first_row, last_row, first, last;
    for (y = 0; y < s->to_rows; y++) {
        int row = y * s->down - s->top;
        inside(row, s->height, s->rows, &first_row, &last_row);
        for (x = 0; x < s->to_columns; x++) {
            int column = x * s->across - s->left;
            inside(column, s->width, s->columns, &first, &last);
            for (o = 0; o < s->channels; o++) {
                const int32_t *constants = image_constants + s->constants + 3 * o;
                int32_t sum = constants[0];
                for (j = first_row; j < last_row; j++)
                    for (k = first; k < last; k++)
                        sum += (from[((row + j) * s->columns + column + k) * s->channels + o] - s->zero) *
                               image_weights[s->weights + (j * s->width + k) * s->channels + o];
                *to++ = written(s, sum, constants + 1);
            }
        }
    }
}
#endif

#ifdef IMAGE_MAX
static void largest(const step *s)
{
    const signed char *from = arena + s->from;
    signed char *to = arena + s->to;
    int y, x, o, j, k, first_row, last_row, first, last;
    for (y = 0; y < s->to_rows; y++) {
        int row = y * s->down - s->top;
        inside(row, s->height, s->rows, &first_row, &last_row);
        for (x = 0; x < s->to_columns; x++) {
            int column = x * s->across - s->left;
            inside(column, s->width, s->columns, &first, &last);
            for (o = 0; o < s->channels; o++) {
                int most = s->low;
                for (j = first_row; j < last_row; j++)
                    for (k = first; k < last; k++) {
                        int value = from[((row + j) * s->columns + column + k) * s->channels + o];
                        most = value > most ? value : most;
                    }
                *to++ = (signed char)(most > s->high ? s->high : most);
            }
        }
    }
}
#endif

#ifdef IMAGE_MEAN
/* Constants: multiplier and shift, by which the sum over a window becomes its mean. */
static void mean(const step *s)
{
    const signed char *from = arena + s->from;
    signed char *to = arena + s->to;
    int y, x, o, j, k, first_row, last_row, first, last;
    for (y = 0; y < s->to_rows; y++) {
        int row = y * s->down - s->top;
        inside(row, s->height, s->rows, &first_row, &last_row);
        for (x = 0; x < s->to_columns; x++) {
            int column = x * s->across - s->left;
            inside(column, s->width, s->columns, &first, &last);
            for (o = 0; o < s->channels; o++) {
                int32_t sum = 0;
                for (j = first_row; j < last_row; j++)
                    for (k = first; k < last; k++)
                        sum += from[((row + j) * s->columns + column + k) * s->channels + o] - s->zero;
                *to++ = written(s, sum, image_constants + s->constants);
            }
        }
    }
}
#endif

#ifdef IMAGE_ADD
/* Two maps of one shape. Constants: a multiplier for each, one shift, and the number that stands for 0 in the second. */
static void add(const step *s)
{
    const int32_t *constants = image_constants + s->constants;
    const signed char *from = arena + s->from, *other = arena + s->other;
    signed char *to = arena + s->to;
    int at, count = s->rows * s->columns * s->channels;
    for (at = 0; at < count; at++) {
        int32_t one = (from[at] - s->zero) * constants[0], two = (other[at] - (int)constants[3]) * constants[1];
        int64_t value = rounded((int64_t)one + two, (int)constants[2]) + s->to_zero;
        to[at] = (signed char)(value < s->low ? s->low : value > s->high ? s->high : value);
    }
}
#endif

#ifdef IMAGE_CLAMP
static void clamp(const step *s)
{
    int at, count = s->rows * s->columns * s->channels;
    for (at = 0; at < count; at++) {
        int value = arena[s->from + at];
        arena[s->to + at] = (signed char)(value < s->low ? s->low : value > s->high ? s->high : value);
    }
}
#endif

/* The last layer: its sums as scores in 1/65536. Constants of a label: bias, multiplier, shift. */
static void score(const step *s, int32_t *scores)
{
    const signed char *from = arena + s->from;
    int o, i, count = s->rows * s->columns * s->channels;
    for (o = 0; o < s->to_channels; o++) {
        const int32_t *constants = image_constants + s->constants + 3 * o;
        int32_t sum = constants[0];
        for (i = 0; i < count; i++)
            sum += (from[i] - s->zero) * image_weights[s->weights + o * count + i];
        scores[o] = clipped(rounded((int64_t)sum * constants[1], (int)constants[2]));
    }
}

/* Constants of a channel: multiplier and offset, by which a byte becomes a number of the first map, in 1/65536. */
static void read_pixels(const unsigned char *pixels)
{
    int at;
    for (at = 0; at < STUDENT_PIXELS; at++) {
        const int32_t *constants = image_constants + 2 * (at % STUDENT_CHANNELS);
        int64_t value = rounded((int64_t)pixels[at] * constants[0] + constants[1], 16);
        arena[IMAGE_FIRST + at] = (signed char)(value < -128 ? -128 : value > 127 ? 127 : value);
    }
}

void student_scores(const unsigned char pixels[STUDENT_PIXELS], int32_t scores[STUDENT_LABELS])
{
    const step *s = image_steps, *end = image_steps + sizeof image_steps / sizeof image_steps[0];
    read_pixels(pixels);
    for (; s < end; s++)
        switch (s->kind) {
#ifdef IMAGE_CONV
        case STEP_CONV:
            conv(s);
            break;
#endif
#ifdef IMAGE_DEPTHWISE
        case STEP_DEPTHWISE:
            depthwise(s);
            break;
#endif
#ifdef IMAGE_MAX
        case STEP_MAX:
            largest(s);
            break;
#endif
#ifdef IMAGE_MEAN
        case STEP_MEAN:
            mean(s);
            break;
#endif
#ifdef IMAGE_ADD
        case STEP_ADD:
            add(s);
            break;
#endif
#ifdef IMAGE_CLAMP
        case STEP_CLAMP:
            clamp(s);
            break;
#endif
        default:
            score(s, scores);
        }
}
