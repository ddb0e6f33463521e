// The protections of the engine (src/sync, and the rows in src/core), each taken out once: looking, publishing, planning, applying,
// storing, fetching.
import type { GenerateOptions } from '../steps.ts'
import type { Mutant } from './mutant.ts'

/** Writes that coarse times cannot tell apart, by people who do not wait. */
const COARSE: GenerateOptions = {
  devices: [2, 3],
  mix: { coarse: 1, acts: { edit: 40, rewrite: 30, clash: 10 } },
}
const ROOTS: GenerateOptions = { devices: [2, 3], mix: { steps: { unmount: 10, empty: 1, unreadable: 5 } } }

/** Messages that overtake one another, and much that moves. */
const REORDERED: GenerateOptions = {
  devices: [3, 3],
  mix: {
    apart: 0,
    badNetwork: 1,
    badWatcher: 0,
    steps: { exact: 0, link: 3, unmount: 0, empty: 0, remember: 0, restore: 0, erase: 0 },
    acts: { moveDirectory: 50, moveFile: 50, unpack: 15, mkdir: 20 },
  },
}

const LOOKING: readonly Mutant[] = [
  {
    name: 'young-files-trusted',
    protects: 'A file written a moment ago is hashed whatever its times say: a later write may not show in them.',
    histories: COARSE,
    edits: [
      {
        file: 'sync/local-changes.ts',
        find: 'return isRecent(stat.mtimeUs, nowMs) || isRecent(stat.ctimeUs, nowMs)',
        replace: 'return nowMs < 0 && isRecent(stat.mtimeUs, nowMs)',
      },
    ],
  },
  {
    name: 'no-last-look-at-young-files',
    protects:
      'What was hashed while it was young is hashed once more when its times cannot hide a later write any longer.',
    histories: { ...COARSE, mix: { ...COARSE.mix, badWatcher: 0.8 } },
    edits: [
      {
        file: 'sync/observer.ts',
        find: 'racy = true\n        this.#suspect(entry.stat.ino)',
        replace: 'racy = true',
      },
    ],
  },
  {
    name: 'old-times-believed',
    protects:
      'On a coarse disk a write whose time was set back shows nowhere: what was changed a moment ago is hashed.',
    histories: COARSE,
    edits: [
      {
        file: 'sync/local-changes.ts',
        find: 'return isRecent(stat.mtimeUs, nowMs) || isRecent(stat.ctimeUs, nowMs)',
        replace: 'return isRecent(stat.mtimeUs, nowMs)',
      },
    ],
  },
  {
    name: 'change-time-ignored',
    protects: 'A file of the same size and time may still be another: the inode says when it was changed.',
    histories: { devices: [2, 3], mix: { acts: { rewrite: 40 } } },
    edits: [{ file: 'sync/local-changes.ts', find: ' && a.ctimeUs === b.ctimeUs && a.mode', replace: ' && a.mode' }],
  },
  {
    name: 'unreadable-is-empty',
    protects: 'A directory that cannot be read is not an empty one.',
    short: {
      first: 5,
      firstActs: ['unpack', 'mkdir', 'create'],
      unreadable: true,
      apart: ['edit', 'create'],
      afterwards: [],
    },
    edits: [
      {
        file: 'sync/observer.ts',
        find: '          unknown.add(found.path)\n',
        replace: `          const known = rows.at(found.path)
          if (known === undefined) unknown.add(found.path)
          else listed.set(found.path, { path: found.path, stat: known.stat, entries: [], problems: [] })
`,
      },
    ],
  },
  {
    name: 'hints-in-old-spellings',
    protects: 'A disk that folds case answers to other spellings too: they are no other directories.',
    histories: { mix: { folding: 1, acts: { changeCase: 25 } } },
    edits: [
      {
        file: 'sync/local-changes.ts',
        find: 'if (spelled === undefined || spelled === path) return true',
        replace: 'if (spelled === undefined || path.length > 0) return true',
      },
    ],
  },
  {
    name: 'own-directories-not-looked-at',
    protects:
      'What a person puts into a directory while the daemon moves it is seen at once, not at the next full look.',
    histories: REORDERED,
    edits: [{ file: 'sync/cycle.ts', find: 'for (const below of paths) deps.dirty.add(below)', replace: '' }],
  },
  {
    name: 'directories-known-by-name',
    protects: 'A renamed directory is the same one: what others change in it arrives under its new name.',
    short: {
      first: 4,
      firstActs: ['unpack', 'mkdir'],
      apart: ['edit', 'moveDirectory', 'create'],
      behind: ['edit', 'create', 'moveDirectory'],
      afterwards: ['moveDirectory'],
    },
    edits: [
      {
        file: 'sync/local-changes.ts',
        find: "r.kind === 'directory' && r.id !== ROOT_ROW && sameObject(r.stat, entry.stat) && !this.#pathOfRow.has(r.id)",
        replace:
          "r.kind === 'directory' && r.name === entry.name && r.id !== ROOT_ROW && sameObject(r.stat, entry.stat) && !this.#pathOfRow.has(r.id)",
      },
    ],
  },
]

const PUBLISHING: readonly Mutant[] = [
  {
    name: 'moved-and-edited-in-one',
    protects: 'A file that was edited on its way to another name is looked at there.',
    short: {
      first: 4,
      firstActs: ['mkdir', 'create', 'create'],
      stopped: true,
      apart: ['moveFile', 'edit', 'append'],
      afterwards: [],
    },
    edits: [
      {
        file: 'sync/publisher.ts',
        find: 'this.#askAgain(found.parent, 0)\n  }\n\n  /**\n   * Says',
        replace:
          'this.#deps.rows.put({ ...row, stat: found.observed.stat })\n    this.#askAgain(found.parent, 0)\n  }\n\n  /**\n   * Says',
      },
    ],
  },
  {
    name: 'adopted-unseen',
    protects: 'What stands at a name is taken for what the tree shows there only if it is the same content.',
    short: { first: 2, firstActs: ['mkdir', 'create'], apart: ['clash'], behind: ['clash'], afterwards: [] },
    edits: [
      {
        file: 'sync/adopt.ts',
        find: "if (kind !== 'directory' && entry.facts.content !== facts.content) return undefined\n",
        replace: '',
      },
    ],
  },
  {
    name: 'name-taken-before-it-is-free',
    protects: 'Nothing new is said at a name whose old file is not believed gone yet.',
    short: {
      first: 4,
      firstActs: ['mkdir', 'create'],
      stopped: true,
      apart: ['becomeOther', 'remove', 'create', 'mkdir', 'moveFile'],
      afterwards: ['becomeOther', 'moveFile', 'moveDirectory'],
    },
    edits: [
      {
        file: 'sync/publisher.ts',
        find: 'return this.#heldNames.has(this.#nameOf(parent.id, name))',
        replace: 'return this.#heldNames.has(this.#nameOf(parent.id, name)) && false',
      },
    ],
  },
  {
    name: 'row-overwritten',
    protects: 'A row whose name another one takes stays until a scan says what became of its file.',
    short: {
      first: 4,
      firstActs: ['mkdir', 'create', 'create'],
      apart: ['becomeOther', 'over', 'swap', 'moveFile', 'remove', 'create'],
      afterwards: [],
    },
    edits: [
      {
        file: 'core/rows.ts',
        find: `      this.#insert({ ...other, name: \`\${other.name}\\0\${other.id}\` })\n`,
        replace: '',
      },
    ],
  },
  {
    name: 'deleted-before-all-is-hashed',
    protects: 'What is gone for sure and whose name something else has goes first, or the newcomer makes way for it.',
    short: {
      first: 4,
      firstActs: ['mkdir', 'create'],
      stopped: true,
      apart: ['becomeOther', 'remove', 'create', 'mkdir'],
      afterwards: ['becomeOther', 'moveFile', 'moveDirectory'],
    },
    edits: [
      {
        file: 'sync/publisher.ts',
        find: 'const going = this.#inTheWay(lost, confirmed)',
        replace: 'const going: Row[] = []',
      },
    ],
  },
]

const APPLYING: readonly Mutant[] = [
  {
    name: 'published-unchecked',
    protects: 'Right before it acts a step looks whether the disk still shows what the plan was made for.',
    edits: [
      {
        file: 'sync/applier.ts',
        find: `      steps.map(planned => this.#asItLies(planned)),
      options,`,
        replace: `      await Promise.all(
        steps.map(async ({ step }) => {
          if (!('expect' in step)) return step
          const now = await disk.look(step.path).catch(() => null)
          return now === null || now.kind !== step.kind ? step : ({ ...step, expect: now.stat } as typeof step)
        }),
      ),
      options,`,
      },
    ],
  },
  {
    name: 'pending-is-deleted',
    protects: 'What waits for something that has not arrived shows where it was before, or is left alone on the disk.',
    short: {
      first: 5,
      firstActs: ['unpack', 'mkdir', 'create'],
      badNetwork: true,
      apart: ['mkdir', 'moveFile', 'moveDirectory', 'edit'],
      afterwards: [],
    },
    edits: [
      {
        file: 'crdt/projection.ts',
        find: 'for (const spot of fallbacks(node, pending)) {',
        replace: 'for (const spot of pending ? [] : fallbacks(node, pending)) {',
      },
      {
        file: 'crdt/resolve-parents.ts',
        find: 'const spot = fallbacks(node, pending.has(node.id)).find(',
        replace: 'const spot = (pending.has(node.id) ? [] : fallbacks(node, false)).find(',
      },
      {
        file: 'sync/differences.ts',
        find: '} else if (row.nodes.some(ref => this.#tree.isPending(ref.id))) return',
        replace: '}',
      },
      {
        file: 'sync/differences.ts',
        find: 'if (targets.length === 0 && this.#tree.isPending(node)) return',
        replace: '',
      },
    ],
  },
  {
    name: 'old-version-not-kept',
    protects: 'What a new version replaces on a disk is kept, and can be found by its content.',
    short: { first: 3, firstActs: ['mkdir', 'create', 'create'], apart: ['edit', 'append', 'remove'], afterwards: [] },
    edits: [
      {
        file: 'sync/plan.ts',
        find: 'expectContent: row?.content ?? NO_CONTENT,',
        replace: 'expectContent: row === undefined ? entry.facts.content : NO_CONTENT,',
      },
    ],
  },
  {
    name: 'directory-removed-with-what-is-in-it',
    protects: 'What is in a directory that is to go, and is not to go itself, moves out first.',
    short: {
      first: 4,
      firstActs: ['unpack', 'mkdir'],
      apart: ['rmrf', 'moveFile', 'moveDirectory', 'edit'],
      afterwards: [],
    },
    edits: [
      {
        file: 'sync/differences.ts',
        find: 'for (const child of this.#rows.children(row.id)) this.#collectRow(child)\n  }\n\n  /** A merged directory',
        replace:
          'for (const child of this.#rows.children(row.id)) this.doomed.set(child.id, child)\n  }\n\n  /** A merged directory',
      },
    ],
  },
  {
    name: 'names-not-parked',
    protects: 'Files that change names with one another, on another device, do so here: one of them steps aside.',
    short: { first: 5, firstActs: ['mkdir', 'create', 'create'], apart: ['swap', 'moveDirectory'], afterwards: [] },
    edits: [
      {
        file: 'sync/plan.ts',
        find: 'return deepest !== null && this.#emitPark(deepest)',
        replace: 'return deepest !== null && this.#shadow.path(0 as RowId) !== undefined && this.#emitPark(deepest)',
      },
    ],
  },
  {
    name: 'refused-and-forgotten',
    protects: 'A step that the disk refused is tried again.',
    short: {
      first: 3,
      firstActs: ['mkdir', 'create', 'create'],
      apart: ['edit', 'moveFile'],
      behind: ['edit', 'create', 'clash', 'moveFile'],
      afterwards: [],
    },
    edits: [
      { file: 'sync/cycle.ts', find: 'this.#rest(planned.directory, pauseMs)', replace: '' },
      { file: 'sync/cycle.ts', find: 'if (isStuck) this.#rest(directory, restMs)', replace: 'if (refused) continue' },
    ],
  },
]

const KEEPING: readonly Mutant[] = [
  {
    name: 'emptied-root-believed',
    protects: 'A root that is suddenly empty, or another, halts the folder: an unmounted disk is no deletion.',
    histories: ROOTS,
    edits: [
      {
        file: 'sync/safety.ts',
        find: 'switch (root.state) {',
        replace: "switch (root.state === 'emptied' || root.state === 'replaced' ? 'ok' : root.state) {",
      },
    ],
  },
]

export const SYNC_MUTANTS: readonly Mutant[] = [...LOOKING, ...PUBLISHING, ...APPLYING, ...KEEPING]
