package remote

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/farforge/farforge/client/internal/fakefarm"
	"github.com/farforge/farforge/common/cli"
)

// asFarEnd makes the test binary be a broker with an agent.
const asFarEnd = "FARFORGE_TEST_AS_FAR_END"

// farEnd tells its URL and when a build has started, and then does nothing more.
func farEnd() {
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

// alone is as much of a test as the far end needs in a process without one.
type alone struct{}

func (alone) Errorf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (alone) Cleanup(func())                    {}

// TestKilledAgentIsNoticed: nothing closes the connection, it only goes silent.
func TestKilledAgentIsNoticed(t *testing.T) {
	t.Parallel()
	agent := exec.CommandContext(t.Context(), os.Args[0])
	agent.Env = append(os.Environ(), asFarEnd+"=1")
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
		t.Fatal("the far end does not start")
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
	_, err = Run(t.Context(), x.job)
	var e *cli.Error
	if !errors.As(err, &e) || e.Exit != cli.LostAgent || !strings.Contains(err.Error(), "has gone silent") || len(e.Hints) == 0 {
		t.Errorf("got %v", err)
	}
	if took := time.Since(<-killed); took > 15*time.Second {
		t.Errorf("it took %v to notice", took)
	}
}
