// What `--without` takes out still fits the source, and the table of docs/safety.md names every invariant. That each protection is missed by
// its test is seen by `npm run test:fault -- --without all`.
import { existsSync, readFileSync } from 'node:fs'
import { expect } from 'chai'
import { edited } from '../sim/mutants/copy.ts'
import { MUTANTS } from '../sim/mutants/list.ts'
import { PROTECTIONS } from './without/protections.ts'

const ROOT = new URL('../../', import.meta.url)
const INVARIANTS = Array.from({ length: 30 }, (_, n) => `I${n + 1}`)

describe('fault: protections', () => {
  for (const [id, protections] of Object.entries(PROTECTIONS)) {
    it(`of ${id} fit the source`, () => {
      expect(INVARIANTS).to.include(id)
      for (const each of protections) {
        if ('mutants' in each) expect(MUTANTS.map(({ name }) => name)).to.include.members([...each.mutants])
        else {
          const files = edited({ name: each.without, protects: each.without, edits: each.edits })
          if (typeof files === 'string') expect.fail(files)
          expect(existsSync(new URL(each.test.file, ROOT)), each.test.file).to.equal(true)
        }
      }
    })
  }

  it('are told in docs/safety.md, and so is what has none', () => {
    const rows = readFileSync(new URL('docs/safety.md', ROOT), 'utf8')
      .split('\n')
      .map(line => /^\| (I\d+) \|.*\| ([^|]*)\|$/.exec(line))
      .filter(row => row !== null)
    expect(rows.map(row => row[1])).to.deep.equal(INVARIANTS)
    const proved = rows.filter(row => row[2]?.trim() !== '').map(row => row[1])
    expect(proved).to.deep.equal(INVARIANTS.filter(id => id in PROTECTIONS))
  })
})
