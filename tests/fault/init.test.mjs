// `tallyward init` killed after each file it makes: the next init goes on from there, and what
// the first one made is what the folder has.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { it } from 'node:test';
import { run } from '../e2e/bed/child.mjs';
import { faultProgram } from './house.mjs';

/** Everything in the folder, but for what a cut off file_create leaves beside its file. */
const contents = (dir) => Object.fromEntries(fs.readdirSync(dir, { recursive: true })
	.filter((name) => !/\.[A-Za-z0-9]{6}$/.test(name) && fs.statSync(path.join(dir, name)).isFile())
	.map((name) => [name, fs.readFileSync(path.join(dir, name), 'latin1')]));

it('killed after any file: the next one completes it', async () => {
	for (let passage = 1; ; passage++) {
		const home = fs.mkdtempSync(path.join(os.tmpdir(), 'tallyward-fault-'));
		const dir = path.join(home, 'data');
		const tallyward = (args, env = {}) =>
			run(faultProgram(), args, { cwd: home, env: { TALLYWARD_DIR: dir, ...env } });
		const killed = await tallyward(['init'], { FAULT_AT: `file named:${passage}` });
		const before = contents(dir);
		if (killed.signal === null) {
			assert.equal(killed.code, 0, killed.stderr);
			assert.ok(passage > 5, `init makes ${passage - 1} files`);
			return;
		}
		const again = await tallyward(['init']);
		const all = 'tallyward.json' in before;
		assert.equal(again.code, all ? 1 : 0, `after file ${passage}: ${again.stderr}`);
		const after = contents(dir);
		for (const name of Object.keys(before).filter((each) => !each.startsWith('ledger.db')))
			assert.equal(after[name], before[name], `${name} was made anew after file ${passage}`);
		const checked = await tallyward(['doctor']);
		assert.equal(checked.code, 0, `after file ${passage}: ${checked.stdout}${checked.stderr}`);
		const added = await tallyward(['agent', 'add', 'first', '--owner', 'o@example.com']);
		assert.equal(added.code, 0, added.stderr);
		fs.rmSync(home, { recursive: true });
	}
});
