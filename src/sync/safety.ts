// When a folder must stand still: what the state of its root means. Pure.
import type { RootState } from '../core/ports.ts'

export interface Halt {
  /** Stable; see the error table. */
  readonly code: string
  readonly message: string
  /** Only a person's answer (approve, reject) ends it, or the very same root coming back. */
  readonly person: boolean
}

/** Null where the root is the one this folder was added with. Nothing is announced and nothing applied while it is not. */
export function haltOf(root: RootState, name: string): Halt | null {
  const answers = `"kith folder reject ${name}" brings the files back; "kith folder approve ${name}" says that what is gone is gone, and deletes it on your other devices too.`
  switch (root.state) {
    case 'ok':
      return null
    case 'missing':
      return { code: 'root-missing', message: `${root.message} ${answers}`, person: true }
    case 'emptied':
      return { code: 'root-emptied', message: `${root.message} ${answers}`, person: true }
    case 'replaced':
      return { code: 'root-replaced', message: `${root.message} ${answers}`, person: true }
    case 'unreadable':
      return { code: 'permission-denied', message: root.message, person: false }
  }
}
