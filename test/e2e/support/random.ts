// Seeded randomness: the same bytes and choices for the same seed. `KITH_E2E_SEED` repeats a run; the seed is printed once.
const { KITH_E2E_SEED: given } = process.env
const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given)
console.log(`  e2e seed ${seed} (KITH_E2E_SEED)`)

let state = seed >>> 0

/** A number in [0, 1) (mulberry32). */
export function random(): number {
  state = (state + 0x6d2b79f5) >>> 0
  let t = state
  t = Math.imul(t ^ (t >>> 15), t | 1)
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
}

export function randomBytes(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let at = 0
  while (at + 4 <= length) {
    bytes.writeUInt32LE(Math.floor(random() * 2 ** 32), at)
    at += 4
  }
  while (at < length) bytes[at++] = Math.floor(random() * 256)
  return bytes
}
