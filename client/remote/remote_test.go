package remote

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/farforge/farforge/client/internal/fakefarm"
	"github.com/farforge/farforge/client/project"
	"github.com/farforge/farforge/client/trust"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
	"github.com/farforge/farforge/common/cli"
	"github.com/farforge/farforge/common/identity"
	"github.com/farforge/farforge/common/signaling"
)

func TestMain(m *testing.M) {
	if os.Getenv(asFarm) != "" {
		farm()
	}
	goleak.VerifyTestMain(m)
}

// try is one job at the farm, with its events.
type try struct {
	job    Job
	dir    string // where artifacts go
	known  *identity.KnownAgents
	events []Event
}

func newTry(t *testing.T, b *fakefarm.Broker) *try {
	t.Helper()
	source := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, "main.c"), []byte("int main(void) { return 0; }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := project.Open(source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	manifest, err := p.Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	broker, err := signaling.New(signaling.Config{URL: b.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	x := &try{dir: t.TempDir()}
	root, err := os.OpenRoot(x.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	x.known = identity.NewKnownAgents(filepath.Join(t.TempDir(), "known_agents"))
	x.job = Job{
		Broker: broker,
		Trust:  &trust.Agents{Known: x.known, Broker: broker.Origin()},
		Need:   api.GrantRequest{CPUCores: 1, MemoryMB: 256, TimeoutSecs: 60, Target: "esp32c3"},
		Build:  channel.Build{Project: "hello"},
		Source: manifest, Open: p.OpenFile,
		Sink:         func() (channel.Sink, error) { return channel.NewDirSink(root), nil },
		QueueTimeout: 30 * time.Second,
		Events:       func(e Event) { x.events = append(x.events, e) },
	}
	return x
}

func TestSuccess(t *testing.T) {
	t.Parallel()
	b := fakefarm.New(t, func(ctx context.Context, s *fakefarm.Session) error {
		if s.Build.Project != "hello" {
			t.Errorf("the build request to the agent is %+v", s.Build)
		}
		err := fakefarm.Succeeds(fakefarm.Made())(ctx, s)
		if text, readErr := os.ReadFile(filepath.Join(s.Dir, "main.c")); readErr != nil || !strings.HasPrefix(string(text), "int main") {
			t.Errorf("the agent got %q, %v", text, readErr)
		}
		return err
	})
	b.Set(func(s *fakefarm.Settings) { s.Waits = []api.Waiting{{Position: 2, EstimateSecs: 90}} })
	x := newTry(t, b)
	got, err := Run(t.Context(), x.job)
	if err != nil {
		t.Fatal(err)
	}
	if got.Agent.Name != fakefarm.Name || got.Agent.Fingerprint != b.Key.Fingerprint() || got.Relayed {
		t.Errorf("the agent is %+v, relayed %v", got.Agent, got.Relayed)
	}
	if got.Result.BuildMS != 42 || len(got.Received.Files) != 5 || got.Sent.Bytes != 29 || got.Up == 0 || got.Down == 0 || got.Setup <= 0 || got.Total < got.Setup {
		t.Errorf("outcome %+v", got)
	}
	said(t, b, api.OutcomeSucceeded)
	if took := b.Words()[0].DurationMS; took > got.Total.Milliseconds() {
		t.Errorf("the client confirmed %d ms from the answer to the end, of %v in all", took, got.Total)
	}
	if text, err := os.ReadFile(filepath.Join(x.dir, "hello.bin")); string(text) != fakefarm.Image() {
		t.Errorf("hello.bin: %q, %v", text, err)
	}
	var order []string
	for _, e := range x.events {
		switch e := e.(type) {
		case Granted:
			order = append(order, "granted")
		case Waiting:
			order = append(order, "waiting")
			if e != (Waiting{2, 90 * time.Second}) {
				t.Errorf("waiting: %+v", e)
			}
		case Connected:
			order = append(order, "connected")
		case Stage:
			order = append(order, string(e.Name))
		case Log:
			order = append(order, e.Lines...)
		}
	}
	want := []string{"granted", "waiting", "connected", "source", "build", "cc main.c", "ld hello.elf", "artifacts"}
	if !slices.Equal(order, want) {
		t.Errorf("events %q\nwant   %q", order, want)
	}
	for _, last := range []func(Event) bool{
		func(e Event) bool { u, ok := e.(Upload); return ok && u.Done == u.Total && u.Total == 29 },
		func(e Event) bool { d, ok := e.(Download); return ok && d.Done == d.Total && d.Total > 0 },
	} {
		if !slices.ContainsFunc(x.events, last) {
			t.Error("a transfer's last progress is missing")
		}
	}
	if need := b.Needs()[0]; need.Target != "esp32c3" || !slices.Equal(need.RequiredChannels, x.job.labels()) {
		t.Errorf("the broker got the need %+v", need)
	}
}

// TestSourceByReference: the agent gets the URL of the source, and the client sends no
// files.
func TestSourceByReference(t *testing.T) {
	t.Parallel()
	source := channel.Source{URL: "https://example.org/hello.tar.gz", SHA256: strings.Repeat("ab", 32), StripComponents: 1}
	b := fakefarm.New(t, func(ctx context.Context, s *fakefarm.Session) error {
		if s.Build.Source == nil || *s.Build.Source != source {
			t.Errorf("the build request to the agent is %+v", s.Build)
		}
		return fakefarm.Succeeds(fakefarm.Made())(ctx, s)
	})
	x := newTry(t, b)
	x.job.Source, x.job.Open, x.job.Build.Source = nil, nil, &source
	got, err := Run(t.Context(), x.job)
	if err != nil || got.Sent.Files != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	if need := b.Needs()[0]; slices.Contains(need.RequiredChannels, channel.LabelSource) {
		t.Errorf("the broker got the channels %q", need.RequiredChannels)
	}
}

// TestFailures: each end of a job has its message and its exit code.
func TestFailures(t *testing.T) {
	t.Parallel()
	result := func(outcome api.Outcome, code channel.ProblemCode, text string) fakefarm.Agent {
		return func(ctx context.Context, s *fakefarm.Session) error {
			return s.End(ctx, channel.Result{Outcome: outcome, Problem: &channel.Problem{Code: code, Message: text, Hints: []string{"do this"}}})
		}
	}
	tests := []struct {
		name   string
		agent  fakefarm.Agent
		change func(*fakefarm.Settings, *try)
		exit   cli.Exit
		want   string
		hint   string
		within time.Duration
		says   api.Outcome // to the broker; empty: nothing
	}{
		{name: "compiler error", agent: fakefarm.Fails, exit: cli.BuildFailed, want: "the build failed: make ended with exit code 2", says: api.OutcomeBuildFailed},
		{name: "time limit", agent: result(api.OutcomeTimedOut, channel.ProblemTimeLimit, "it took longer than 60 s"), exit: cli.BuildFailed, want: "longer than 60 s", says: api.OutcomeTimedOut},
		{name: "no recipe", agent: result(api.OutcomeRefused, channel.ProblemNoRecipe, "no recipe recognizes the project"), exit: cli.NoAgent, want: "no recipe", says: api.OutcomeRefused},
		{name: "manifest refused", agent: result(api.OutcomeRefused, channel.ProblemManifest, "the manifest is refused"), exit: cli.Usage, want: "manifest", says: api.OutcomeRefused},
		{name: "reference refused", agent: result(api.OutcomeRefused, channel.ProblemSource, "the host example.org is not allowed"), exit: cli.Usage, want: "example.org is not allowed", says: api.OutcomeRefused},
		{name: "archive with another hash", agent: result(api.OutcomeRefused, channel.ProblemContent, "the archive has the SHA-256 ab"), exit: cli.Verification, want: "the archive has", says: api.OutcomeRefused},
		{name: "agent's own failure", agent: result(api.OutcomeAgentFailed, channel.ProblemAgentFailure, "disk full"), exit: cli.LostAgent, want: "bench gave up: disk full", says: api.OutcomeAgentFailed},
		{name: "result without a reason", agent: func(ctx context.Context, s *fakefarm.Session) error {
			return s.End(ctx, channel.Result{Outcome: api.OutcomeRefused})
		}, exit: cli.NoAgent, want: `ended as "refused"`, says: api.OutcomeRefused},
		{name: "agent that cancels unasked", agent: result(api.OutcomeCanceled, channel.ProblemCanceled, "the build was canceled"), exit: cli.LostAgent, want: "bench gave up", says: api.OutcomeAgentFailed},
		{name: "agent vanishes", agent: func(ctx context.Context, s *fakefarm.Session) error {
			return fakefarm.Starts(ctx, s) // and its connection is closed
		}, exit: cli.LostAgent, want: "lost bench in the middle of the job", within: 10 * time.Second, says: api.OutcomeLost},
		{name: "control channel closed", agent: func(ctx context.Context, s *fakefarm.Session) error {
			return errors.Join(fakefarm.Starts(ctx, s), s.Control.Close(), s.Closed(ctx))
		}, exit: cli.LostAgent, want: "closed the control channel without a result", says: api.OutcomeLost},
		{name: "source channel closed, then a reason", agent: func(ctx context.Context, s *fakefarm.Session) error {
			m, err := s.Conn.Channel(ctx, channel.LabelSource)
			if err != nil {
				return err
			}
			if err := m.Close(); err != nil {
				return err
			}
			return result(api.OutcomeRefused, channel.ProblemSizeLimit, "larger than 1 MiB")(ctx, s)
		}, exit: cli.Usage, want: "larger than 1 MiB", says: api.OutcomeRefused},
		{name: "source channel closed, and no reason", agent: func(ctx context.Context, s *fakefarm.Session) error {
			m, err := s.Conn.Channel(ctx, channel.LabelSource)
			if err != nil {
				return err
			}
			return errors.Join(m.Close(), s.Closed(ctx))
		}, exit: cli.LostAgent, want: "closed the channel of the source files", says: api.OutcomeLost},
		{name: "refused channel", agent: func(ctx context.Context, s *fakefarm.Session) error {
			err := s.Say(ctx, &channel.Message{Type: channel.TypeProblem, Problem: &channel.Problem{Code: channel.ProblemUngranted, Message: `the channel "firmware" is not in the grant`}})
			<-s.Canceled
			return errors.Join(err, s.End(ctx, channel.Result{Outcome: api.OutcomeCanceled}))
		}, change: func(b *fakefarm.Settings, _ *try) {
			b.Allow = func(label string) error {
				if label == channel.LabelFirmware {
					return errors.New("not granted")
				}
				return nil
			}
		}, exit: cli.NoAgent, want: `bench refuses the job: the channel "firmware" is not in the grant`, says: api.OutcomeRefused},
		{name: "content with another hash", agent: func(ctx context.Context, s *fakefarm.Session) error {
			if err := fakefarm.Starts(ctx, s); err != nil {
				return err
			}
			m, err := s.Conn.Channel(ctx, channel.LabelFirmware)
			if err != nil {
				return err
			}
			if err := lie(ctx, m); err != nil {
				return err
			}
			<-s.Canceled
			return s.End(ctx, channel.Result{Outcome: api.OutcomeCanceled})
		}, exit: cli.Verification, want: "does not have the SHA-256 that the manifest gives", says: api.OutcomeAgentFailed},
		{name: "source file that changes", agent: func(ctx context.Context, s *fakefarm.Session) error {
			if err := s.Source(ctx); err == nil {
				return errors.New("a changed file was received")
			}
			<-s.Canceled
			return s.End(ctx, channel.Result{Outcome: api.OutcomeCanceled})
		}, change: func(_ *fakefarm.Settings, x *try) {
			x.job.Open = func(channel.File) (io.ReadCloser, error) {
				return io.NopCloser(strings.NewReader(strings.Repeat("x", 29))), nil
			}
		}, exit: cli.Usage, want: "main.c changed while it was being sent", says: api.OutcomeCanceled},
		{name: "no agent able", change: func(b *fakefarm.Settings, _ *try) {
			b.Problem = &api.Problem{Status: 503, Code: api.CodeNoTarget, Detail: "no agent builds for esp32c3", Hints: []string{"1 agent is online"}}
		}, exit: cli.NoAgent, want: "no agent builds for esp32c3"},
		{name: "broker refuses", change: func(b *fakefarm.Settings, _ *try) {
			b.Problem = &api.Problem{Status: 403, Code: api.CodeForbidden, Detail: "not for you"}
		}, exit: cli.Broker, want: "the broker refuses: not for you (403 forbidden)"},
		{name: "no agent takes it", change: func(b *fakefarm.Settings, x *try) {
			b.Hold = true
			x.job.QueueTimeout = 3 * time.Second
		}, exit: cli.NoAgent, want: "no agent took the job within 3s"},
		{name: "no recipe for the kind", change: func(b *fakefarm.Settings, x *try) {
			b.Problem = &api.Problem{Status: 503, Code: api.CodeNoRecipe, Detail: "no agent offers esp-idf", Hints: []string{"2 agents are online; they offer make"}}
			x.job.Need.Kind = "esp-idf"
		}, exit: cli.NoAgent, want: "this is a project for ESP-IDF; no agent offers esp-idf"},
		{name: "file that another program appends to", agent: func(ctx context.Context, s *fakefarm.Session) error {
			if err := s.Source(ctx); err == nil {
				return errors.New("a changed file was received")
			}
			<-s.Canceled
			return s.End(ctx, channel.Result{Outcome: api.OutcomeCanceled})
		}, change: func(_ *fakefarm.Settings, x *try) {
			open := x.job.Open
			x.job.Open = func(f channel.File) (io.ReadCloser, error) {
				file, err := open(f)
				return struct {
					io.Reader
					io.Closer
				}{io.MultiReader(file, strings.NewReader("one line more")), file}, err
			}
		}, exit: cli.Usage, want: "main.c changed while it was being sent", hint: "leave it out:  echo '/main.c' >> .farforgeignore", says: api.OutcomeCanceled},
		{name: "bad need", change: func(_ *fakefarm.Settings, x *try) { x.job.Need.Target = "esp 32" }, exit: cli.Usage, want: "target"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := fakefarm.New(t, tt.agent)
			x := newTry(t, b)
			if tt.change != nil {
				b.Set(func(s *fakefarm.Settings) { tt.change(s, x) })
			}
			start := time.Now()
			_, err := Run(t.Context(), x.job)
			if cli.Code(err) != tt.exit || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got exit code %d, %v\nwant %d, %q", cli.Code(err), err, tt.exit, tt.want)
			}
			if hints := strings.Join(cli.Hints(err), "\n"); !strings.Contains(hints, tt.hint) {
				t.Errorf("hints %q, want %q", hints, tt.hint)
			}
			if strings.Count(err.Error(), tt.want) != 1 {
				t.Errorf("the error is repeated: %v", err)
			}
			if took := time.Since(start); tt.within > 0 && took > tt.within {
				t.Errorf("it took %v to notice", took)
			}
			said(t, b, tt.says)
		})
	}
}

// lie sends contents that differ from the manifest.
func lie(ctx context.Context, m channel.Messages) error {
	files := fakefarm.Artifacts(map[string]string{"a.bin": "good"})
	manifest := &channel.Manifest{Files: []channel.File{{Path: "a.bin", Kind: channel.KindFile, Size: 4, SHA256: files[0].SHA256}}}
	text := `{"files":[{"path":"a.bin","kind":"file","size":4,"sha256":"` + manifest.Files[0].SHA256 + `"}]}`
	if err := channel.WriteObject(ctx, m, channel.ObjectManifest, int64(len(text)), strings.NewReader(text)); err != nil {
		return err
	}
	if err := channel.ReadObject(ctx, m, channel.ObjectNeed, 1<<20, func(int64, io.Reader) error { return nil }); err != nil {
		return err
	}
	return channel.WriteObject(ctx, m, channel.ObjectContents, 4, strings.NewReader("evil"))
}

// TestAgentThatClosesFirst: the job succeeds if all has arrived, even if the agent does
// not wait for the client to close the connection.
func TestAgentThatClosesFirst(t *testing.T) {
	t.Parallel()
	b := fakefarm.New(t, func(ctx context.Context, s *fakefarm.Session) error {
		if err := fakefarm.Starts(ctx, s); err != nil {
			return err
		}
		result := &channel.Result{Outcome: api.OutcomeSucceeded, Artifacts: fakefarm.Artifacts(fakefarm.Made())}
		err := s.Say(ctx, &channel.Message{Type: channel.TypeResult, Result: result})
		_ = s.Firmware(ctx, fakefarm.Made()) // the client may close the channel before it acknowledges all of it
		return err
	})
	for range 20 {
		if _, err := Run(t.Context(), newTry(t, b).job); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCancelStopsTheBuild(t *testing.T) {
	t.Parallel()
	started, canceled := make(chan struct{}), make(chan struct{})
	b := fakefarm.New(t, func(ctx context.Context, s *fakefarm.Session) error {
		err := fakefarm.Waits(started)(ctx, s)
		select {
		case <-s.Canceled:
			close(canceled)
		default:
		}
		return err
	})
	x := newTry(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-started; cancel() }()
	_, err := Run(ctx, x.job)
	if cli.Code(err) != cli.Interrupted {
		t.Fatalf("got %v", err)
	}
	if !slices.ContainsFunc(x.events, func(e Event) bool { _, ok := e.(Canceling); return ok }) {
		t.Error("the user got no notice")
	}
	select {
	case <-canceled:
	case <-time.After(10 * time.Second):
		t.Error("the agent got no cancel message")
	}
	said(t, b, api.OutcomeCanceled)
}

// TestCancelDoesNotWaitForASilentAgent: the agent never sends its result.
func TestCancelDoesNotWaitForASilentAgent(t *testing.T) {
	t.Parallel()
	started := make(chan struct{})
	b := fakefarm.New(t, func(ctx context.Context, s *fakefarm.Session) error {
		err := fakefarm.Starts(ctx, s)
		close(started)
		return errors.Join(err, s.Closed(ctx))
	})
	x := newTry(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	var asked time.Time
	go func() { <-started; asked = time.Now(); cancel() }()
	_, err := Run(ctx, x.job)
	if cli.Code(err) != cli.Interrupted {
		t.Fatalf("got %v", err)
	}
	if took := time.Since(asked); took > cancelTimeout+3*time.Second {
		t.Errorf("it took %v", took)
	}
	said(t, b, api.OutcomeCanceled)
}

func TestCancelWhileWaitingForAnAgent(t *testing.T) {
	t.Parallel()
	b := fakefarm.New(t, nil)
	b.Set(func(s *fakefarm.Settings) { s.Hold = true })
	x := newTry(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	x.job.Events = func(Event) { cancel() } // once the grant is there
	if _, err := Run(ctx, x.job); cli.Code(err) != cli.Interrupted {
		t.Fatalf("got %v", err)
	}
	said(t, b, "")
}

// TestAgentsGetTheirOwnCacheKey: the agent of the job gets its own key, or none.
func TestAgentsGetTheirOwnCacheKey(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	b := fakefarm.New(t, func(ctx context.Context, s *fakefarm.Session) error {
		seen <- s.Build.Cache
		return fakefarm.Succeeds(fakefarm.Made())(ctx, s)
	})
	for _, c := range []struct {
		keys func(string) string
		want string
	}{{nil, ""}, {func(agent string) string { return "for " + agent }, "for " + b.Key.Fingerprint()}} {
		x := newTry(t, b)
		x.job.CacheKey = c.keys
		if _, err := Run(t.Context(), x.job); err != nil {
			t.Fatal(err)
		}
		if got := <-seen; got != c.want {
			t.Errorf("the agent got the key %q, want %q", got, c.want)
		}
	}
}
