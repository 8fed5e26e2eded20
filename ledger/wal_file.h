/* ledger/wal_file.h - the write-ahead log, written in few pieces.
 *
 * SQLite writes each page of a commit in two pieces, a header of 24 bytes and the page, so that
 * a payment took 44 system calls to write. This VFS stands over the default one and is for
 * writing connections: what is written to the log is held back while each piece follows the one
 * before, and goes out as one. Every other file is the default's own, untouched.
 *
 * What is held back is nobody's loss. A commit (synchronous = FULL) ends with xSync of the log,
 * which writes everything out first; only then does SQLite say in the wal-index that its frames
 * are there (walFrames: walIndexWriteHdr comes last). So whoever else has the ledger open, in
 * this process or another, to read or to make a checkpoint, is never pointed at a frame that is
 * still here: what can be here is a transaction that is under way, or one that was given up. A
 * connection with another setting of synchronous must not use it, nor one over a VFS without
 * SQLITE_IOCAP_POWERSAFE_OVERWRITE, which the unix one has unless a URI takes it away: SQLite would
 * fill the log up to a sector, and sync in the middle of that. The connection itself reads
 * back what it spilled: a read writes out first. Before xSync nothing was ever durable, so a
 * crash takes no more than it did.
 *
 * An error goes to the call that met it. Those by whose error SQLite gives a transaction up
 * (write, sync, truncate) drop what could not be written; with any other it is still held, and
 * tried again by the next, so that no sync says yes after bytes were lost.
 * Source: sqlite.org/vfs.html, sqlite.org/walformat.html; wal.c, pager.c of SQLite 3.40.1. */
#ifndef LEDGER_WAL_FILE_H
#define LEDGER_WAL_FILE_H

/* Bytes held back for one log: the commit of a lone payment and then some. As many as the largest
 * page has, which is the most that SQLite asks of a VFS at once: the unix one cuts what is 128 KiB
 * or more to its remainder (seekAndWriteFd in os_unix.c). What is more goes out in more pieces. */
#define WAL_FILE_HELD_MAX (64 * 1024)

/** The name of the VFS, for sqlite3_open_v2; registered over the default VFS of the first call.
 * Any thread. */
const char *wal_file_vfs(void);

#endif
