// Which branches of the code that compares and plans a run of histories took. V8 counts blocks exactly; the branches are read from
// the very code that ran, and told by the lines they were written on. A branch is one way out of a decision: of `if` both, also where
// there is no `else`; of `a && b`, `a || b` and `a ?? b` that each operand decided, and that the last was asked; each `case`, each arm
// of `?:`, each body of a function, a loop, a `catch`. What was never taken must be listed in unreachable.ts, with its reason.
import { readFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { findSourceMap } from 'node:module'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { UNREACHABLE, type Unreachable } from './unreachable.ts'

/** The decisions that a history can make go either way. */
export const JUDGED = [
  'src/sync/differences.ts',
  'src/sync/plan.ts',
  'src/sync/local-changes.ts',
  'src/sync/safety.ts',
  'src/sync/publisher.ts',
  'src/sync/adopt.ts',
  'src/crdt/operations.ts',
  'src/crdt/settle.ts',
  'src/crdt/resolve-parents.ts',
  'src/crdt/projection.ts',
] as const

/**
 * Of those files, what decides nothing about comparing and planning: no history has a step for it. A restore and a settled conflict write the
 * shared tree as a person's edits do; random ones are tested in test/sync/rewind.test.ts and archive.test.ts, test/crdt/conflicts.test.ts.
 */
const ASIDE: readonly { readonly file: string; readonly method: string }[] = [
  { file: 'src/crdt/operations.ts', method: 'revise' },
  { file: 'src/crdt/operations.ts', method: '#now' },
  { file: 'src/crdt/operations.ts', method: 'resolve' },
  // For the lists of conflicts and of what an undo finds.
  { file: 'src/crdt/projection.ts', method: 'conflicted' },
  { file: 'src/sync/local-changes.ts', method: 'nameOf' },
]

export interface Branch {
  readonly file: string
  readonly line: number
  readonly column: number
  /** `if true`, `if false`, `&& 1` (its first operand decided), `&& last` (its last was asked), `? true`, `case`, `function` … */
  readonly what: string
  /** The nearest function around it that has a name; '' at the top. */
  readonly inside: string
  /** The line it stands on, trimmed. */
  readonly text: string
  readonly count: number
}

/** File → its branches, in the order of the code. Plain JSON. */
export type Coverage = Readonly<Record<string, readonly Branch[]>>

export interface Judgement {
  /** A table: file, taken of all, listed as unreachable. */
  readonly lines: readonly string[]
  /** Never taken and not listed. */
  readonly missed: readonly Branch[]
  /** Entries of the list that match nothing, or what was taken. */
  readonly stale: readonly string[]
}

interface Range {
  readonly startOffset: number
  readonly endOffset: number
  readonly count: number
}

const ROOT = new URL('../../', import.meta.url)
let session: Session | null = null

/** To be called before any of the judged code runs, better before it is loaded: of what did nothing since, V8 tells nothing. */
export async function startCoverage(): Promise<void> {
  if (session !== null) throw new Error('coverage is counted already')
  session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
}

/** What this process took since `startCoverage`, and the end of counting. */
export async function takeCoverage(): Promise<Coverage> {
  if (session === null) throw new Error('coverage is not counted')
  const { result } = await session.post('Profiler.takePreciseCoverage')
  await session.post('Profiler.stopPreciseCoverage')
  // Only now: with a debugger attached the histories would run much slower.
  await session.post('Debugger.enable')
  const out: Record<string, readonly Branch[]> = {}
  for (const { url, scriptId, functions } of result) {
    const file = JUDGED.find(name => url.split('?')[0] === new URL(name, ROOT).href)
    if (file === undefined) continue
    const { scriptSource } = await session.post('Debugger.getScriptSource', { scriptId })
    const ranges = functions.flatMap(one => one.ranges)
    out[file] = branchesOf(file, scriptSource, ranges, placesIn(url, scriptSource, new URL(file, ROOT)))
  }
  session.disconnect()
  session = null
  return out
}

/** Runs are spread over processes; what none of them loaded is in none. */
export function mergeCoverage(a: Coverage, b: Coverage): Coverage {
  const out: Record<string, readonly Branch[]> = { ...a }
  for (const [file, branches] of Object.entries(b)) {
    const known = out[file]
    if (known !== undefined && known.length !== branches.length)
      throw new Error(`two processes ran different versions of ${file}`)
    out[file] = branches.map((branch, at) => ({ ...branch, count: branch.count + (known?.[at]?.count ?? 0) }))
  }
  return out
}

export function judge(coverage: Coverage, unreachable: readonly Unreachable[] = UNREACHABLE): Judgement {
  const lines: string[] = []
  const missed: Branch[] = []
  const matched = new Map(unreachable.map(entry => [entry, 0]))
  const stale: string[] = []
  for (const file of JUDGED) {
    const branches = (coverage[file] ?? []).filter(branch => !isAside(branch))
    if (branches.length === 0) stale.push(`${file} never ran`)
    let listed = 0
    for (const branch of branches) {
      const entry = unreachable.find(one => names(one, branch))
      if (entry !== undefined) matched.set(entry, (matched.get(entry) ?? 0) + 1)
      if (entry !== undefined && entry.rare !== true && branch.count > 0)
        stale.push(`taken, so not unreachable: ${told(branch)}`)
      if (branch.count > 0) continue
      if (entry === undefined) missed.push(branch)
      else listed++
    }
    const taken = branches.filter(branch => branch.count > 0).length
    const rest = listed === 0 ? '' : `  ${listed} unreachable`
    lines.push(`${file.padEnd(30)} ${`${taken}/${branches.length}`.padStart(9)}${rest}`)
  }
  for (const [{ file, line, what }, count] of matched)
    if (count === 0) stale.push(`no such branch: ${file}: ${what}: ${line}`)
  return { lines, missed, stale }
}

function isAside({ file, inside, what, text }: Branch): boolean {
  return ASIDE.some(
    ({ file: of, method }) =>
      of === file &&
      (inside === method ||
        (what === 'function' && text.replace(/^(export function|get) /, '').startsWith(`${method}(`))),
  )
}

export function told({ file, line, column, inside, what, text }: Branch): string {
  return `${file}:${line}:${column} ${inside}: ${what}: ${text}`
}

function names(entry: Unreachable, branch: Branch): boolean {
  if (entry.inside !== undefined && entry.inside !== branch.inside) return false
  return entry.file === branch.file && entry.line === branch.text && entry.what === branch.what
}

type Place = (offset: number) => { line: number; column: number; text: string } | null

/** Offsets in what ran → lines as they were written; null for what the transpiler added. The one place that knows source maps. */
function placesIn(url: string, code: string, source: URL): Place {
  const map = findSourceMap(url)
  if (map === undefined) throw new Error(`${url} has no source map`)
  const starts = [0]
  for (let at = code.indexOf('\n'); at >= 0; at = code.indexOf('\n', at + 1)) starts.push(at + 1)
  const written = readFileSync(fileURLToPath(source), 'utf8').split('\n')
  return offset => {
    const row = starts.findLastIndex(start => start <= offset)
    const entry = map.findEntry(row, offset - (starts[row] ?? 0))
    if (!('originalLine' in entry)) return null
    const { originalLine, originalColumn } = entry
    return { line: originalLine + 1, column: originalColumn + 1, text: written[originalLine]?.trim() ?? '' }
  }
}

/** How often each branch of `code` was taken, given V8's ranges: of those around a position the smallest one counts. */
export function branchesOf(file: string, code: string, ranges: readonly Range[], place: Place): Branch[] {
  // Of two of one size the later is the inner one.
  const bySize = ranges.toReversed().sort((a, b) => a.endOffset - a.startOffset - (b.endOffset - b.startOffset))
  const tree = ts.createSourceFile('ran.mjs', code, ts.ScriptTarget.Latest, true, ts.ScriptKind.JS)
  const countAt = (node: ts.Node): number => {
    const at = node.getStart(tree)
    return bySize.find(range => range.startOffset <= at && at < range.endOffset)?.count ?? 0
  }
  const out: Branch[] = []
  const seen = new Map<string, number>()
  const add = (node: ts.Node, kind: string, count: number): void => {
    const where = place(node.getStart(tree))
    if (where === null) return
    const key = `${where.line} ${kind}`
    const nth = (seen.get(key) ?? 0) + 1
    seen.set(key, nth)
    out.push({ file, ...where, inside: nameAround(node), what: nth === 1 ? kind : `${kind} (${nth})`, count })
  }
  const visit = (node: ts.Node): void => {
    for (const [at, kind, count] of decisions(node, countAt)) add(at, kind, count)
    ts.forEachChild(node, visit)
  }
  visit(tree)
  return out
}

function nameAround(node: ts.Node): string {
  for (let at = node.parent; at !== undefined; at = at.parent)
    if (ts.isFunctionLike(at) && at.name !== undefined) return at.name.getText()
  return ''
}

type Decision = readonly [at: ts.Node, kind: string, count: number]

function decisions(node: ts.Node, countAt: (node: ts.Node) => number): Decision[] {
  if (ts.isIfStatement(node)) {
    const yes = countAt(node.thenStatement)
    return [
      [node, 'if true', yes],
      [node, 'if false', countAt(node) - yes],
    ]
  }
  if (ts.isConditionalExpression(node)) {
    return [
      [node.whenTrue, '? true', countAt(node.whenTrue)],
      [node.whenFalse, '? false', countAt(node.whenFalse)],
    ]
  }
  if (ts.isBinaryExpression(node)) return logical(node, countAt)
  if (ts.isCaseOrDefaultClause(node)) return [[node, 'case', countAt(node)]]
  if (ts.isIterationStatement(node, false)) return [[node.statement, 'loop', countAt(node.statement)]]
  if (ts.isCatchClause(node)) return [[node, 'catch', countAt(node.block)]]
  if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined)
    return [[node, 'function', countAt(node.body)]]
  return []
}

const LOGICAL: ReadonlyMap<ts.SyntaxKind, string> = new Map([
  [ts.SyntaxKind.AmpersandAmpersandToken, '&&'],
  [ts.SyntaxKind.BarBarToken, '||'],
  [ts.SyntaxKind.QuestionQuestionToken, '??'],
])

function isCondition(node: ts.Expression): node is ts.Expression & { parent: ts.WhileStatement | ts.ForStatement } {
  const { parent } = node
  return (
    (ts.isWhileStatement(parent) && parent.expression === node) ||
    (ts.isForStatement(parent) && parent.condition === node)
  )
}

function logical(node: ts.BinaryExpression, countAt: (node: ts.Node) => number): Decision[] {
  const kind = node.operatorToken.kind
  const operator = LOGICAL.get(kind)
  const isSame = (other: ts.Node): other is ts.BinaryExpression =>
    ts.isBinaryExpression(other) && other.operatorToken.kind === kind
  if (operator === undefined || isSame(node.parent)) return []
  const operands: ts.Expression[] = []
  let left: ts.Expression = node
  for (; isSame(left); left = left.left) operands.unshift(left.right)
  operands.unshift(left)
  // V8 counts what a loop's condition begins with only once, on the way in.
  const rounds = isCondition(node) ? countAt(node.parent.statement) : 0
  return operands.map((operand, at): Decision => {
    const next = operands[at + 1]
    const count = countAt(operand) + (at === 0 ? rounds : 0)
    if (next === undefined) return [operand, `${operator} last`, count]
    return [operand, `${operator} ${at + 1}`, count - countAt(next)]
  })
}
