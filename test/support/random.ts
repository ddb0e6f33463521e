// Seeded choices: one seed decides everything. `fork` gives a part a sequence of its own, so that one part drawing more does not
// shift what another draws. Never use Math.random in a simulation.
export interface Random {
  /** In [0, 1). */
  (): number
  /** A whole number in [0, n). */
  int(n: number): number
  chance(probability: number): boolean
  pick<T>(items: readonly T[]): T
  fork(label: string): Random
}

export function seeded(seed: number | string): Random {
  const text = String(seed)
  let a = fnv(text, 0x811c9dc5)
  let b = fnv(text, 0x9e3779b9)
  let c = fnv(text, 0x85ebca6b)
  let d = 1
  // sfc32: small, fast, and good enough for choices.
  const next = (): number => {
    const sum = (((a + b) | 0) + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    c |= 0
    return (sum >>> 0) / 4294967296
  }
  for (let warm = 0; warm < 12; warm++) next()
  return Object.assign(next, {
    int: (n: number) => Math.floor(next() * n),
    chance: (probability: number) => next() < probability,
    pick: <T>(items: readonly T[]): T => {
      const at = Math.floor(next() * items.length)
      const item = items[at]
      if (item === undefined && at >= items.length) throw new Error('nothing to pick from')
      return item as T
    },
    fork: (label: string) => seeded(`${text}/${label}`),
  })
}

function fnv(text: string, start: number): number {
  let hash = start
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash | 0
}
