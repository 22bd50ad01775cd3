// Package lawtest is the rules of ARCHITECTURE.md as failing tests: sizes of
// files and functions, package comments, import directions, one declaration
// per parameter. It holds no code for the mail system, imports none, and reads
// the source tree only.
package lawtest
