package remote

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/client/internal/fakefarm"
	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/cli"
)

// asFarm makes the test binary run as a broker with an agent.
const asFarm = "FARFORGE_TEST_AS_FARM"

// farm prints its URL and "started" when a build has started, and then hangs.
func farm() {
	b := fakefarm.New(alone{}, func(ctx context.Context, s *fakefarm.Session) error {
		if err := fakefarm.Starts(ctx, s); err != nil {
			return err
		}
		fmt.Println("started")
		<-ctx.Done()
		return nil
	})
	fmt.Println(b.URL)
	select {}
}

// alone replaces testing.T in a process that runs no test.
type alone struct{}

func (alone) Errorf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (alone) Cleanup(func())                    {}

// TestKilledAgentIsNoticed: the connection stays open and goes silent.
func TestKilledAgentIsNoticed(t *testing.T) {
	t.Parallel()
	agent := exec.CommandContext(t.Context(), os.Args[0])
	agent.Env = append(os.Environ(), asFarm+"=1")
	agent.Stderr = os.Stderr
	out, err := agent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	if !said.Scan() {
		t.Fatal("the farm does not start")
	}
	x := newTry(t, &fakefarm.Broker{URL: said.Text()})
	killed := make(chan time.Time, 1)
	go func() {
		if said.Scan() && said.Text() == "started" {
			_ = agent.Process.Kill()
		}
		_ = agent.Wait()
		killed <- time.Now()
	}()
	var noticed time.Time
	x.job.Events = func(e Event) {
		if n, ok := e.(Notice); ok && n.Code == NoticeSecondTry {
			noticed = time.Now()
		}
	}
	_, err = Run(t.Context(), x.job)
	var e *cli.Error
	if !errors.As(err, &e) || e.Exit != cli.LostAgent || !strings.Contains(err.Error(), "has gone silent") || len(e.Hints) == 0 {
		t.Errorf("got %v", err)
	}
	if took := noticed.Sub(<-killed); noticed.IsZero() || took > 15*time.Second {
		t.Errorf("it took %v to notice", took)
	}
}

// TestSecondTry: an agent that is lost before or during the build is replaced once.
func TestSecondTry(t *testing.T) {
	t.Parallel()
	for name, until := range map[string]fakefarm.Agent{
		"before the build": func(context.Context, *fakefarm.Session) error { return nil },
		"during the build": fakefarm.Starts,
		"between artifacts": func(ctx context.Context, s *fakefarm.Session) error {
			return errors.Join(fakefarm.Starts(ctx, s), s.Firmware(ctx, map[string]string{"other.bin": "of the first agent"}))
		},
	} {
		for _, others := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, %d other agents", name, others), func(t *testing.T) {
				var b *fakefarm.Broker
				left := others
				b = fakefarm.New(t, func(ctx context.Context, s *fakefarm.Session) error {
					if len(b.Needs()) > 1 {
						return fakefarm.Succeeds(fakefarm.Made())(ctx, s)
					}
					if left > 0 {
						b.Set(func(s *fakefarm.Settings) { s.Key, s.Name = fakefarm.NewKey(t), "other" })
					}
					return until(ctx, s)
				})
				first := b.Key.Fingerprint()
				x := newTry(t, b)
				got, err := Run(t.Context(), x.job)
				second := slices.ContainsFunc(x.events, func(e Event) bool {
					n, ok := e.(Notice)
					return ok && n.Code == NoticeSecondTry
				})
				needs := b.Needs()
				if !second || len(needs) != 2 || !slices.Contains(needs[1].ExcludeAgents, first) || len(needs[0].ExcludeAgents) != 0 {
					t.Errorf("second try %v, requests %+v", second, needs)
				}
				if others == 0 {
					if cli.Code(err) != cli.LostAgent || !strings.Contains(strings.Join(cli.Hints(err), "\n"), "a second try on another agent was not possible") {
						t.Errorf("got %v", err)
					}
					return
				}
				if err != nil || got.Agent.Name != "other" {
					t.Fatalf("%+v, %v", got, err)
				}
				said(t, b, api.OutcomeLost, api.OutcomeSucceeded)
			})
		}
	}
}
