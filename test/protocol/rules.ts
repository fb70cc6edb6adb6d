/**
 * The rules of the commit protocol, each with what it demands. The model keeps them all but those it is told to break, so that a
 * test can show what each is for.
 */
export const RULES = {
  'receipt conflict': 'an attempt that finds a receipt writes nothing and answers with it',
  'one transaction': 'rows and receipt become durable together',
  'partition lock': 'an attempt ends whoever holds its partition',
  'predicate hash': 'a receipt answers only for the predicate it was written for',
  'stored plan': 'a plan that is stored is used, and never made anew',
  'state check': 'the last step before COMMIT reads the state of the table',
  'check holds the row': 'that step keeps the state as it is until COMMIT',
  'check compares the snapshot': 'that step reads the number of the snapshot too',
  're-read at publish': 'publish counts the receipts itself',
  'state at the swap': 'the swap reads the state again',
  'publish lock': 'who closes, opens or publishes a table ends whoever is in the middle of its swap',
  'brief rows': 'the server ends a session that is silent while it holds the row of its table',
  'wait for readers': 'publish waits for transactions that are older than the last partition',
  'skip writes a receipt': 'a skipped partition has a receipt',
  'close before ending': 'a discard changes the state before it ends sessions and drops staging',
  'prepare checks the state': 'staging is made only for a table that is open',
  'no new staging under receipts': 'staging that is gone is not made again while there are receipts',
  'start over updates first': 'a start over changes the row before it deletes receipts',
  'staging by snapshot': 'every snapshot has a staging table of its own',
  'logged staging': 'staging survives a crash of its server',
} as const;

export type Rule = keyof typeof RULES;

/** The rules that are in force: all but `broken`. */
export class Rules {
  readonly #broken: ReadonlySet<Rule>;

  constructor(broken: readonly Rule[] = []) {
    this.#broken = new Set(broken);
  }

  has(rule: Rule): boolean {
    return !this.#broken.has(rule);
  }
}
