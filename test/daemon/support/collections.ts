// What Node tells of V8's collections.
import type { PerformanceEntry } from 'node:perf_hooks'

/** A collection of the whole heap. */
export const MAJOR = 4

/** The types have nothing of it. */
export function kindOf(entry: PerformanceEntry): number {
  return (entry as PerformanceEntry & { detail: { kind: number } }).detail.kind
}
