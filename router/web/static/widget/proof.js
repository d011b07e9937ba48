// The proof of work: a counter behind which SHA-256 of "challenge:counter" begins with enough zero bits. Reckoned here and
// not by crypto.subtle, which is missing on pages without https and takes longer to be asked than the sum itself.
import { pause } from "./dom.js";

const WORK_MS = 12;
const K = new Int32Array(64), START = new Int32Array(8);

/** The constants of SHA-256 are the first bits of the roots of the first primes. */
function prepare() {
  const bits = (root) => ((root - Math.floor(root)) * 2 ** 32) | 0;
  for (let prime = 2, found = 0; found < 64; prime++) {
    let divisor = 2;
    while (divisor * divisor <= prime && prime % divisor) divisor++;
    if (divisor * divisor <= prime) continue;
    if (found < 8) START[found] = bits(Math.sqrt(prime));
    K[found++] = bits(Math.cbrt(prime));
  }
}

const W = new Int32Array(64);

/** One block of SHA-256: `state` is moved on by the 16 words that stand in W. */
function block(state) {
  for (let i = 16; i < 64; i++) {
    const x = W[i - 15], y = W[i - 2];
    W[i] = (W[i - 16] + W[i - 7] + (((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)) +
      (((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10))) | 0;
  }
  let a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], j = state[7];
  for (let i = 0; i < 64; i++) {
    const one = (j + (((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))) + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
    const two = ((((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    j = g; g = f; f = e; e = (d + one) | 0; d = c; c = b; b = a; a = (one + two) | 0;
  }
  state[0] += a; state[1] += b; state[2] += c; state[3] += d; state[4] += e; state[5] += f; state[6] += g; state[7] += j;
}

const state = new Int32Array(8), begun = new Int32Array(8);
let beginning = "";

function words(text, from) {
  for (let i = 0; i < 16; i++) {
    let word = 0;
    for (let place = from + i * 4; place < from + i * 4 + 4; place++) {
      word = (word << 8) | (place < text.length ? text.charCodeAt(place) : place === text.length ? 128 : 0);
    }
    W[i] = word;
  }
}

/** How many bits at the beginning of the text's SHA-256 are zero, up to 64. The text is plain ASCII, of 64 to 119 signs. */
function zeros(text) {
  // The first block is the same for many counters.
  if (!text.startsWith(beginning) || !beginning) {
    beginning = text.slice(0, 64);
    words(beginning, 0);
    state.set(START);
    block(state);
    begun.set(state);
  }
  state.set(begun);
  words(text, 64);
  W[15] = text.length * 8;
  block(state);
  return state[0] ? Math.clz32(state[0]) : 32 + Math.clz32(state[1]);
}

/** The challenge solved, a few milliseconds at a time, so that the page does not freeze; "" without one. */
export async function prove(asked) {
  if (!asked?.challenge) return "";
  if (!K[0]) prepare();
  let until = performance.now() + WORK_MS;
  // From the first that makes the text long enough.
  for (let counter = 10 ** Math.max(0, 63 - asked.challenge.length); ; counter++) {
    const proof = asked.challenge + ":" + counter;
    if (zeros(proof) >= asked.bits) return proof;
    if (counter % 64 === 0 && performance.now() > until) {
      await pause(0);
      until = performance.now() + WORK_MS;
    }
  }
}
