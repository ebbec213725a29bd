/**
 * Short names of published configurations, by which packed data refers to them.
 * Knows: hashing. Does not know: what a configuration is.
 */

/** FNV-1a of a configuration's key as eight hexadecimal digits. */
export function configurationHash(key: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}
