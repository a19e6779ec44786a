/*
 * Z85 (ZeroMQ RFC 32) with CometD's padding: bytes as text, for the binary extension.
 * Pure. Encoding takes any length; the text of n bytes has ⌈n·5/4⌉ characters.
 */
import type { Bytes } from "./types.js";

const ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
const VALUES = new Map([...ALPHABET].map((character, value) => [character, value]));

const toBytes = (bytes: Bytes): Uint8Array => {
  if (Array.isArray(bytes)) return Uint8Array.from(bytes);
  return ArrayBuffer.isView(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : new Uint8Array(bytes);
};

/** The digits of a number in a base, most significant first. */
const digits = (value: number, base: number, count: number): number[] =>
  Array.from({ length: count }, (_, place) => Math.floor(value / base ** (count - 1 - place)) % base);

export const Z85 = {
  encode(data: Bytes): string {
    const bytes = toBytes(data);
    let text = "";
    for (let start = 0; start < bytes.length; start += 4) {
      const group = bytes.subarray(start, start + 4);
      const value = [0, 1, 2, 3].reduce((sum, at) => sum * 256 + (group[at] ?? 0), 0);
      text += digits(value, 85, 5).slice(0, group.length + 1).map((digit) => ALPHABET[digit]).join("");
    }
    return text;
  },

  decode(text: string): ArrayBuffer {
    const bytes: number[] = [];
    for (let start = 0; start < text.length; start += 5) {
      const group = text.slice(start, start + 5);
      // The highest digit as padding, so that the bytes that were cut off cannot round down the others.
      const value = [...group.padEnd(5, "#")].reduce((sum, character) => {
        const digit = VALUES.get(character);
        if (digit === undefined) throw new Error("Not Z85: " + character);
        return sum * 85 + digit;
      }, 0);
      bytes.push(...digits(value, 256, 4).slice(0, group.length - 1));
    }
    return Uint8Array.from(bytes).buffer;
  },
};
