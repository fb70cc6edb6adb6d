/** What a test arms in a worker process, told by the environment of that process alone. */
export function armFromEnvironment(_env: NodeJS.ProcessEnv): void {
  // Fail points come here.
}
