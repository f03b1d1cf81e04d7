package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/farforge/farforge/client/credential"
	"github.com/farforge/farforge/client/internal/fakefarm"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/provenance"
	"github.com/farforge/farforge/examples/simulated-chip/simulator"
)

// asClient is the environment variable that makes the test binary run as the client.
const asClient = "FARFORGE_TEST_AS_CLIENT"

func TestMain(m *testing.M) {
	if os.Getenv(asClient) != "" {
		main()
	}
	testscript.Main(leakChecked{m}, map[string]func(){"client": main})
}

// leakChecked fails if the tests leave goroutines behind.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	// Tests must not add agents to the user's own list.
	dir, err := os.MkdirTemp("", "farforge-config-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv("XDG_CONFIG_HOME", dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := l.m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			for _, name := range []string{"FARFORGE_URL", credential.AccessKeyVariable, credential.OIDCTokenVariable, "ESPTOOL_PORT", "ESPTOOL_BAUD", "ESPTOOL_CHIP", "ESPTOOL_BEFORE", "ESPTOOL_AFTER"} {
				e.Setenv(name, "")
			}
			e.Values[brokerKey{}] = new(*fakefarm.Broker)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start-broker":   func(ts *testscript.TestScript, neg bool, args []string) { startFarm(t, ts, neg, args) },
			"change":         change,
			"check-token":    checkToken,
			"set-agents":     setAgents,
			"check-query":    checkQuery,
			"check-request":  checkRequest,
			"check-outcomes": checkOutcomes,
			"start-board":    func(ts *testscript.TestScript, neg bool, args []string) { startBoard(t, ts, neg, args) },
			"exits":          exits,
		},
	})
}

// agents are the behaviors that start-broker can give its agent.
var agents = map[string]fakefarm.Agent{
	"builds":   fakefarm.Succeeds(fakefarm.Made()),
	"fails":    fakefarm.Fails,
	"vanishes": fakefarm.Starts,
	"sends-wrong-bytes": func(ctx context.Context, s *fakefarm.Session) error {
		if err := fakefarm.Starts(ctx, s); err != nil {
			return err
		}
		files := fakefarm.Made()
		if err := s.Firmware(ctx, files); err != nil {
			return err
		}
		files["hello.bin"] = "something else"
		return s.End(ctx, channel.Result{Outcome: api.OutcomeSucceeded, Artifacts: fakefarm.Artifacts(files), FlashMap: "flasher_args.json"})
	},
}

// startFarm is the script command "start-broker AGENT [PROBLEM-CODE]": it starts a
// broker with an agent and puts its URL into FARFORGE_URL.
func startFarm(t *testing.T, ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || agents[args[0]] == nil {
		ts.Fatalf("usage: start-broker AGENT [PROBLEM-CODE]")
	}
	b := fakefarm.New(scripted{t, ts}, agents[args[0]])
	if len(args) > 1 {
		problem := &api.Problem{Status: 503, Code: api.Code(args[1]), Detail: "no agent builds for esp32c3", Hints: []string{"1 agent is online; it builds for esp32"}}
		if problem.Code == api.CodeUnauthorized {
			problem = &api.Problem{Status: 401, Code: problem.Code, Detail: "the request carries no token that is known here"}
		}
		b.Set(func(s *fakefarm.Settings) { s.Problem = problem })
	}
	ts.Setenv("FARFORGE_URL", b.URL)
	*ts.Value(brokerKey{}).(**fakefarm.Broker) = b
}

// brokerKey is the key of a script's last broker.
type brokerKey struct{}

// changes are the changes to broker and agent that the script command change makes.
var changes = map[string]func(scripted, *fakefarm.Settings){
	"new-key":     func(t scripted, s *fakefarm.Settings) { s.Key = fakefarm.NewKey(t) },
	"other-agent": func(t scripted, s *fakefarm.Settings) { s.Key, s.Name = fakefarm.NewKey(t), "other" },
	"no-sealing-key": func(_ scripted, s *fakefarm.Settings) {
		s.Candidates = func(c []api.Candidate) []api.Candidate { c[0].Sealing = nil; return c }
	},
	"no-statement":    func(_ scripted, s *fakefarm.Settings) { s.Unsigned = true },
	"wrong-signature": func(t scripted, s *fakefarm.Settings) { s.Signs = fakefarm.NewKey(t) },
	"wrong-digest": func(_ scripted, s *fakefarm.Settings) {
		s.Statement = func(b *provenance.Build) { b.Artifacts[1].SHA256 = strings.Repeat("0", 64) }
	},
	"other-bytes": func(_ scripted, s *fakefarm.Settings) {
		files := fakefarm.Made()
		files["hello.elf"], files["new.map"] = "built at another time", "x"
		s.Agent = fakefarm.Succeeds(files)
	},
	"explains": func(_ scripted, s *fakefarm.Settings) {
		s.Explanation = []api.Explained{{Name: "bench", Fingerprint: s.Key.Fingerprint(), Score: api.Score{Expected: 61.9, Duration: 61, Lost: 30, Success: 0.97, Speed: 1, Warmth: 1, Luck: 1}}}
	},
	"busy-agents": func(_ scripted, s *fakefarm.Settings) {
		s.Waits = []api.Waiting{{Position: 3, EstimateSecs: 120}, {Position: 3, EstimateSecs: 90}, {Position: 2}}
	},
	"agents-stay-busy": func(_ scripted, s *fakefarm.Settings) { s.Waits, s.Hold = nil, true },
	"honest":           func(_ scripted, s *fakefarm.Settings) { s.Hostile = fakefarm.Hostile{} },
}

// change is the script command "change WHAT": broker or agent change.
func change(ts *testscript.TestScript, neg bool, args []string) {
	b := *ts.Value(brokerKey{}).(**fakefarm.Broker)
	if neg || len(args) != 1 || changes[args[0]] == nil || b == nil {
		ts.Fatalf("usage: change WHAT, after start-broker")
	}
	b.Set(func(s *fakefarm.Settings) { changes[args[0]](scripted{nil, ts}, s) })
}

// checkToken is the script command "check-token TOKEN": the last grant request must
// have carried it.
func checkToken(ts *testscript.TestScript, neg bool, args []string) {
	b := *ts.Value(brokerKey{}).(**fakefarm.Broker)
	if neg || len(args) != 1 || b == nil {
		ts.Fatalf("usage: check-token TOKEN, after start-broker")
	}
	if got := b.Tokens(); len(got) == 0 || got[len(got)-1] != args[0] {
		ts.Fatalf("the broker got the tokens %q", got)
	}
}

// checkRequest is the script command "check-request REGEXP": the last grant request, as
// JSON, must match; with a ! it must not.
func checkRequest(ts *testscript.TestScript, neg bool, args []string) {
	b := *ts.Value(brokerKey{}).(**fakefarm.Broker)
	if len(args) != 1 || b == nil {
		ts.Fatalf("usage: [!] check-request REGEXP, after start-broker")
	}
	needs := b.Needs()
	if len(needs) == 0 {
		ts.Fatalf("the broker got no request")
	}
	text, err := json.Marshal(needs[len(needs)-1])
	ts.Check(err)
	if regexp.MustCompile(args[0]).Match(text) == neg {
		ts.Fatalf("the broker got the request %s", text)
	}
}

// checkOutcomes is the script command "check-outcomes OUTCOME…": clients confirmed these outcomes to
// the broker, in this order.
func checkOutcomes(ts *testscript.TestScript, neg bool, args []string) {
	b := *ts.Value(brokerKey{}).(**fakefarm.Broker)
	if neg || b == nil {
		ts.Fatalf("usage: check-outcomes OUTCOME…, after start-broker")
	}
	var outcomes []string
	for _, word := range b.Words() {
		outcomes = append(outcomes, string(word.Outcome))
	}
	if !slices.Equal(outcomes, args) {
		ts.Fatalf("the confirmed outcomes are %q", outcomes)
	}
}

// startBoard is the script command "start-board CHIP": a simulated board, whose port
// goes into ESPTOOL_PORT.
func startBoard(t *testing.T, ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: start-board CHIP")
	}
	port, err := serveBoard(scripted{t, ts}, args[0])
	ts.Check(err)
	ts.Setenv("ESPTOOL_PORT", port)
}

// exits is the script command "exits CODE COMMAND…": the command must end with
// exactly that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	code := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		code = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}

// serveBoard starts a simulated board on a socket and returns its port.
func serveBoard(t fakefarm.T, kind string) (port string, err error) {
	chip, err := simulator.New(simulator.Config{Chip: kind, Strap: simulator.Download, AutoDownload: true})
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		if err := chip.ServeListener(ctx, l); err != nil && ctx.Err() == nil {
			t.Errorf("simulated board: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); group.Wait() })
	return "tcp://" + l.Addr().String(), nil
}

// scripted ends with the script and fails the test that runs it.
type scripted struct {
	t  *testing.T
	ts *testscript.TestScript
}

func (s scripted) Errorf(format string, args ...any) {
	if s.t == nil {
		s.ts.Fatalf(format, args...)
	}
	s.t.Errorf(s.ts.Name()+": "+format, args...)
}
func (s scripted) Cleanup(f func()) { s.ts.Defer(f) }
