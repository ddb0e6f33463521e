// Every mutant still fits the source it is a mutant of, and its history has nothing to say against the unchanged source. That each one is
// caught is seen by `npm run test:sim -- --mutants`.
import { readdirSync, readFileSync } from 'node:fs'
import { expect } from 'chai'
import { runHistory } from '../run-history.ts'
import { edited } from './copy.ts'
import { MUTANTS } from './list.ts'
import { SAVED, type Saved } from './mutant.ts'

describe('mutants', () => {
  it('are at least 25, each with a name of its own and one saved history', () => {
    const names = MUTANTS.map(mutant => mutant.name)
    expect(new Set(names).size).to.equal(names.length)
    expect(names.length).to.be.at.least(25)
    expect(readdirSync(SAVED).sort()).to.deep.equal(names.map(name => `${name}.json`).sort())
  })

  for (const mutant of MUTANTS) {
    it(`${mutant.name.replaceAll('-', ' ')}: fits the source, which passes its history`, async () => {
      const files = edited(mutant)
      if (typeof files === 'string') expect.fail(files)
      const history = JSON.parse(readFileSync(new URL(`${mutant.name}.json`, SAVED), 'utf8')) as Saved
      const { failure, log } = await runHistory(history)
      if (failure !== null) expect.fail(`${failure}\n${log.slice(-80).join('\n')}`)
    })
  }
})
