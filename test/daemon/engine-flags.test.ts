// What is set of V8 takes hold in a process that runs already.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'

const CHILD = fileURLToPath(new URL('./heap-child.ts', import.meta.url))

function majors(...args: readonly string[]): number {
  const said = execFileSync(process.execPath, ['--import', 'tsx', CHILD, ...args], { encoding: 'utf8' })
  return (JSON.parse(said) as { majors: number }).majors
}

describe('daemon/engine-flags', function () {
  this.timeout(60_000)

  it('a heap that grows is looked through at smaller steps than V8 would take', () => {
    expect(majors('flags')).to.be.greaterThan(majors())
  })
})
