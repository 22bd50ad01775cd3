# make build     compile everything into bin/
# make run       a mail system to try out, on this terminal, without root
# make test      all tests; TEST=-oracle runs the scenarios against the real Postfix too
# make fuzz      every fuzz test in turn, FUZZTIME each (30s)
# make bench     speed, side by side with the real Postfix
# make million   a queue of a million deferred messages; N=100000 for another number (12 KB of disk each)
# make crash     the long form of all durability tests, one after the other (hours): kill, order, powercut
# make kill      kill processes under load, ours and the real Postfix, and count what became of each message
# make order     kill each process at its first, second, third … system call, and count likewise
# make powercut  cut the power of a disk under load, ours and the real Postfix, and count what became of each message
# make lint      formatting, vet, staticcheck

GO      ?= go
export CGO_ENABLED = 0

# The names by which the programs are called, as Postfix has them.
COMMANDS = postfix postconf postmap postalias newaliases sendmail mailq postsuper postcat postkick postlock qshape
SETGID   = postqueue postlog

.PHONY: build run test fuzz lint bench million crash kill order powercut

build:
	$(GO) build -trimpath -o bin/posthaste ./cmd/posthaste
	$(GO) build -trimpath -o bin/postdrop ./cmd/postdrop
	@cd bin && for name in $(COMMANDS); do ln -sf posthaste $$name; done
	@cd bin && for name in $(SETGID); do ln -sf postdrop $$name; done

run: build
	@bin/posthaste quickstart var

test: build
	@scripts/test $(TEST)

fuzz:
	@scripts/fuzz

lint:
	@test -z "$$(gofmt -l cmd internal test)" || { gofmt -l cmd internal test; exit 1; }
	$(GO) vet ./...
	$(GO) -C tools build -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	bin/staticcheck ./...

# The relay side by side with the real Postfix; needs root and Debian's postfix.
bench: build
	$(GO) run ./test/load
	$(GO) run ./test/load -maildir -sessions 20 -sizes 4
	$(GO) run ./test/load -idle 10000

# Start, listings and new mail beside very much that waits; needs root and Debian's postfix.
N ?= 1000000
million: build
	$(GO) run ./test/load -deferred $(N)

crash: kill order powercut

# The real Postfix needs root and Debian's postfix; without them ours runs alone.
kill: build
	$(GO) run ./test/crash

# Needs strace and the right to trace.
order: build
	$(GO) run ./test/order

# Needs root, loop devices, xfsprogs and btrfs-progs. POWERCUT='-tier T4 -cuts 1000' says more
# than the 200 cuts of each tier; POWERCUT='-for 3m …' in portions, whose lines of JSON `-add` adds up.
powercut: build
	$(GO) run ./test/powercut $(POWERCUT)
