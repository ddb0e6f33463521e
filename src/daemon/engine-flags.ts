// How eagerly V8 compiles. A daemon does much for a short while and then nothing: as shipped, V8 spends a fifth of the CPU of a burst on
// optimising functions that then hardly run any more (docs/performance.md has the figures). Where V8 does not know a flag, all stays as
// it is.
import { setFlagsFromString } from 'node:v8'

/** How much of a function runs, in bytes of its bytecode, before it is optimised: three times as much as V8's own. */
const INTERRUPT_BUDGET = 400_000

/** Before there are workers: they take it over. */
export function setEngineFlags(): void {
  setFlagsFromString(`--interrupt-budget=${INTERRUPT_BUDGET}`)
}
