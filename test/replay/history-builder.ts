import type { HistoryJson } from './history-file.ts';

/** A failure as history holds it, of the kinds that a launcher can meet. */
export type ScriptedFailure =
  | { readonly kind: 'application'; readonly type: string; readonly details?: readonly unknown[] }
  | { readonly kind: 'canceled' };

/** The id of an event that later events speak of. */
export type EventId = string;

export interface HistoryStart {
  readonly workflowType: string;
  readonly workflowId: string;
  readonly input: readonly unknown[];
  /** What the workflow is started with; keywords. */
  readonly searchAttributes?: Readonly<Record<string, string>>;
}

/**
 * Writes a history by hand, event by event, as the server would: for what a workflow must do in a situation that no server can be made to
 * produce on command. `task` is one turn of the workflow; what follows it, up to the next event from outside, are the commands that the
 * workflow gave in that turn, in their order. Search attributes, arguments and results take part in replay only where workflow code reads
 * them; kinds of commands, types and ids of activities and children are compared.
 */
export interface HistoryBuilder {
  /** Time passes before the next event. */
  later(ms: number): void;
  task(): void;

  upsertSearchAttributes(attributes: Readonly<Record<string, string>>): void;
  localActivity(type: string, result: unknown): void;
  /** Workflow code that is cancelled already asks for an activity: the SDK refuses it, but has given it its number. */
  activityRefused(): void;
  activityScheduled(type: string): EventId;
  activityCompleted(scheduled: EventId, result: unknown): void;
  activityFailed(scheduled: EventId, failure: ScriptedFailure): void;
  activityCancelRequested(scheduled: EventId): void;
  activityCanceled(scheduled: EventId): void;
  timerStarted(): EventId;
  timerFired(started: EventId): void;
  childInitiated(type: string, workflowId: string): EventId;
  childStarted(initiated: EventId): void;
  /** A workflow with the child's id is open. */
  childAlreadyExists(initiated: EventId): void;
  childCompleted(initiated: EventId, result: unknown): void;
  childFailed(initiated: EventId, failure: ScriptedFailure): void;
  childTerminated(initiated: EventId): void;
  childCanceled(initiated: EventId): void;
  /** The workflow asks that its child be cancelled, and the server says that the child has been told. */
  childCancelRequested(initiated: EventId): EventId;
  childCancelDelivered(requested: EventId, initiated: EventId): void;
  cancelRequested(): void;
  completed(result: unknown): void;
  failed(failure: ScriptedFailure): void;
  canceled(): void;

  history(): HistoryJson;
}

const taskQueue = { name: 'scripted', kind: 'TASK_QUEUE_KIND_NORMAL' };
const namespace = 'default';
const childRunId = '00000000-0000-4000-8000-000000000002';

export function buildHistory({ workflowType, workflowId, input, searchAttributes = {} }: HistoryStart): HistoryBuilder {
  const events: Record<string, unknown>[] = [];
  let now = Date.parse('2026-01-01T00:00:00Z');
  let lastTask: EventId = '0';
  /** The SDK numbers activities and local activities together. */
  let activities = 0;
  let timers = 0;
  const children = new Map<EventId, Record<string, unknown>>();
  const childStarts = new Map<EventId, EventId>();
  const activityStarts = new Map<EventId, EventId>();

  const add = (type: string, attributes: Record<string, unknown>): EventId => {
    const eventId = String(events.length + 1);
    now += 10;
    const name = `${type.charAt(0).toLowerCase()}${type.slice(1)}EventAttributes`;
    events.push({ eventId, eventTime: new Date(now).toISOString(), eventType: eventType(type), [name]: attributes });
    return eventId;
  };
  const command = (type: string, attributes: Record<string, unknown>) =>
    add(type, { ...attributes, workflowTaskCompletedEventId: lastTask });
  const ofChild = (initiated: EventId) => ({
    ...children.get(initiated),
    initiatedEventId: initiated,
    startedEventId: childStarts.get(initiated) ?? '0',
  });
  const ofActivity = (scheduled: EventId) => {
    const startedEventId = activityStarts.get(scheduled) ?? add('ActivityTaskStarted', { scheduledEventId: scheduled, attempt: 1 });
    activityStarts.set(scheduled, startedEventId);
    return { scheduledEventId: scheduled, startedEventId };
  };

  add('WorkflowExecutionStarted', {
    workflowType: { name: workflowType },
    workflowId,
    taskQueue,
    input: payloads(...input),
    searchAttributes: { indexedFields: indexedFields(searchAttributes) },
    workflowTaskTimeout: '10s',
    originalExecutionRunId: '00000000-0000-4000-8000-000000000001',
    firstExecutionRunId: '00000000-0000-4000-8000-000000000001',
    attempt: 1,
  });

  return {
    later(ms) {
      now += ms;
    },
    task() {
      const scheduledEventId = add('WorkflowTaskScheduled', { taskQueue, startToCloseTimeout: '10s', attempt: 1 });
      const startedEventId = add('WorkflowTaskStarted', { scheduledEventId });
      lastTask = add('WorkflowTaskCompleted', {
        scheduledEventId,
        startedEventId,
        // Without the flags of the SDK's core, replay takes the history for an old one and does not compare activity types.
        sdkMetadata: { coreUsedFlags: [1, 2, 3] },
      });
    },
    upsertSearchAttributes(attributes) {
      command('UpsertWorkflowSearchAttributes', { searchAttributes: { indexedFields: indexedFields(attributes) } });
    },
    localActivity(type, result) {
      const seq = ++activities;
      const at = { seconds: Math.floor(now / 1000), nanos: 0 };
      const data = {
        seq,
        attempt: 1,
        activity_id: String(seq),
        activity_type: type,
        complete_time: at,
        backoff: null,
        original_schedule_time: at,
      };
      command('MarkerRecorded', { markerName: 'core_local_activity', details: { data: payloads(data), result: payloads(result) } });
    },
    timerStarted() {
      return command('TimerStarted', { timerId: String(++timers), startToFireTimeout: '10s' });
    },
    timerFired(started) {
      add('TimerFired', { timerId: String(timers), startedEventId: started });
    },
    activityRefused() {
      activities++;
    },
    activityScheduled: (type) =>
      command('ActivityTaskScheduled', { activityId: String(++activities), activityType: { name: type }, taskQueue, input: payloads() }),
    activityCompleted(scheduled, result) {
      add('ActivityTaskCompleted', { ...ofActivity(scheduled), result: payloads(result) });
    },
    activityFailed(scheduled, failure) {
      add('ActivityTaskFailed', {
        ...ofActivity(scheduled),
        failure: failureJson(failure),
        retryState: 'RETRY_STATE_NON_RETRYABLE_FAILURE',
      });
    },
    activityCancelRequested(scheduled) {
      command('ActivityTaskCancelRequested', { scheduledEventId: scheduled });
    },
    activityCanceled(scheduled) {
      add('ActivityTaskCanceled', ofActivity(scheduled));
    },
    childInitiated(type, childId) {
      const initiated = command('StartChildWorkflowExecutionInitiated', {
        namespace,
        workflowId: childId,
        workflowType: { name: type },
        taskQueue,
        input: payloads(),
        parentClosePolicy: 'PARENT_CLOSE_POLICY_ABANDON',
        workflowIdReusePolicy: 'WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE',
      });
      children.set(initiated, { namespace, workflowType: { name: type }, workflowExecution: { workflowId: childId, runId: childRunId } });
      return initiated;
    },
    childStarted(initiated) {
      childStarts.set(initiated, add('ChildWorkflowExecutionStarted', { ...children.get(initiated), initiatedEventId: initiated }));
    },
    childAlreadyExists(initiated) {
      const { workflowExecution, ...child } = children.get(initiated) as { workflowExecution: { workflowId: string } };
      add('StartChildWorkflowExecutionFailed', {
        ...child,
        workflowId: workflowExecution.workflowId,
        initiatedEventId: initiated,
        cause: 'START_CHILD_WORKFLOW_EXECUTION_FAILED_CAUSE_WORKFLOW_ALREADY_EXISTS',
      });
    },
    childCompleted(initiated, result) {
      add('ChildWorkflowExecutionCompleted', { ...ofChild(initiated), result: payloads(result) });
    },
    childFailed(initiated, failure) {
      add('ChildWorkflowExecutionFailed', {
        ...ofChild(initiated),
        failure: failureJson(failure),
        retryState: 'RETRY_STATE_RETRY_POLICY_NOT_SET',
      });
    },
    childTerminated(initiated) {
      add('ChildWorkflowExecutionTerminated', ofChild(initiated));
    },
    childCanceled(initiated) {
      add('ChildWorkflowExecutionCanceled', ofChild(initiated));
    },
    childCancelRequested(initiated) {
      const { workflowExecution } = children.get(initiated) as { workflowExecution: { workflowId: string } };
      return command('RequestCancelExternalWorkflowExecutionInitiated', {
        namespace,
        workflowExecution: { workflowId: workflowExecution.workflowId },
        childWorkflowOnly: true,
      });
    },
    childCancelDelivered(requested, initiated) {
      const { workflowExecution } = children.get(initiated) as { workflowExecution: { workflowId: string } };
      add('ExternalWorkflowExecutionCancelRequested', {
        namespace,
        initiatedEventId: requested,
        workflowExecution: { workflowId: workflowExecution.workflowId },
      });
    },
    cancelRequested() {
      add('WorkflowExecutionCancelRequested', {});
    },
    completed(result) {
      command('WorkflowExecutionCompleted', { result: payloads(result) });
    },
    failed(failure) {
      command('WorkflowExecutionFailed', { failure: failureJson(failure), retryState: 'RETRY_STATE_RETRY_POLICY_NOT_SET' });
    },
    canceled() {
      command('WorkflowExecutionCanceled', {});
    },
    history: () => ({ events }),
  };
}

/** `WorkflowTaskScheduled` is `EVENT_TYPE_WORKFLOW_TASK_SCHEDULED` in the JSON form. */
function eventType(type: string): string {
  return `EVENT_TYPE${type.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function payload(value: unknown) {
  return { metadata: { encoding: base64('json/plain') }, data: base64(JSON.stringify(value)) };
}

function indexedFields(attributes: Readonly<Record<string, string>>) {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [
      name,
      { ...payload(value), metadata: { encoding: base64('json/plain'), type: base64('Keyword') } },
    ]),
  );
}

function payloads(...values: readonly unknown[]) {
  return { payloads: values.map(payload) };
}

function failureJson(failure: ScriptedFailure) {
  if (failure.kind === 'canceled') return { message: 'canceled', source: 'TypeScriptSDK', canceledFailureInfo: {} };
  const { type, details = [] } = failure;
  return { message: type, source: 'TypeScriptSDK', applicationFailureInfo: { type, nonRetryable: true, details: payloads(...details) } };
}
