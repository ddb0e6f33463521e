// The protections of what records show, and of settling it (src/crdt, src/core/names), each taken out once.
import type { Mutant } from './mutant.ts'

const PROJECTION: readonly Mutant[] = [
  {
    name: 'cycles-broken-by-arrival',
    protects: 'Everybody dishonours the same move of a cycle.',
    short: { first: 4, firstActs: ['mkdir'], apart: ['moveDirectory'], afterwards: [] },
    edits: [
      {
        file: 'crdt/resolve-parents.ts',
        find: 'cycle.sort((a, b) => comparePlaced(b, a))',
        replace: 'cycle.slice()',
      },
    ],
  },
  {
    name: 'names-by-arrival',
    protects: 'Of several files that ask for one name the same one gets it everywhere.',
    short: { first: 4, firstActs: ['mkdir', 'create', 'create'], apart: ['create', 'moveFile'], afterwards: [] },
    edits: [
      {
        file: 'crdt/listing.ts',
        find: '[...files].sort(comparePlaced)',
        replace: '[...files]',
      },
    ],
  },
  {
    name: 'waiting-files-forgotten',
    protects: 'A file whose directory comes after it shows as soon as the directory is there.',
    histories: {
      devices: [3, 4],
      mix: { badNetwork: 1, apart: 0, steps: { exact: 0, link: 2 }, acts: { unpack: 60, mkdir: 20, create: 30 } },
    },
    edits: [
      {
        file: 'crdt/projection.ts',
        find: 'for (const slot of fresh) this.#wake(slot.id)',
        replace: 'for (const slot of fresh) if (slot.id === undefined) this.#wake(slot.id)',
      },
    ],
  },
  {
    name: 'suffixes-mended-in-place',
    protects: 'A change that renames others names the whole directory anew.',
    short: {
      first: 3,
      firstActs: ['mkdir', 'create', 'create'],
      apart: ['clash', 'moveFile', 'create', 'edit'],
      afterwards: ['edit', 'moveFile', 'create'],
    },
    edits: [
      {
        file: 'crdt/projection.ts',
        find: 'if (listing.involved.has(slot.id)) return false\n',
        replace: '',
      },
      {
        file: 'crdt/projection.ts',
        find: 'if ((old !== undefined && listing.touchy.has(old)) || (key !== undefined && listing.touchy.has(key))) return false',
        replace: '',
      },
    ],
  },
  {
    name: 'case-not-folded',
    protects: 'Where one disk folds case, names that differ by case are one name for everybody.',
    histories: { mix: { folding: 1 } },
    edits: [
      {
        file: 'core/names.ts',
        find: 'return fold ? foldCase(name) : normalName(name)',
        replace: 'return fold ? normalName(name) : normalName(name)',
      },
    ],
  },
  {
    name: 'names-not-composed',
    protects: 'A name that two disks compose differently is one name.',
    edits: [
      {
        file: 'core/names.ts',
        find: "return ASCII.test(name) ? name : name.normalize('NFC')",
        replace: 'return ASCII.test(name) ? name : name',
      },
    ],
  },
]

const SETTLING: readonly Mutant[] = [
  {
    name: 'cycles-not-settled',
    protects: 'What shows where it is because of a broken cycle stays there when another move ends the cycle.',
    short: { first: 4, firstActs: ['mkdir'], apart: ['moveDirectory'], afterwards: ['moveDirectory', 'rmrf'] },
    edits: [
      {
        file: 'crdt/settle.ts',
        find: 'for (const slot of view.brokenCycles()) {',
        replace: 'for (const slot of [...view.brokenCycles()].slice(0, 0)) {',
      },
    ],
  },
  {
    name: 'suffixes-not-settled',
    protects: 'A file with a suffix keeps its name when somebody frees the name that it was given for.',
    short: {
      first: 3,
      firstActs: ['mkdir', 'create'],
      apart: ['moveFile', 'create', 'mkdir'],
      afterwards: ['remove', 'moveFile', 'moveDirectory'],
    },
    edits: [
      {
        file: 'crdt/settle.ts',
        find: 'if (wanted && !gone.has(special.id)) pin(batch, view, special)',
        replace: 'if (wanted && gone.size < 0) pin(batch, view, special)',
      },
    ],
  },
  {
    name: 'copies-not-settled',
    protects: 'A conflict copy stays under its own name when the file that it lies beside is deleted or moved.',
    short: {
      first: 2,
      firstActs: ['mkdir', 'create', 'create'],
      apart: ['clash', 'edit'],
      afterwards: ['remove', 'moveFile', 'edit'],
    },
    edits: [
      {
        file: 'crdt/settle.ts',
        find: '} else if (ids.has(special.id) || (special.clash && wanted)) {',
        replace: '} else if (ids.size < 0) {',
      },
    ],
  },
  {
    name: 'disposed-copies-settled',
    protects: 'A version that the operation itself disposes of is not made a file first.',
    short: {
      first: 2,
      firstActs: ['mkdir', 'create', 'create'],
      apart: ['clash', 'edit'],
      afterwards: ['remove', 'rmrf', 'moveFile', 'edit'],
    },
    edits: [
      {
        file: 'crdt/settle.ts',
        find: 'if (lead === undefined || group.versions.some(v => scope.disposes(id, v.dot))) return null',
        replace: 'if (lead === undefined) return null',
      },
    ],
  },
  {
    name: 'row-of-a-settled-copy-left',
    protects: 'The row of a conflict copy that became a file of its own stands for that file from then on.',
    short: {
      first: 2,
      firstActs: ['mkdir', 'create', 'create'],
      apart: ['clash', 'edit'],
      afterwards: ['remove', 'moveFile', 'edit', 'over'],
    },
    edits: [
      {
        file: 'crdt/operations.ts',
        find: 'if (settled.length === 0) return\n',
        replace: 'if (settled.length >= 0) return\n',
      },
    ],
  },
  {
    name: 'not-revived',
    protects: 'A directory that lives by its content alone does not go because its content is moved out.',
    short: {
      first: 3,
      firstActs: ['unpack', 'mkdir'],
      apart: ['rmrf', 'edit', 'create'],
      afterwards: ['moveFile', 'remove', 'moveDirectory'],
    },
    edits: [
      {
        file: 'crdt/settle.ts',
        find: 'for (const merged of near.revive) revive(batch, merged, scope)',
        replace: '',
      },
    ],
  },
]

export const PROJECTION_MUTANTS: readonly Mutant[] = [...PROJECTION, ...SETTLING]
