/** Where an API server's pods send to. Made by destination.ts and shipper.ts. */
export type Destination = {
  /** As messages may name it. */
  readonly what: 'the webhook' | 'the shipper';
  /** A name, or an address without brackets; '' where it is not known here. */
  readonly host: string;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP';
};
