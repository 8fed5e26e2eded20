// What is checked: answers and books, never time. The counts go onto the last line.

export const counts = { passed: 0, failed: 0 };

export function check(what, test) {
	try {
		test();
		counts.passed++;
	} catch (error) {
		counts.failed++;
		process.stderr.write(`bench: not so: ${what}: ${error.message}\n`);
	}
}

/** Something that stops a part from being measured at all. */
export function failed(error) {
	counts.failed++;
	process.stderr.write(`bench: ${error.stack ?? error}\n`);
}

export const say = (text) => process.stderr.write(`${text}\n`);
