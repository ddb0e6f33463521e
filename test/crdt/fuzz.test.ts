// Random histories of lagging disks. KITH_SEED and KITH_COUNT run others or more: KITH_SEED=1 KITH_COUNT=5000 npx mocha test/crdt/fuzz.test.ts
import { expect } from 'chai'
import { History } from './support/history.ts'

const FIRST = Number(process.env['KITH_SEED'] ?? 1)
const COUNT = Number(process.env['KITH_COUNT'] ?? 120)
const FAILURES_SHOWN = 3

describe('histories of lagging disks', () => {
  for (const hard of [false, true]) {
    it(`seeds ${FIRST}–${FIRST + COUNT / 2 - 1}, ${hard ? 'hard' : 'usual'}`, function () {
      this.timeout(0)
      const failures: string[] = []
      let exact = 0
      let gaps = 0
      for (let seed = FIRST; seed < FIRST + COUNT / 2 && failures.length < FAILURES_SHOWN; seed++) {
        try {
          const outcome = new History(seed, { hard }).run()
          exact += outcome.exact
          gaps += outcome.gaps
        } catch (error) {
          failures.push(
            error instanceof Error
              ? error.message.startsWith('seed')
                ? error.message
                : `seed ${seed}: ${error.stack}`
              : String(error),
          )
        }
      }
      expect(failures.join('\n\n')).to.equal('')
      expect(exact, 'some operations were checked exactly').to.be.greaterThan(0)
      expect(gaps, 'some messages arrived before what they build on').to.be.greaterThan(0)
    })
  }

  for (const hard of [false, true]) {
    it(`seeds ${FIRST}–${FIRST + COUNT / 6 - 1}, ${hard ? 'hard' : 'usual'}, with what people ask for and do not do`, function () {
      this.timeout(0)
      let exact = 0
      let wishes = 0
      for (let seed = FIRST; seed < FIRST + COUNT / 6; seed++) {
        const outcome = new History(seed, { hard, wishes: true }).run()
        exact += outcome.exactWishes
        wishes += outcome.wishes
      }
      expect(wishes).to.be.greaterThan(exact)
      expect(exact, 'some were checked exactly').to.be.greaterThan(0)
    })
  }
})
