/** build.mjs is plain Node, because it runs before anything is built; this is what a test calls of it. */
export function definesOf(root: string): Readonly<Record<string, string>>;
