/**
 * One connection of type `module`, compiled. `options` may hold secrets, so nothing prints it (objects made from `longhaul.yaml`
 * redact it in JSON and in `util.inspect`).
 */
export interface ModuleConnectionConfig {
  readonly type: 'module';
  /** The connection's name in `longhaul.yaml`: what messages call it. */
  readonly name: string;
  /** Absolute path of a TypeScript or JavaScript module. */
  readonly path: string;
  /** The path as the file has it, for messages. */
  readonly written: string;
  /** What the module's `open` is given. Secret. */
  readonly options: Readonly<Record<string, unknown>>;
}
