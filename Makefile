# The two that a newcomer needs are `make demo` and `make test`.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.1.4
INTEROP     = examples/simulated-chip/interop

.PHONY: all demo docs test check bench fuzz interop soak

# The three programs, and the simulated chip, into bin/.
all:
	go build -trimpath -o bin/ ./broker ./proxy-agent ./client ./examples/simulated-chip

# The main job, from source to a flashed chip. PORT=/dev/ttyUSB0 uses a board.
demo:
	@.ci/install demo
	@$(MAKE) --no-print-directory all
	@examples/demo.sh $(PORT)

# doc/reference and doc/man, from the definitions of verbs and flags. A test fails
# while they are stale.
docs:
	go test ./broker ./proxy-agent ./client -run '^TestReference$$' -count 1 -update

# Every test.
test:
	@.ci/install test
	go test -timeout 20m ./...
	@$(MAKE) --no-print-directory interop

# The simulated chip against flashers that were not written here.
interop:
	cd $(INTEROP) && go test -timeout 10m ./...

# What a change must pass.
check:
	@.ci/install test
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not gofmt-clean: $$unformatted"; exit 1; fi
	go mod tidy -diff
	cd $(INTEROP) && go mod tidy -diff
	go vet ./...
	go run $(STATICCHECK) ./...
	go test -race -timeout 25m ./...
	@$(MAKE) --no-print-directory interop
	@go run $(GOVULNCHECK) ./... || { status=$$?; \
		if [ $$status = 3 ]; then exit 3; fi; echo "govulncheck could not run here (its database may be out of reach)"; }

# Speed and memory, as ratios within one run where that can be.
bench:
	@.ci/install test
	go test -run '^$$' -bench . -benchmem -timeout 30m ./...

# Every decoder against made-up input, FUZZTIME (1m) each.
fuzz:
	.ci/fuzz

# Mixed jobs and random kills of all three programs, for SOAKTIME (1h).
SOAKTIME = 1h
soak:
	@.ci/install test
	SPOIL_RUNS=2000 go test -timeout 0 -count 1 -v -run '^TestBadLines$$' ./common/flash
	go test -timeout 0 -count 1 -v -run 'TestSoak$$' ./examples -soak $(SOAKTIME)
