// A test process ends when its tests have. Node waits at its end for requests of its own
// sockets, and one that a test reset or left half written may never be answered: then it spins
// for ever, with all tests passed. Whoever exits inside of `exit` does not wait.

// Last of all listeners: node:test adds its own when the first test is declared.
setImmediate(() => process.on('exit', () => process.exit())).unref();
