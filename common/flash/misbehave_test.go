package flash_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/farforge/farforge/common/flash"
	"github.com/farforge/farforge/examples/simulated-chip/simulator"
)

// TestEveryFailureAtEveryStep makes the chip fail from some command on, and checks the
// error.
func TestEveryFailureAtEveryStep(t *testing.T) {
	const (
		silent  = "the chip went silent while "
		garbled = "the chip's answer cannot be understood while "
	)
	steps := []struct {
		at   string // the command, in the simulator's short form
		step string // the step that the message names
		last string // more of it, if the failure is not one that is worth a repetition
		w    flash.WriteOptions
		only string // the one kind of failure that ends the flash, if not all
	}{
		{at: "GET_SECURITY_INFO", step: "identifying the chip"},
		{at: "READ_REG#3", step: "reading the "},
		{at: "SPI_ATTACH", step: "attaching the flash"},
		{at: "WRITE_REG", step: "reading the flash id"},
		{at: "CHANGE_BAUD", step: "changing to 460800 baud", only: "silent@"},
		{at: "SPI_SET_PARAMS", step: "setting the flash's parameters"},
		{at: "FLASH_DEFL_BEGIN", step: "erasing the flash for ", only: "silent@"},
		{at: "FLASH_DEFL_BEGIN#2", step: "erasing the flash for ", only: "silent@"},
		{at: "FLASH_DEFL_DATA", step: "writing ", only: "silent@"},
		{at: "FLASH_DEFL_DATA#3", step: "writing ", last: "(block 3 of ", only: "silent@"},
		{at: "FLASH_BEGIN", step: "erasing the flash for bootloader at ", w: flash.WriteOptions{Plain: true}},
		{at: "FLASH_DATA#30", step: "writing app at 0x10000 (block ", w: flash.WriteOptions{Plain: true}},
	}
	for _, kind := range []struct {
		spec, msg string
		kind      flash.Kind
	}{
		{"silent@", silent, flash.KindSilent},
		{"garbage@", garbled, flash.KindGarbled},
		{"half@", garbled, flash.KindGarbled},
	} {
		for _, s := range steps {
			for _, chip := range bothChips {
				if s.only != "" && s.only != kind.spec {
					continue // the engine finds another way
				}
				if chip == "esp32" && strings.HasPrefix(s.at, "GET_SECURITY") && kind.kind == flash.KindGarbled {
					continue // its ROM sends no answer of this kind; see the frame tests
				}
				t.Run(chip+" "+kind.spec+s.at, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b := newBoard(t, simulator.Config{Chip: chip, Misbehave: misbehaving(t, kind.spec+s.at)})
						m, files := firmware(chip, 70_000)
						start := time.Now()
						_, _, err := flashAll(t.Context(), b, flash.Options{Baud: 460800}, m, files, s.w)
						if err == nil {
							t.Fatal("no error")
						}
						if !flash.IsKind(err, kind.kind) || !strings.HasPrefix(err.Error(), kind.msg) || !strings.Contains(err.Error(), s.step) {
							t.Errorf("error %q", err)
						}
						if kind.kind == flash.KindSilent && !strings.Contains(err.Error(), s.last) {
							t.Errorf("error %q does not say %q", err, s.last)
						}
						var e *flash.Error
						if errors.As(err, &e) && e.Hint == "" {
							t.Error("no hint what to try")
						}
						if took := time.Since(start); took > 20*time.Second {
							t.Errorf("it took %s to notice", took)
						}
					})
				})
			}
		}
	}
}

// TestDigestsThatFail makes each digest of a flash fail.
func TestDigestsThatFail(t *testing.T) {
	seen := map[string]bool{"reading the digest of the flash at 0x": false, "comparing the flash with ": false, "verifying ": false, "proving that ": false}
	for n := 1; ; n++ {
		var err error
		synctest.Test(t, func(t *testing.T) {
			b := newBoard(t, simulator.Config{Chip: "esp32c3", Misbehave: misbehaving(t, fmt.Sprintf("half@SPI_FLASH_MD5#%d", n))})
			m, files := firmware("esp32c3", 20_000)
			_, _, err = flashAll(t.Context(), b, flash.Options{}, m, files, flash.WriteOptions{})
		})
		if err == nil {
			break
		}
		for step := range seen {
			seen[step] = seen[step] || flash.IsKind(err, flash.KindGarbled) && strings.Contains(err.Error(), "while "+step)
		}
	}
	for step, was := range seen {
		if !was {
			t.Errorf("no digest failed while %s", step)
		}
	}
}

func TestSoftResetWithoutAnAnswer(t *testing.T) {
	for _, tc := range []struct{ misbehave, want string }{
		{"silent@FLASH_BEGIN", "the chip went silent while restarting the board"},
		{"silent@FLASH_END", ""}, // only the answer is lost: the board speaks
	} {
		t.Run(tc.misbehave, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoard(t, simulator.Config{Chip: "esp32c3", Misbehave: misbehaving(t, tc.misbehave)})
				m, files := firmware("esp32c3", 5_000)
				d, err := flash.Connect(t.Context(), b.port, flash.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := d.WriteMap(t.Context(), m, files, flash.WriteOptions{}); err != nil {
					t.Fatal(err)
				}
				err = d.Finish(t.Context(), flash.SoftReset)
				if cerr := d.Close(); cerr != nil {
					t.Fatal(cerr)
				}
				switch {
				case tc.want == "":
					if err != nil || !strings.Contains(string(d.Tail()), "SPI_FAST_FLASH_BOOT") {
						t.Errorf("%v; tail %q", err, d.Tail())
					}
				case !flash.IsKind(err, flash.KindSilent) || !strings.HasPrefix(err.Error(), tc.want):
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestNoLoader(t *testing.T) {
	for _, tc := range []struct{ name, misbehave, want string }{
		{"silent", "silent", "the board is in download mode, but does not receive"},
		{"garbage", "garbage", "not an answer of a loader"},
		{"half", "half", "not an answer of a loader"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoard(t, simulator.Config{Chip: "esp32c3", Misbehave: misbehaving(t, tc.misbehave)})
				start := time.Now()
				_, err := flash.Connect(t.Context(), b.port, flash.Options{Timeout: 4 * time.Second})
				if !flash.IsKind(err, flash.KindNoLoader) || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v", err)
				}
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

func TestBoardThatRunsItsFirmware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, simulator.Config{Chip: "esp32"})
		b.port.SetRTS(false)
		b.port.SetDTR(false)
		_, err := flash.Connect(t.Context(), b.port, flash.Options{Before: flash.NoReset, Timeout: time.Second})
		var e *flash.Error
		if !errors.As(err, &e) || e.Kind != flash.KindNoLoader || !strings.Contains(e.Msg, "runs its firmware") {
			t.Fatalf("got %v", err)
		}
		if !strings.Contains(e.Hint, "BOOT") {
			t.Errorf("hint %q", e.Hint)
		}
	})
}

func TestSlowChipIsWaitedFor(t *testing.T) {
	for _, spec := range []string{"slow=20ms", "slow@SYNC=30ms", "slow@READ_REG=2s", "slow@FLASH_DEFL_DATA=1s", "slow@FLASH_DEFL_BEGIN=3s"} {
		t.Run(spec, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoard(t, simulator.Config{Chip: "esp32c3", Misbehave: misbehaving(t, spec)})
				m, files := firmware("esp32c3", 20_000)
				if _, _, err := flashAll(t.Context(), b, flash.Options{}, m, files, flash.WriteOptions{}); err != nil {
					t.Fatal(err)
				}
				wantInFlash(t, b, m, files)
			})
		})
	}
}

// TestLateAnswersAreNotTakenForOthers delays every answer to READ_REG beyond its time-out.
// Each value that is read must be right, or there is an error.
func TestLateAnswersAreNotTakenForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, simulator.Config{Chip: "esp32c3", MAC: []byte{2, 3, 4, 5, 6, 7}, Misbehave: misbehaving(t, "slow@READ_REG=3050ms")})
		d, err := flash.Connect(t.Context(), b.port, flash.Options{})
		if err != nil {
			if !flash.IsKind(err, flash.KindSilent) {
				t.Errorf("got %v", err)
			}
			return
		}
		defer d.Close()
		if got := d.Info().MAC.String(); got != "02:03:04:05:06:07" {
			t.Errorf("MAC %s", got)
		}
	})
}

func TestCorruptFlashIsDetected(t *testing.T) {
	for _, chip := range bothChips {
		synctest.Test(t, func(t *testing.T) {
			b := newBoard(t, simulator.Config{Chip: chip, Misbehave: misbehaving(t, "corrupt")})
			m, files := firmware(chip, 20_000)
			_, _, err := flashAll(t.Context(), b, flash.Options{}, m, files, flash.WriteOptions{})
			if !flash.IsKind(err, flash.KindVerify) || !strings.Contains(err.Error(), "does not hold bootloader at 0x") {
				t.Errorf("%s: %v", chip, err)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	for _, phase := range []flash.Phase{flash.Check, flash.Erase, flash.Write, flash.Verify} {
		t.Run(phase.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoard(t, simulator.Config{Chip: "esp32c3"})
				m, files := firmware("esp32c3", 100_000)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				w := flash.WriteOptions{Progress: func(p flash.Progress) {
					if p.Index == 2 && p.Phase == phase {
						cancel()
					}
				}}
				start := time.Now()
				res, _, err := flashAll(ctx, b, flash.Options{Baud: 460800}, m, files, w)
				if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "app at 0x10000") || !strings.Contains(err.Error(), "no complete firmware") {
					t.Errorf("got %v", err)
				}
				if len(res.Regions) != 2 {
					t.Errorf("the result lists %d regions", len(res.Regions))
				}
				if took := time.Since(start); took > time.Second {
					t.Errorf("took %s", took)
				}
				// The board is not lost: the same port, back at its rate, flashes it.
				if _, _, err := flashAll(t.Context(), b, flash.Options{}, m, files, flash.WriteOptions{}); err != nil {
					t.Fatal(err)
				}
				wantInFlash(t, b, m, files)
			})
		})
	}
}

func TestCancelWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(t, simulator.Config{Chip: "esp32c3", Misbehave: misbehaving(t, "silent")})
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := flash.Connect(ctx, b.port, flash.Options{})
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "looking for the loader") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took > 800*time.Millisecond {
			t.Errorf("took %s", took)
		}
	})
}
