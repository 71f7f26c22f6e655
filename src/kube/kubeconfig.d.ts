/**
 * What we use of the official client's kubeconfig reader (credentials.ts), for the compiler alone: the package's own
 * declarations of this file pull in the generated client of every API group, eight megabytes of text, which was most of
 * what `npm run check` had to read. tsconfig.json names this file in their place; programs and tests run the real one.
 */
import type { RequestOptions } from 'node:https';
import type { Cluster, ConfigOptions, Context, User } from '@kubernetes/client-node/dist/config_types.js';

export declare class KubeConfig {
  clusters: Cluster[];
  users: User[];
  loadFromDefault(): void;
  loadFromFile(file: string): void;
  loadFromString(config: string, opts?: Partial<ConfigOptions>): void;
  loadFromCluster(): void;
  makePathsAbsolute(rootDirectory: string): void;
  getCurrentContext(): string;
  setCurrentContext(context: string): void;
  getContextObject(name: string): Context | null;
  getCurrentCluster(): Cluster | null;
  applyToHTTPSOptions(options: RequestOptions): Promise<void>;
}
