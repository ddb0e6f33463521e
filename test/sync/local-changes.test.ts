// What a person did, told from rows and listings: one table of short scenes. A scene is the rows before and the disk after, both as
// "path:inode[:size]" ('/' at the end: a directory); the result is read back in words.
import { expect } from 'chai'
import type { Kind } from '../../src/core/entry.ts'
import type { ContentId, NodeId, RowId } from '../../src/core/ids.ts'
import { ROOT_NODE, ROOT_ROW } from '../../src/core/ids.ts'
import { type Listing, NO_STAT, type Observed, type Stat } from '../../src/core/ports.ts'
import { type Row, RowTable } from '../../src/core/rows.ts'
import { detectChanges, isClean, isRacy, parentPath } from '../../src/sync/local-changes.ts'

const NOW_MS = 1_800_000_000_000
const OLD_US = (NOW_MS - 3_600_000) * 1000

function stat(ino: number, size = 1, over: Partial<Stat> = {}): Stat {
  return { dev: 1, ino, birthUs: ino * 10, size, mtimeUs: OLD_US, ctimeUs: OLD_US, mode: 0o644, links: 1, ...over }
}

interface Scene {
  readonly path: string
  readonly kind: Kind
  readonly stat: Stat
}

function parse(text: string, over: Record<string, Partial<Stat>> = {}): Scene[] {
  return text
    .split(' ')
    .filter(Boolean)
    .map(word => {
      const [name = '', ino = '0', size = '1'] = word.split(':')
      const directory = name.endsWith('/')
      const path = directory ? name.slice(0, -1) : name
      return { path, kind: directory ? 'directory' : 'file', stat: stat(Number(ino), Number(size), over[path]) }
    })
}

function rowsOf(text: string): RowTable {
  const rows = new RowTable()
  const add = (id: RowId, parent: RowId, name: string, kind: Kind, s: Stat): void => {
    const node = (id === ROOT_ROW ? ROOT_NODE : String(id).padStart(16, '0')) as NodeId
    const nodes = [{ id: node, birth: { parent: ROOT_NODE, name, generation: 0 }, placement: null, versions: [] }]
    const content = `content of ${s.size}` as ContentId
    const row: Row = {
      id,
      parent,
      name,
      kind,
      content,
      size: s.size,
      mtime: 0,
      mode: s.mode,
      stat: s,
      copy: false,
      nodes,
    }
    rows.load(row)
  }
  add(ROOT_ROW, ROOT_ROW, '', 'directory', stat(1))
  for (const { path, kind, stat: s } of parse(text)) {
    const parent = rows.at(parentPath(path))
    if (parent === undefined) throw new Error(`no parent for ${path}`)
    add(rows.allocate(), parent.id, path.slice(path.lastIndexOf('/') + 1), kind, s)
  }
  return rows
}

function listings(entries: readonly Scene[], only?: readonly string[]): Map<string, Listing> {
  const out = new Map<string, Listing>()
  const directories = [
    { path: '', kind: 'directory' as Kind, stat: stat(1) },
    ...entries.filter(e => e.kind === 'directory'),
  ]
  for (const directory of directories) {
    if (only !== undefined && !only.includes(directory.path)) continue
    const inside = entries.filter(e => parentPath(e.path) === directory.path && e.path !== '')
    const observed: Observed[] = inside.map(e => ({
      name: e.path.slice(e.path.lastIndexOf('/') + 1),
      kind: e.kind,
      stat: e.stat,
    }))
    out.set(directory.path, { path: directory.path, stat: directory.stat, entries: observed, problems: [] })
  }
  return out
}

function detect(
  before: string,
  after: string,
  options: { only?: string[]; over?: Record<string, Partial<Stat>> } = {},
): string[] {
  const rows = rowsOf(before)
  const listed = listings(parse(after, options.over), options.only)
  const found = detectChanges(rows, { listed, clean: new Set(), unknown: new Set(), suspects: new Set() }, NOW_MS)
  return [
    ...found.moves.map(m => `move ${rows.path(m.row.id)} to ${m.path}`),
    ...found.creates.map(c => `create ${c.path}`),
    ...found.edits.map(e => `edit ${e.path}`),
    ...found.touched.map(t => `touch ${t.path}`),
    ...found.lost.map(r => `lost ${rows.path(r.id)}`),
    ...found.alsoScan.map(a => `scan ${a.path}`),
  ].sort()
}

describe('local changes', () => {
  it('doubts what was changed within a tick before the look, and on a coarse disk within two seconds', () => {
    const NOW_MS = 1_700_000_000_000
    const changed = (agoMs: number, us: number, mtimeAgoMs = agoMs): boolean =>
      isRacy({ ...NO_STAT, ctimeUs: (NOW_MS - agoMs) * 1_000 + us, mtimeUs: (NOW_MS - mtimeAgoMs) * 1_000 }, NOW_MS)
    expect([changed(5, 123), changed(15, 123), changed(25, 123)]).to.deep.equal([true, true, false])
    expect(changed(60_000, 123, 5), 'a program may set the time of writing').to.equal(false)
    expect([changed(1_900, 0), changed(2_100, 0), changed(60_000, 0, 1_900)]).to.deep.equal([true, false, true])
  })

  const cases: [string, string, string, string[]][] = [
    ['nothing', 'D/:2 D/f:3 g:4', 'D/:2 D/f:3 g:4', []],
    ['a new file and a new directory', 'g:4', 'g:4 h:5 E/:6 E/i:7', ['create E', 'create E/i', 'create h']],
    ['an edit in place', 'f:3:1', 'f:3:2', ['edit f']],
    ['a save by rename is an edit of the name, whatever the inode', 'f:3', 'f:9', ['edit f']],
    ['a deletion', 'f:3 g:4', 'g:4', ['lost f']],
    ['a rename', 'f:3', 'k:3', ['move f to k']],
    ['a move into a directory', 'D/:2 f:3', 'D/:2 D/f:3', ['move f to D/f']],
    ['an inode used again (other birth time) is no move', 'f:3', 'k:3', ['create k', 'lost f']],
    ['a directory renamed: one move, nothing inside it', 'D/:2 D/f:3 D/g:4', 'E/:2 E/f:3 E/g:4', ['move D to E']],
    ['a directory renamed and a file edited in it', 'D/:2 D/f:3:1', 'E/:2 E/f:3:5', ['edit E/f', 'move D to E']],
    ['two directories swapped', 'A/:2 A/f:3 B/:4 B/g:5', 'A/:4 A/g:5 B/:2 B/f:3', ['move A to B', 'move B to A']],
    ['two files swapped are two edits', 'f:3:1 g:4:2', 'f:4:2 g:3:1', ['edit f', 'edit g']],
    ['a directory made anew at the same name is the same node', 'D/:2 D/f:3', 'D/:8 D/f:3', ['touch D']],
    ['rm -rf', 'D/:2 D/E/:3 D/E/f:4', '', ['lost D', 'lost D/E', 'lost D/E/f']],
    ['a file moved out, its directory deleted', 'D/:2 D/f:3 D/g:4', 'f:3', ['lost D', 'lost D/g', 'move D/f to f']],
    ['a directory into its former child', 'D/:2 D/E/:3', 'E/:3 E/D/:2', ['move D to E/D', 'move D/E to E']],
    ['a file becomes a directory', 'f:3', 'f/:5', ['create f', 'lost f']],
    ['a hard link is a new file', 'f:3', 'f:3 k:3', ['create k']],
  ]
  for (const [name, before, after, expected] of cases) {
    it(name, () => {
      const over: Record<string, Partial<Stat>> = name.startsWith('an inode used again') ? { k: { birthUs: 77 } } : {}
      expect(detect(before, after, { over })).to.deep.equal(expected)
    })
  }

  it('asks for the directory that a moved-in file may have come from before it calls it new', () => {
    expect(detect('D/:2 D/f:3', 'D/:2 f:3', { only: [''] })).to.deep.equal(['create f', 'scan D'])
    expect(detect('D/:2 D/f:3', 'D/:2 f:3')).to.deep.equal(['move D/f to f'])
  })

  it('asks for the contents of a new or moved directory', () => {
    expect(detect('D/:2 D/f:3', 'E/:2 E/f:3', { only: [''] })).to.deep.equal(['move D to E', 'scan E'])
    expect(detect('', 'E/:2 E/f:3', { only: [''] })).to.deep.equal(['create E', 'scan E'])
  })

  it('calls nothing lost that could not be read', () => {
    const rows = rowsOf('D/:2 D/f:3 g:4')
    const listed = listings(parse('D/:2'), [''])
    const root = listed.get('')
    if (root === undefined) throw new Error('no root')
    listed.set('', { ...root, problems: [{ code: 'unreadable', path: 'g', message: '' }] })
    const unknown = new Set(['D'])
    const found = detectChanges(rows, { listed, clean: new Set(), unknown, suspects: new Set() }, NOW_MS)
    expect(found.lost).to.deep.equal([])
  })

  it('looks at what was written a moment ago whatever its times say', () => {
    const recent = { mtimeUs: (NOW_MS - 100) * 1000 }
    const rows = rowsOf('f:3')
    const row = rows.at('f')
    if (row === undefined) throw new Error('no row')
    rows.put({ ...row, stat: { ...row.stat, ...recent } })
    const [root] = listings(parse('f:3', { f: recent })).values()
    if (root === undefined) throw new Error('no root')
    expect(isClean(rows, root, NOW_MS, new Set())).to.equal(false)
    expect(isClean(rows, root, NOW_MS + 10_000, new Set())).to.equal(true)
    expect(isClean(rows, root, NOW_MS + 10_000, new Set([3]))).to.equal(false)
  })
})
