/** Text to a student's ids, exactly as it was read in training. The tables of characters come from there too. */

const WORD = 1, SPACE = 2, UNASSIGNED = 4, PUNCTUATION = 8, DROPPED = 16, APART = 32, SYLLABLE = 64;
const FLAGS = { word: WORD, space: SPACE, unassigned: UNASSIGNED, punctuation: PUNCTUATION, dropped: DROPPED, apart: APART, syllable: SYLLABLE };
const EVERY = 0x110000;

/** What is known of every character: one bit for each kind. `tables` hold lengths of runs: without, with, without, ... */
export class Characters {
  constructor(tables) {
    this.bits = new Uint8Array(EVERY);
    for (const [kind, runs] of Object.entries(tables)) {
      let at = 0;
      runs.forEach((length, index) => {
        if (index % 2) for (let point = at; point < at + length; point++) this.bits[point] |= FLAGS[kind];
        at += length;
      });
    }
  }

  is(kind, character) {
    return (this.bits[character.codePointAt(0)] & kind) !== 0;
  }

  /** A text without white space at its ends, as Python's `strip` takes it. */
  strip(text) {
    const characters = Array.from(text);
    let start = 0, end = characters.length;
    while (start < end && this.is(SPACE, characters[start])) start++;
    while (end > start && this.is(SPACE, characters[end - 1])) end--;
    return characters.slice(start, end).join("");
  }
}

/** What opens a reader as `described`; `load` gets files beside it. */
export async function openReader(described, characters, load) {
  if (described.kind === "ngrams") return new NgramReader(described, characters);
  if (described.kind === "wordpiece") return new WordPieceReader(described);
  const { Tokenizer } = await import("./tokenizers.js");
  const json = (name) => load(name).then((bytes) => JSON.parse(new TextDecoder().decode(bytes)));
  return new LibraryReader(described, new Tokenizer(await json(described.tokenizer), {}));
}

/** Hashed words, word pairs and pieces of 3 to 5 characters. */
export class NgramReader {
  constructor({ buckets, limit }, characters) {
    this.buckets = buckets;
    this.limit = limit;
    this.characters = characters;
    this.encoder = new TextEncoder();
  }

  read(text) {
    const words = this.words(this.lower(text));
    const grams = new Set(words.map((word) => "w" + word));
    for (let at = 1; at < words.length; at++) grams.add(`p${words[at - 1]} ${words[at]}`);
    for (const word of words) {
      const padded = Array.from(` ${word} `);
      for (let size = 3; size <= 5; size++) {
        for (let start = 0; start + size <= padded.length; start++) grams.add(padded.slice(start, start + size).join(""));
      }
    }
    const ids = Uint32Array.from(grams, (gram) => (crc32(this.encoder.encode(gram)) % (this.buckets - 1)) + 1).sort();
    return ids.length ? Array.from(ids.subarray(0, this.limit)) : [0];
  }

  /** Small letters; characters that training did not know stay as they are, even where the browser knows them. */
  lower(text) {
    let lowered = "", known = "";
    for (const character of text) {
      if (this.characters.is(UNASSIGNED, character)) {
        lowered += known.toLowerCase() + character;
        known = "";
      } else known += character;
    }
    return lowered + known.toLowerCase();
  }

  words(text) {
    const words = [];
    let word = "";
    for (const character of text) {
      if (this.characters.is(WORD, character)) word += character;
      else {
        if (word) words.push(word);
        word = "";
        if (!this.characters.is(SPACE, character)) words.push(character);
      }
    }
    if (word) words.push(word);
    return words;
  }
}

/** BERT's way: letters made plain, words cut at spaces and punctuation, each into the longest pieces that are known. */
export class WordPieceReader {
  constructor(described) {
    this.described = described;
    this.limit = described.limit;
    this.characters = new Characters(described.characters);
    this.vocabulary = new Map(described.vocabulary.map((token, id) => [token, id]));
    this.plain = new Map(Object.entries(described.plain));
    this.special = described.special.map(([token]) => token);
  }

  read(text) {
    const { before, after, limit, keep } = this.described;
    return framed(this.pieces(text), before, after, limit, keep);
  }

  pieces(text) {
    const ids = [];
    for (const part of this.parts(text)) {
      if (typeof part === "number") ids.push(part);
      else for (const word of this.words(this.normal(part))) ids.push(...this.cut(word));
    }
    return ids;
  }

  /** The text around special tokens, and their ids in its place; the leftmost comes first, the longest of several. */
  *parts(text) {
    let rest = 0;
    for (let at = 0; at < text.length; ) {
      let found = null;
      for (const [token, id] of this.described.special) {
        if (text.startsWith(token, at) && (!found || token.length > found[0].length)) found = [token, id];
      }
      if (!found) at++;
      else {
        if (at > rest) yield text.slice(rest, at);
        yield found[1];
        rest = at += found[0].length;
      }
    }
    if (rest < text.length) yield text.slice(rest);
  }

  normal(text) {
    let normal = "";
    for (const character of text) {
      if (this.characters.is(DROPPED, character)) continue;
      const plain = this.plain.get(character) ?? (this.characters.is(SYLLABLE, character) ? character.normalize("NFD") : character);
      normal += this.characters.is(APART, character) ? ` ${plain} ` : plain;
    }
    return normal;
  }

  words(text) {
    const words = [];
    let word = "";
    for (const character of text) {
      const space = this.characters.is(SPACE, character);
      if (!space && !this.characters.is(PUNCTUATION, character)) word += character;
      else {
        if (word) words.push(word);
        word = "";
        if (!space) words.push(character);
      }
    }
    if (word) words.push(word);
    return words;
  }

  cut(word) {
    const { unknown, prefix, longest } = this.described;
    const characters = Array.from(word), ids = [];
    if (characters.length > longest) return [unknown];
    for (let start = 0; start < characters.length; ) {
      let end = characters.length, id;
      for (; end > start; end--) {
        id = this.vocabulary.get((start ? prefix : "") + characters.slice(start, end).join(""));
        if (id !== undefined) break;
      }
      if (end === start) return [unknown];
      ids.push(id);
      start = end;
    }
    return ids;
  }
}

/** Any other tokenizer, read by the tokenizers library for browsers. */
export class LibraryReader {
  constructor(described, tokenizer) {
    this.described = described;
    this.limit = described.limit;
    this.tokenizer = tokenizer;
  }

  read(text) {
    const { before, after, limit, keep } = this.described;
    return framed(this.tokenizer.encode(text, { add_special_tokens: false }).ids, before, after, limit, keep);
  }
}

/** Ids with those that come before and after every text, at most `limit` in all; the start or the end is kept. */
function framed(ids, before, after, limit, keep) {
  const room = Math.max(0, limit - before.length - after.length);
  const kept = ids.length <= room ? ids : keep === "end" ? ids.slice(ids.length - room) : ids.slice(0, room);
  const all = [...before, ...kept, ...after];
  return all.length ? all : [0];
}

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

function crc32(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = CRC[(sum ^ byte) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}
