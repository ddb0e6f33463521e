// What is counted is what ran; what is listed as unreachable is in the code and was not taken.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { type Branch, branchesOf, type Coverage, JUDGED, judge, mergeCoverage, told } from './coverage.ts'
import { UNREACHABLE } from './unreachable.ts'

const run = promisify(execFile)
const CHILD = fileURLToPath(new URL('coverage-child.ts', import.meta.url))

async function covered(first: number, count: number): Promise<Coverage> {
  const args = ['--import', 'tsx', CHILD, String(first), String(count)]
  const { stdout } = await run(process.execPath, args, { maxBuffer: 16 * 1024 * 1024 })
  const { coverage }: { coverage: Coverage } = JSON.parse(stdout)
  return coverage
}

const total = (coverage: Coverage, file: string): number =>
  (coverage[file] ?? []).reduce((sum, branch) => sum + branch.count, 0)

describe('branch coverage', () => {
  it('reads both ways out of every decision, also where nothing is written for one', () => {
    // As V8 tells it of: f(true, null) twice, f(false, 1) once.
    const code = 'function f(a,b){if(a)return b??0;return a||b}'
    const at = (text: string): number => code.indexOf(text)
    const ranges = [
      { startOffset: 0, endOffset: code.length, count: 1 },
      { startOffset: 0, endOffset: code.length, count: 3 },
      { startOffset: at('return b'), endOffset: at('return a'), count: 2 },
      { startOffset: at('??'), endOffset: at(';return a'), count: 2 },
      { startOffset: at('return a'), endOffset: code.length - 1, count: 1 },
      { startOffset: at('||'), endOffset: code.length - 1, count: 1 },
    ]
    const branches = branchesOf('f.ts', code, ranges, offset => ({ line: 1, column: offset + 1, text: code }))
    expect(branches.map(({ what, count }) => `${what} ${count}`)).to.deep.equal([
      'function 3',
      'if true 2',
      'if false 1',
      '?? 1 0',
      '?? last 2',
      '|| 1 0',
      '|| last 1',
    ])
    expect(branches[1]?.inside).to.equal('f')
  })

  it('tells what was missed, and what of the list is wrong', () => {
    const branch = (line: number, count: number): Branch => {
      return { file: JUDGED[0], line, column: 1, what: 'if true', inside: 'f', text: `line ${line}`, count }
    }
    const coverage: Record<string, readonly Branch[]> = Object.fromEntries(
      JUDGED.map(file => [file, [{ ...branch(9, 1), file }]]),
    )
    coverage[JUDGED[0]] = [branch(1, 5), branch(2, 0), branch(3, 0), branch(4, 1)]
    const entry = (line: number) => ({ file: JUDGED[0], line: `line ${line}`, what: 'if true', why: 'so' })
    const { missed, stale, lines } = judge(coverage, [entry(3), entry(4), entry(5)])
    expect(missed.map(told)).to.deep.equal([`${JUDGED[0]}:2:1 f: if true: line 2`])
    expect(stale).to.have.length(2)
    expect(stale.join()).to.match(/taken, so not unreachable: .*line 4,no such branch: .*line 5/)
    expect(lines[0]).to.match(/2\/4 {2}1 unreachable$/)
    expect(judge({}, []).stale).to.have.length(JUDGED.length)
  })

  it('counts what histories take, in each process, and adds it up', async function () {
    this.timeout(120_000)
    const [one, other] = await Promise.all([covered(1, 1), covered(2, 1)])
    const both = mergeCoverage(one, other)
    for (const file of JUDGED) {
      expect(total(both, file)).to.equal(total(one, file) + total(other, file))
    }
    expect(total(one, 'src/sync/plan.ts')).to.be.greaterThan(0)
    expect(mergeCoverage({}, one)).to.deep.equal(one)
    const { stale, missed } = judge(both)
    expect(stale).to.deep.equal([])
    // What the very first scan of any device does, and what no healthy device ever does.
    const guard = both['src/sync/publisher.ts']?.find(branch => branch.text.startsWith('if (rows.length === 0) return'))
    expect(guard?.count).to.be.greaterThan(0)
    expect(missed.every(branch => branch.count === 0)).to.equal(true)
    expect(UNREACHABLE.every(entry => entry.why.length > 10)).to.equal(true)
  })
})
