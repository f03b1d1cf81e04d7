package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("FARFORGE_TEST_SIGNALS") != "" {
		signalVictim()
	}
	goleak.VerifyTestMain(m)
}

func TestPrint(t *testing.T) {
	var out bytes.Buffer
	Print(&out, fmt.Errorf("build: %w", Failf(NoAgent, "no agent can build\nfor esp32s3").Hint("2 agents are online", "try\r\nagain")))
	want := "error: build: no agent can build; for esp32s3\nhint: 2 agents are online\nhint: try; again\n"
	if out.String() != want {
		t.Fatalf("got  %q\nwant %q", out.String(), want)
	}
}

func TestCode(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want Exit
	}{
		{nil, Done},
		{errors.New("unknown flag"), Usage},
		{fmt.Errorf("x: %w", Failf(Serial, "y")), Serial},
		{fmt.Errorf("x: %w", context.Canceled), Interrupted},
		{Fail(LostAgent, context.Canceled), LostAgent},
	} {
		if got := Code(tt.err); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestErrorCode(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{errors.New("unknown flag"), "usage"},
		{Failf(NoAgent, "x"), "no_agent"},
		{context.Canceled, "interrupted"},
		{fmt.Errorf("x: %w", Failf(Broker, "y").WithCode("too_fast")), "too_fast"},
		{Fail(Broker, Usagef("y").WithCode("inner")), "inner"},
		{Fail(Broker, coded("quota")), "quota"},
		{Fail(Broker, coded("")), "broker"},
		{errors.Join(errors.New("x"), coded("quota")), "quota"},
	} {
		if got := ErrorCode(tt.err); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.err, got, tt.want)
		}
	}
}

type coded string

func (c coded) Error() string     { return "refused" }
func (c coded) ErrorCode() string { return string(c) }

func TestHintsOfAllCauses(t *testing.T) {
	inner := Usagef("no key").Hint("make a key", "see --help")
	err := Fail(Broker, fmt.Errorf("x: %w", errors.Join(errors.New("y"), inner)), "see --help", "ask the operator")
	if got, want := Hints(err), []string{"see --help", "ask the operator", "make a key"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if Hints(nil) != nil {
		t.Error("no error has hints")
	}
}

// signalVictim is the process that TestSignalsTakeThreeSteps sends signals to. It
// writes each step to standard output.
func signalVictim() {
	ctx, drain, stop := Signals(context.Background(), true)
	defer stop()
	fmt.Println("ready")
	<-drain
	fmt.Println("draining")
	<-ctx.Done()
	fmt.Println("canceled")
	select {}
}

func TestSignalsTakeThreeSteps(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "FARFORGE_TEST_SIGNALS=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ready", "draining", "canceled"} {
		var got string
		if _, err := fmt.Fscanln(out, &got); err != nil || got != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
		time.Sleep(SignalGap) // or it would count as the same signal
		for range 2 {
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != int(Interrupted) {
		t.Fatalf("after the third signal: %v", err)
	}
}

func TestSignalsCanBeStopped(t *testing.T) {
	ctx, drain, stop := Signals(t.Context(), false)
	stop()
	if ctx.Err() == nil {
		t.Error("the context outlives stop")
	}
	select {
	case <-drain:
		t.Error("stop counts as a signal")
	default:
	}
	signal.Reset()
}
