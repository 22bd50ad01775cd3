// Package mailbox writes messages into maildirs and mbox files and reads the
// small files that users keep (.forward, :include:). It is plain file code: it
// never changes its user, knows no configuration and logs nothing. It is meant
// to run in a process that already has the rights of the mailbox's owner, so
// that a mistake here can harm that user only.
//
// Success means durable: the file and the directory entry that leads to it
// were synced. A failed delivery leaves the mailbox as it was, and so does one
// whose context ends, because then nobody learns of its success.
package mailbox
