package fakefarm

import (
	"context"
	"encoding/binary"

	"github.com/farforge/farforge/common/api"
	"github.com/farforge/farforge/common/channel"
)

// Greeting is the output of a board that runs the image.
const Greeting = "hello from far away"

// Image returns a program for the board's flash: the magic words for a direct boot
// from flash offset 0, and code that prints the greeting on UART0.
func Image() string {
	words := []uint32{0xaedb041d, 0xaedb041d, 0x60000537} // lui a0, 0x60000
	for _, c := range []byte(Greeting + "\n") {
		words = append(words, 0x00000593|uint32(c)<<20, 0x00b52023) // li a1, c; sw a1, 0(a0)
	}
	words = append(words, 0x0000006f) // j .
	var b []byte
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return string(b)
}

// FlashMap is the flasher_args.json of [Made].
const FlashMap = `{
  "flash_settings": {"flash_mode": "dio", "flash_size": "4MB", "flash_freq": "40m"},
  "flash_files": {"0x0": "hello.bin"},
  "app": {"offset": "0x0", "file": "hello.bin", "encrypted": "false"},
  "extra_esptool_args": {"after": "hard_reset", "before": "default_reset", "chip": "esp32c3"}
}
`

// Made returns the artifacts of a good build.
func Made() map[string]string {
	return map[string]string{"hello.bin": Image(), "hello.elf": "debugging", "flasher_args.json": FlashMap}
}

// Stage is a stage message.
func Stage(name channel.StageName) *channel.Message {
	stage := &channel.Stage{Name: name}
	if name == channel.StageBuild {
		stage.Recipe, stage.Target, stage.Toolchain, stage.Version = "make", "esp32c3", "riscv64-unknown-elf-gcc", "12.2.0"
		stage.Command = []string{"make", "all"}
	}
	return &channel.Message{Type: channel.TypeStage, Stage: stage}
}

// Lines is a log message.
func Lines(lines ...string) *channel.Message {
	return &channel.Message{Type: channel.TypeLog, Log: &channel.Log{Stream: "stdout", Lines: lines}}
}

// Starts does a build until the command runs.
func Starts(ctx context.Context, s *Session) error {
	if err := s.Say(ctx, Stage(channel.StageSource)); err != nil {
		return err
	}
	if s.Build.Source == nil { // a source by URL is never fetched
		if err := s.Source(ctx); err != nil {
			return err
		}
	}
	return s.Say(ctx, Stage(channel.StageBuild), Lines("cc main.c", "ld hello.elf"))
}

// Succeeds returns an agent whose builds make these artifacts.
func Succeeds(files map[string]string) Agent {
	return func(ctx context.Context, s *Session) error {
		if err := Starts(ctx, s); err != nil {
			return err
		}
		if err := s.Say(ctx, Stage(channel.StageArtifacts)); err != nil {
			return err
		}
		if err := s.Firmware(ctx, files); err != nil {
			return err
		}
		return s.End(ctx, channel.Result{Outcome: api.OutcomeSucceeded, BuildMS: 42, SetupMS: 7, Artifacts: Artifacts(files), FlashMap: "flasher_args.json"})
	}
}

// Fails is an agent whose builds end with a compiler error.
func Fails(ctx context.Context, s *Session) error {
	if err := Starts(ctx, s); err != nil {
		return err
	}
	if err := s.Say(ctx, Lines("main.c:3:1: error: expected ';'")); err != nil {
		return err
	}
	return s.End(ctx, channel.Result{Outcome: api.OutcomeBuildFailed, ExitCode: 2, BuildMS: 42, Problem: &channel.Problem{
		Code: channel.ProblemBuildFailed, Message: "the build failed: make ended with exit code 2", Hints: []string{"the compiler's messages are above"},
	}})
}

// Waits returns an agent whose builds run until they are canceled. It closes started
// when the command runs.
func Waits(started chan<- struct{}) Agent {
	return func(ctx context.Context, s *Session) error {
		if err := Starts(ctx, s); err != nil {
			return err
		}
		close(started)
		select {
		case <-s.Canceled:
		case <-s.Conn.Done():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
		return s.End(ctx, channel.Result{Outcome: api.OutcomeCanceled, Problem: &channel.Problem{Code: channel.ProblemCanceled, Message: "the build was canceled"}})
	}
}
