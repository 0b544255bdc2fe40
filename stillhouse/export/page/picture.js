/** Pictures to a student's pixel values, resized as Pillow resizes, to the last bit. */

const PRECISION = 22;
const FILTERS = {
  bilinear: [1, (x) => Math.max(0, 1 - Math.abs(x))],
  bicubic: [2, (x) => cubic(Math.abs(x), -0.5)],
  lanczos: [3, (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0)],
};

/**
 * The pixel values `[channels, height, width]` of a picture `{data, width, height}` (red, green, blue, opacity), and
 * `seen`, the picture as the student sees it.
 */
export function pixelValues(picture, { width, height, resize, crop, channels, mean, std, scale, filter }) {
  const planes = split(picture, channels);
  const [wide, high] = resize === "edge" ? shortest(picture, width, height) : [width, height];
  let size = [picture.width, picture.height];
  let resized = planes.map((plane) => resizePlane(plane, size, [wide, high], filter));
  size = [wide, high];
  if (crop) {
    resized = resized.map((plane) => centre(plane, size, crop));
    size = crop;
  }
  const area = size[0] * size[1], values = new Float32Array(channels * area);
  resized.forEach((plane, channel) => {
    for (let at = 0; at < area; at++) {
      const part = Math.fround(plane[at] * scale) - mean[channel % mean.length];
      values[channel * area + at] = Math.fround(part) / std[channel % std.length];
    }
  });
  return { values, shape: [1, channels, size[1], size[0]], seen: joined(resized, size) };
}

/** Bytes of each channel; grey weighs the colours as eyes do. */
function split({ data, width, height }, channels) {
  const area = width * height, planes = Array.from({ length: channels }, () => new Uint8Array(area));
  for (let at = 0; at < area; at++) {
    const [red, green, blue] = [data[4 * at], data[4 * at + 1], data[4 * at + 2]];
    if (channels === 1) planes[0][at] = (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16;
    else {
      planes[0][at] = red;
      planes[1][at] = green;
      planes[2][at] = blue;
    }
  }
  return planes;
}

/** The size at which the shorter edge is as wanted and the shape stays. */
function shortest({ width, height }, edge) {
  return width <= height ? [edge, Math.trunc((edge * height) / width)] : [Math.trunc((edge * width) / height), edge];
}

export function resizePlane(plane, [width, height], [wide, high], filter) {
  const across = wide === width ? plane : pass(plane, width, height, wide, weights(width, wide, filter));
  if (high === height) return across;
  const turned = transposed(across, wide, height);
  return transposed(pass(turned, height, wide, high, weights(height, high, filter)), high, wide);
}

/** Where the pixels that make each new one begin, and their integer weights. */
function weights(from, to, filter) {
  const [reach, shape] = FILTERS[filter], scale = from / to, stretch = Math.max(1, scale), support = reach * stretch;
  return Array.from({ length: to }, (_, at) => {
    const centre = (at + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5)), end = Math.min(from, Math.trunc(centre + support + 0.5));
    const raw = Array.from({ length: end - start }, (_, x) => shape((x + start - centre + 0.5) * (1 / stretch)));
    const sum = raw.reduce((one, other) => one + other, 0);
    const whole = raw.map((weight) => (weight / sum) * (1 << PRECISION));
    return { start, whole: whole.map((weight) => Math.trunc(weight < 0 ? weight - 0.5 : weight + 0.5)) };
  });
}

function pass(plane, width, rows, wide, every) {
  const made = new Uint8ClampedArray(wide * rows);
  for (let row = 0; row < rows; row++) {
    every.forEach(({ start, whole }, at) => {
      let sum = 1 << (PRECISION - 1);
      for (let x = 0; x < whole.length; x++) sum += plane[row * width + start + x] * whole[x];
      made[row * wide + at] = sum >> PRECISION;
    });
  }
  return made;
}

function transposed(plane, width, height) {
  const turned = new Uint8ClampedArray(plane.length);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) turned[x * height + y] = plane[y * width + x];
  return turned;
}

function centre(plane, [width, height], [wide, high]) {
  const left = Math.trunc((width - wide) / 2), top = Math.trunc((height - high) / 2), made = new Uint8ClampedArray(wide * high);
  for (let y = 0; y < high; y++) for (let x = 0; x < wide; x++) made[y * wide + x] = plane[(y + top) * width + x + left] ?? 0;
  return made;
}

function joined(planes, [width, height]) {
  const data = new Uint8ClampedArray(4 * width * height);
  for (let at = 0; at < width * height; at++) {
    for (let channel = 0; channel < 3; channel++) data[4 * at + channel] = planes[channel % planes.length][at];
    data[4 * at + 3] = 255;
  }
  return { data, width, height };
}

function cubic(x, a) {
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}
