// Libraries that stand between a daemon and its libc.

import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './child.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));

/** Builds bed/`name`.c in `folder`; resolves to what must be in the daemon's environment. */
export async function preload(name, folder) {
	const library = path.join(folder, `${name}.so`);
	const { code, stderr } = await run(process.env.CC || 'cc', ['-std=c11', '-D_GNU_SOURCE',
		'-Wall', '-Wextra', '-Werror', '-O1', '-shared', '-fPIC', '-o', library,
		path.join(here, `${name}.c`), '-ldl']);
	if (code !== 0)
		throw new Error(`${name}.c does not build: ${stderr}`);
	return {
		LD_PRELOAD: library,
		// A build with sanitizers does not come first any more.
		ASAN_OPTIONS: `${process.env.ASAN_OPTIONS ?? ''}:verify_asan_link_order=0`,
	};
}
