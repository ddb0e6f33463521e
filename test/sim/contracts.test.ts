// The simulation runs the contract suites and tells what came of them; that they pass is shown by the suites themselves.
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { runContracts, SUITES } from './contracts.ts'

const CLOCKS = SUITES.filter(suite => suite.includes('clock'))

describe('the contract suites, as the simulation runs them', function () {
  this.timeout(60_000)
  let directory = ''

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'kith-suites-'))
  })
  afterEach(() => rm(directory, { recursive: true }))

  const suite = async (text: string): Promise<string> => {
    const file = join(directory, 'suite.mjs')
    await writeFile(file, text)
    return file
  }
  const refusal = (run: Promise<unknown>): Promise<string> =>
    run.then(
      () => 'ran',
      (error: unknown) => String(error),
    )

  it('are all there, a fake beside each real part', () => {
    expect(SUITES.filter(file => !existsSync(file))).to.deep.equal([])
    expect(CLOCKS).to.have.length(2)
  })

  it('are counted', async () => {
    const { passed, failed, seconds } = await runContracts(CLOCKS)
    expect(failed).to.equal(0)
    expect(passed).to.be.at.least(60)
    expect(seconds).to.be.greaterThan(0)
  })

  it('are told where they fail', async () => {
    const bad = await suite("it('holds', () => {}); it('breaks', () => { throw new Error('on purpose') })")
    const { passed, failed, failures } = await runContracts([bad])
    expect({ passed, failed, failures }).to.deep.equal({ passed: 1, failed: 1, failures: ['breaks: on purpose'] })
  })

  it('are no success where nothing ran', async () => {
    expect(await refusal(runContracts([await suite('')]))).to.include('no test ran')
    expect(await refusal(runContracts([await suite("throw new Error('unreadable')")]))).to.include('did not run')
    expect(await refusal(runContracts([...CLOCKS, join(directory, 'missing.mjs')]))).to.include('no test ran')
  })
})
