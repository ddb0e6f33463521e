// The figures that scenarios print: what was measured, beside the test that holds it to a bound.

/** One line below the running test. */
export function figure(text: string): void {
  console.log(`      · ${text}`)
}

/** The value below which `share` (0–1) of the samples lie: nearest rank. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  const value = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
  if (value === undefined) throw new Error('no samples')
  return value
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

/** Runs `work` and says how long it took. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}
