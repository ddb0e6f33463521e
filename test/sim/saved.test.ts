// Histories that are kept pass: those that once failed, shrunk, each named for what was wrong; and those that reach a branch that random
// ones reach too seldom, named for what they reach.
import { expect } from 'chai'
import { DIRECTED, keptIn, SAVED } from './kept.ts'
import { runHistory } from './run-history.ts'

for (const [what, folder] of [
  ['histories that once failed', SAVED],
  ['directed histories', DIRECTED],
] as const) {
  describe(what, () => {
    for (const { name, history } of keptIn(folder)) {
      it(name, async () => {
        const { failure, log } = await runHistory(history)
        if (failure !== null) expect.fail(`${failure}\n${log.slice(-80).join('\n')}`)
      })
    }
  })
}
