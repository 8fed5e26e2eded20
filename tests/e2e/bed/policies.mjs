// Policies that the tests give their agents, in the words of the policy file.

/** Every tool, and these limits. */
export const policyOf = (...limits) => ({ tools: { allowlist: ['*'] }, limits });

export const spend = (scope, window, dollars) => ({ scope, window, spend: dollars });
export const calls = (scope, window, count) => ({ scope, window, calls: count });

/** Wide enough for what the tests buy; nothing is unlimited even so. */
export const GENEROUS = policyOf(
	spend('agent', 'call', '1.00'), spend('session', 'total', '50.00'), spend('agent', 'day', '50.00'));
