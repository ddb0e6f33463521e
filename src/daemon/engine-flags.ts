// How eagerly V8 compiles and collects. A daemon does much for a short while and then nothing: as shipped, V8 spends a fifth of the CPU of
// a burst on optimising functions that then hardly run any more, and lets the heap grow to half a gigabyte before it collects it for the
// first time, which leaves holes that it never gives back (docs/performance.md has the figures). Where V8 does not know a flag, all
// stays as it is.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** How much of a function runs, in bytes of its bytecode, before it is optimised: three times as much as V8's own. */
const INTERRUPT_BUDGET = 400_000
/** How much of what a collection left may be added before the next. At half of that a burst of small files took 8 % more CPU. */
const HEAP_GROWING_PERCENT = 100

/** Before there are workers: they take it over. */
export function setEngineFlags(): void {
  setFlagsFromString(`--interrupt-budget=${INTERRUPT_BUDGET}`)
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`)
  // What a burst left is given back by HeapTrim: V8's own look at an idle heap is left for what that one misses.
  setFlagsFromString('--memory-reducer-single-gc')
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('globalThis.gc')
  // The share counts from the first collection on; now there is little to look at.
  if (typeof collect === 'function') collect()
}
