import type { Connector } from '../../connectors/connector.ts';
import type { SecretReference } from '../../model/config/types.ts';
import type { Marker } from '../../model/marker.ts';

/** What an author supplies: the connector, and a source that the kit can change. */
export interface ConformanceHarness {
  readonly connector: Connector;
  /** Objects a page. Small is best, from 2 on; a source with a least page size names that. */
  readonly pageSize: number;
  /** A place of its own for one check, with nothing in scope yet: a new OU, a new tenant, a new simulated server. */
  newSource(): Promise<ConformanceSource>;
}

/** Something a source can't be made to do, and why. Checks that need it are reported as not shown, with this reason. */
export interface NotShown {
  readonly notShown: string;
}

/** Declares that a source can't be made to do something. */
export function notShown(reason: string): NotShown {
  return { notShown: reason };
}

/** Something a source can do on command, or the reason why it can't. There is no third way: nothing is left out silently. */
export type Ability<Action> = Action | NotShown;

/**
 * A source that the kit reads through the connector and changes past it. Objects are named by the ids that the connector gives them. Every
 * change must be there for the connector to read when its promise resolves. The functions are called without the object they are part of.
 */
export interface ConformanceSource extends AsyncDisposable {
  /** `settings` of the integration, as in tidemark.yaml. */
  readonly settings: unknown;
  /** The streams to read, each with its block, as in tidemark.yaml, beside `include` and `mapping`. */
  readonly streams: Readonly<Record<string, unknown>>;
  /** Resolves a secret reference of `settings`. */
  secret(reference: SecretReference): Promise<string>;

  /** The stream that the objects of {@link ConformanceSource.create} are in. */
  readonly stream: string;
  /** The source attribute in which the connector gives an object's `text`. */
  readonly textAttribute: string;
  /** Creates an object in scope and returns its id. No two objects that exist at a time get the same name. */
  create(object: { readonly name: string; readonly text: string }): Promise<string>;
  /** Gives an object another text; `null`: none. */
  change(id: string, text: string | null): Promise<void>;
  delete(id: string): Promise<void>;

  /** Gives an object another name. Its id stays. */
  readonly rename: Ability<(id: string, name: string) => Promise<void>>;
  /** Takes an object out of the scope of the stream (base, filter) without deleting it. */
  readonly leaveScope: Ability<(id: string) => Promise<void>>;
  /** Takes it back into the scope. */
  readonly returnToScope: Ability<(id: string) => Promise<void>>;
  /** Takes back a deleted object under its former id. */
  readonly restore: Ability<(id: string) => Promise<void>>;
  /** Gives an object this many different values of one attribute, and says which values of which attribute the connector is to give. */
  readonly setValues: Ability<(id: string, count: number) => Promise<{ readonly attribute: string; readonly values: readonly string[] }>>;
  /** Objects with links to those of the main stream: groups with members. */
  readonly groups: Ability<ConformanceGroups>;

  /** The connector gives this object twice in its next complete read. */
  readonly repeat: Ability<(id: string) => Promise<void>>;
  /** The next complete read finds the page that would hold these objects empty, with more pages behind it. They may leave the scope for that. */
  readonly emptyPage: Ability<(ids: readonly string[]) => Promise<void>>;
  /** From now on `handler` is called before each request of the connector is answered, and the request waits for it. `undefined` ends that. */
  readonly beforeRequest: Ability<(handler: (() => Promise<void>) | undefined) => void>;
  /** Cuts every connection of the connector now. A request that waits gets no answer. New connections are accepted. */
  readonly cut: Ability<() => Promise<void>>;
  /** The next request is answered with the source's "too many requests", "busy" or the like. */
  readonly limitRate: Ability<() => Promise<void>>;
  /** From now on the source refuses the connector's sign-in: password changed, account disabled, token expired and not renewable. */
  readonly expireSignIn: Ability<() => Promise<void>>;
  /** Takes from the account, from now on, a right without which a complete listing or a deletion would not be seen. No error need follow. */
  readonly loseRights: Ability<() => Promise<void>>;

  /** This marker, had it been taken longer ago than the source remembers changes. */
  readonly expired: Ability<(marker: Marker) => Marker>;
  /** This marker, had the source been further before it was set back to where it is now. */
  readonly ahead: Ability<(marker: Marker) => Marker>;
  /** An id of the right form that the source has never heard of and can say nothing about, for sources where "not found" proves nothing. */
  readonly strangerId: Ability<() => string>;
}

/** The part of a source that has groups. Their members are objects of the main stream. */
export interface ConformanceGroups {
  readonly stream: string;
  /** The kind of the members' links. */
  readonly link: string;
  /** Creates a group in scope and returns its id. */
  create(group: { readonly name: string; readonly members: readonly string[] }): Promise<string>;
  /** Changes a group, but not its members. */
  change(id: string, text: string): Promise<void>;
  delete(id: string): Promise<void>;
  /** Nothing happens if it is one already; likewise where none is removed. */
  addMember(group: string, member: string): Promise<void>;
  removeMember(group: string, member: string): Promise<void>;
}
