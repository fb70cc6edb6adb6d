import type { Client } from '@temporalio/client';

type Event = NonNullable<
  Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['fetchHistory']>>['events']
>[number];

/** Seconds from the first start to the last end of the activities of each type, over these workflows' histories. */
export async function activitySpans(client: Client, workflowIds: readonly string[]): Promise<Map<string, number>> {
  const spans = new Map<string, { from: number; to: number }>();
  for (const workflowId of workflowIds) {
    const { events = [] } = await client.workflow.getHandle(workflowId).fetchHistory();
    for (const { type, from, to } of completed(events ?? [])) {
      const span = spans.get(type) ?? { from, to };
      spans.set(type, { from: Math.min(span.from, from), to: Math.max(span.to, to) });
    }
  }
  return new Map([...spans].map(([type, { from, to }]) => [type, to - from]));
}

function* completed(events: readonly Event[]): Iterable<{ type: string; from: number; to: number }> {
  const byId = new Map(events.map((event) => [String(event.eventId), event]));
  for (const event of events) {
    const ended = event.activityTaskCompletedEventAttributes;
    if (!ended) continue;
    const scheduled = byId.get(String(ended.scheduledEventId))?.activityTaskScheduledEventAttributes;
    const started = byId.get(String(ended.startedEventId));
    if (scheduled && started)
      yield { type: scheduled.activityType?.name ?? '', from: seconds(started), to: seconds(event) };
  }
}

function seconds({ eventTime }: Event): number {
  return Number(eventTime?.seconds) + (eventTime?.nanos ?? 0) / 1e9;
}
