/** install.mjs is plain Node, because it runs before anything is installed; this is what a test calls of it. */
export function isInstalled(root: string): boolean;
