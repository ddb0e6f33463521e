// The protections of records (src/crdt: dots, the join, ids, the gate), each taken out once.
import type { Mutant } from './mutant.ts'

const DOTS: readonly Mutant[] = [
  {
    name: 'edit-supersedes-what-shows',
    protects: 'An edit supersedes what its disk showed, not what the documents show by now: unseen versions stay.',
    short: {
      first: 3,
      firstActs: ['mkdir', 'create', 'create'],
      apart: ['edit', 'append', 'moveFile'],
      behind: ['edit', 'append'],
      afterwards: [],
    },
    edits: [
      {
        file: 'crdt/operations.ts',
        find: 'const dots = dotsOf(ref)\n    const batch = this.#batch()',
        replace:
          'const dots = this.#deps.view.entriesOf(ref.id)[0]?.dots ?? dotsOf(ref)\n    const batch = this.#batch()',
      },
    ],
  },
  {
    name: 'remove-supersedes-what-shows',
    protects: 'A deletion takes away what its disk showed: a newer version that is still on its way stays.',
    short: {
      first: 3,
      firstActs: ['mkdir', 'create', 'create'],
      apart: ['edit', 'append'],
      behind: ['remove', 'rmrf'],
      afterwards: [],
    },
    edits: [
      {
        file: 'crdt/operations.ts',
        find: '[...(kills.get(ref.id) ?? NOTHING), ...dotsOf(ref)])',
        replace: '[...(kills.get(ref.id) ?? NOTHING), ...(view.entriesOf(ref.id)[0]?.dots ?? dotsOf(ref))])',
      },
    ],
  },
  {
    name: 'moved-row-takes-dots-early',
    protects:
      'A row that moved while its new content is still to come keeps its old dots: it does not show the new ones.',
    short: {
      first: 3,
      firstActs: ['mkdir', 'create', 'create'],
      apart: ['edit', 'moveFile'],
      behind: ['edit', 'remove'],
      afterwards: [],
    },
    edits: [
      {
        file: 'sync/plan.ts',
        find: 'fills\n        ? now.nodes.map(',
        replace: 'fills && now.id < 0\n        ? now.nodes.map(',
      },
    ],
  },
  {
    name: 'dots-counted-by-node',
    protects:
      'Sequence numbers grow over all nodes of an actor: a node whose records went and that is born again has no dot twice.',
    short: {
      first: 4,
      firstActs: ['mkdir', 'create', 'create'],
      apart: ['create', 'remove', 'edit'],
      afterwards: [],
      stuckClocks: true,
    },
    edits: [
      {
        file: 'crdt/dots.ts',
        find: 'Math.max(this.#wall(), this.#last + 1, seen + 1)',
        replace: 'Math.max(this.#wall(), seen + 1)',
      },
    ],
  },
  {
    name: 'create-joins-a-row',
    protects: 'What is created at a name joins only a node that this disk does not show elsewhere.',
    short: {
      first: 3,
      firstActs: ['mkdir', 'create', 'create'],
      apart: ['create', 'moveFile', 'clash'],
      afterwards: ['create', 'moveFile', 'remove'],
    },
    edits: [
      {
        file: 'crdt/batch.ts',
        find: 'used && (hasRow(id) || there.placement !== null || this.#writes.has(id))',
        replace: 'used && hasRow(id) && false',
      },
    ],
  },
]

const JOIN: readonly Mutant[] = [
  {
    name: 'join-keeps-the-newer',
    protects: 'Concurrent records of a node are joined; the later one is not simply taken.',
    short: { first: 3, firstActs: ['mkdir', 'create', 'create'], apart: ['edit', 'moveFile', 'chmod'], afterwards: [] },
    edits: [
      {
        file: 'crdt/join.ts',
        find: 'const versions: Version[] = []\n  for (const version of a.versions) {',
        replace: `const newest = (n: Node): number => Math.max(n.placement?.time ?? 0, 0, ...n.context.values())
  if (newest(a) !== newest(b)) return newest(a) > newest(b) ? a : b
  const versions: Version[] = []
  for (const version of a.versions) {`,
      },
    ],
  },
  {
    name: 'join-forgets-the-unseen',
    protects: 'A version that only one record has survives, if the other never saw it.',
    short: { first: 3, firstActs: ['mkdir', 'create', 'create'], apart: ['edit', 'clash'], afterwards: [] },
    edits: [
      {
        file: 'crdt/join.ts',
        find: 'else if (version.dot.seq > (b.context.get(version.dot.actor) ?? 0)) versions.push(version)',
        replace: '',
      },
    ],
  },
  {
    name: 'placement-by-arrival',
    protects: 'Of two placements everybody honours the same one, in whatever order they came.',
    short: { first: 3, firstActs: ['mkdir', 'create', 'create'], apart: ['moveFile', 'moveDirectory'], afterwards: [] },
    edits: [
      {
        file: 'crdt/join.ts',
        find: 'placement: comparePlacement(a.placement, b.placement) >= 0 ? a.placement : b.placement,',
        replace: 'placement: a.placement ?? b.placement,',
      },
    ],
  },
  {
    name: 'kind-not-in-the-id',
    protects: 'A file and a directory of one name are two nodes.',
    short: {
      first: 3,
      firstActs: ['mkdir', 'create', 'create'],
      apart: ['becomeOther', 'create', 'mkdir', 'edit'],
      afterwards: [],
    },
    edits: [
      {
        file: 'crdt/record.ts',
        find: 'input[ID_BYTES] = kindNumber(kind)\n  input.writeUInt32BE',
        replace: 'input[ID_BYTES] = kindNumber(kind) * 0\n  input.writeUInt32BE',
      },
    ],
  },
  {
    name: 'dead-directories-dropped',
    protects: 'A directory that died keeps its record: a child that survives must find its parent.',
    short: {
      first: 3,
      firstActs: ['unpack', 'mkdir', 'create'],
      apart: ['rmrf', 'edit', 'create', 'moveDirectory'],
      afterwards: [],
    },
    edits: [
      {
        file: 'crdt/batch.ts',
        find: "if (versions.length > 0 || node.kind === 'directory') this.put({ ...node, versions })",
        replace: 'if (versions.length > 0) this.put({ ...node, versions })',
      },
    ],
  },
  {
    name: 'gate-lets-gaps-in',
    protects: 'An update whose beginning is missing is not half applied: its deletions would go without its inserts.',
    within: 100_000,
    short: {
      first: 3,
      firstActs: ['mkdir', 'create', 'create'],
      badNetwork: true,
      apart: ['edit', 'create', 'remove', 'clash'],
      afterwards: [],
    },
    edits: [
      { file: 'crdt/gate.ts', find: 'if (clock > at) return { ok: false, gap: true }', replace: '' },
      {
        file: 'crdt/gate.ts',
        find: 'for (const need of needs) if (need.clock >= after(need.client)) return { ok: false, gap: true }',
        replace: 'if (needs.length < 0) return { ok: false, gap: true }',
      },
      {
        file: 'crdt/gate.ts',
        find: 'if (clock + length > after(client)) return { ok: false, gap: true }',
        replace: '',
      },
      {
        file: 'crdt/gate.ts',
        find: "if (!integrable(found.structs, known)) return refuse('its items depend on each other')",
        replace: 'integrable([], known)',
      },
      {
        file: 'crdt/record-set.ts',
        find: 'if (this.#doc.store.pendingStructs !== null || this.#doc.store.pendingDs !== null) {',
        replace: 'if (this.#doc.clientID < 0) {',
      },
    ],
  },
]

export const RECORD_MUTANTS: readonly Mutant[] = [...DOTS, ...JOIN]
