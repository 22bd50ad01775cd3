package lawtest

// rows is the order of the packages: a package imports only from rows above
// its own. A pattern that ends in /* stands for all packages below that
// directory; the longest pattern that fits a package counts.
var rows = [][]string{
	0: {"internal/mail"},
	1: {"internal/config", "internal/maillog", "internal/metrics", "internal/ipc", "internal/gang", "internal/getopt", "internal/selection", "internal/protocol/*"},
	2: {"internal/table", "internal/table/*", "internal/queue", "internal/queue/*", "internal/tlspolicy"},
	3: {"internal/address", "internal/deliver", "internal/mailbox", "internal/showq"},
	4: {"internal/intake", "internal/deliver/remote", "internal/deliver/user"},
	5: {"internal/receive/*", "internal/schedule", "internal/deliver/*", "internal/report", "internal/flush"},
	// system is a small stack of its own: what is passed to a child, the child's
	// skeleton, the master, the wiring.
	6:  {"internal/system/spec", "internal/system/privilege", "internal/command/setgid"},
	7:  {"internal/system/host"},
	8:  {"internal/system/master"},
	9:  {"internal/system/run", "internal/system/quickstart", "internal/command", "internal/command/*", "internal/dashboard", "internal/lawtest"},
	10: {"cmd/*"},
}

// firstService and lastService are the rows that take their tables from the
// wiring and must not know a table type.
const (
	firstService = 3
	lastService  = 5
)

// notImported are packages that only the programs themselves may import.
var notImported = []string{"internal/command", "internal/dashboard"}
